//! Functions that turn values of columns into texts, whatever the session's settings say and whatever type the column has.
//!
//! They are plain SQL expressions, which PostgreSQL puts in place of the call. What is no value of the contract's type (an
//! infinite day, a year before the first) becomes a text that the contract refuses, never another value.

/// The statements that make the functions.
pub(crate) const FUNCTIONS: &[&str] = &[
    "CREATE OR REPLACE FUNCTION seamline.text_of(anyelement) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1::text'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(smallint) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(integer) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(bigint) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(numeric) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(boolean) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(uuid) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(time) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1::text'",
    "CREATE OR REPLACE FUNCTION seamline.text_of(bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT encode($1, 'hex')$$",
    "CREATE OR REPLACE FUNCTION seamline.text_of(date) RETURNS text LANGUAGE sql STABLE AS $$SELECT to_json($1) #>> '{}'$$",
    "CREATE OR REPLACE FUNCTION seamline.text_of(timestamp) RETURNS text LANGUAGE sql STABLE AS $$SELECT to_json($1) #>> '{}'$$",
    "CREATE OR REPLACE FUNCTION seamline.text_of(timestamptz) RETURNS text LANGUAGE sql STABLE AS $$SELECT CASE \
WHEN $1 >= '0001-01-01 00:00:00Z' AND $1 < '9999-12-31 00:00:00Z' \
THEN to_char(timezone('UTC', $1), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
ELSE (to_json(timezone('UTC', $1)) #>> '{}') || 'Z' END$$",
    "CREATE OR REPLACE FUNCTION seamline.micros_of(interval) RETURNS numeric LANGUAGE sql STABLE AS $$SELECT \
((extract(day FROM $1)::numeric * 24 + extract(hour FROM $1)::numeric) * 60 + extract(minute FROM $1)::numeric) * 60000000 \
+ extract(microseconds FROM $1)::numeric$$",
    // A day is 24 hours, as PostgreSQL itself compares them; a month is no span.
    "CREATE OR REPLACE FUNCTION seamline.text_of(interval) RETURNS text LANGUAGE sql STABLE AS $$SELECT CASE \
WHEN NOT isfinite($1) OR extract(year FROM $1) <> 0 OR extract(month FROM $1) <> 0 THEN $1::text \
ELSE CASE WHEN seamline.micros_of($1) < 0 THEN '-PT' ELSE 'PT' END || div(abs(seamline.micros_of($1)), 1000000)::text || '.' \
|| lpad(mod(abs(seamline.micros_of($1)), 1000000)::bigint::text, 6, '0') || 'S' END$$",
    "CREATE OR REPLACE FUNCTION seamline.text_of(double precision) RETURNS text LANGUAGE plpgsql STABLE \
SET extra_float_digits = 1 AS $$BEGIN RETURN $1::text; END$$",
    "CREATE OR REPLACE FUNCTION seamline.text_of(real) RETURNS text LANGUAGE plpgsql STABLE \
SET extra_float_digits = 1 AS $$BEGIN RETURN $1::text; END$$",
    // A moment of midnight is a day; any other is not.
    "CREATE OR REPLACE FUNCTION seamline.day_of(anyelement) RETURNS text LANGUAGE sql STABLE AS 'SELECT seamline.text_of($1)'",
    "CREATE OR REPLACE FUNCTION seamline.day_of(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
    "CREATE OR REPLACE FUNCTION seamline.day_of(date) RETURNS text LANGUAGE sql STABLE AS 'SELECT seamline.text_of($1)'",
    "CREATE OR REPLACE FUNCTION seamline.day_of(timestamptz) RETURNS text LANGUAGE sql STABLE AS 'SELECT seamline.text_of($1)'",
    "CREATE OR REPLACE FUNCTION seamline.day_of(timestamp) RETURNS text LANGUAGE sql STABLE AS $$SELECT CASE \
WHEN isfinite($1) AND $1 = date_trunc('day', $1) THEN to_json($1::date) #>> '{}' ELSE to_json($1) #>> '{}' END$$",
    "CREATE OR REPLACE FUNCTION seamline.uuid_of(uuid) RETURNS uuid LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
    "CREATE OR REPLACE FUNCTION seamline.uuid_of(text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$SELECT CASE \
WHEN $1 ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$' THEN $1::uuid END$$",
    "CREATE OR REPLACE FUNCTION seamline.number_of(text) RETURNS json LANGUAGE sql IMMUTABLE AS $$SELECT CASE \
WHEN $1 ~ '^-?[0-9]' THEN $1::json ELSE to_json($1) END$$",
    "CREATE OR REPLACE FUNCTION seamline.whole_of(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT CASE \
WHEN $1 ~ '^-?[0-9]+[.]0+$' THEN split_part($1, '.', 1) ELSE $1 END$$",
    "CREATE OR REPLACE FUNCTION seamline.scaled_of(text, integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT CASE \
WHEN $1 ~ '^-?[0-9]' AND round($1::numeric, $2) = $1::numeric THEN round($1::numeric, $2)::text ELSE $1 END$$",
];
