//! The functions that a service publishes with, as PL/pgSQL: one for each contract, with SQL whose plans PostgreSQL keeps.
//!
//! Invariants: the key's row is locked and its sequence drawn by one statement, which evaluates the new values after it
//! has the lock; the state is read by a later statement, whose snapshot at READ COMMITTED is younger than the lock. At
//! REPEATABLE READ and SERIALIZABLE a change of the key since the snapshot fails that first statement.
//!
//! Each expression costs each publish: a busy server has the caches of many sessions to fill. So there are few of them, and
//! no statement returns what another knows already.

use super::size;
use super::source_view::{self, MOVES, is_indexed, is_printed, key_column};
use crate::sql::{literal, quoted};
use seamline_contract::channel::Event;
use seamline_contract::resolve::ResolvedContract;
use seamline_message::mutant::{self, Mutant};

/// The number of the advisory lock that a relay holds while it sleeps, and that each publishing transaction shares while the
/// relay is awake: so it cannot fall asleep before those have ended that did not ring.
pub(crate) const BELL: i64 = 0x0005_ea11_14e0_be11;

/// The channel of notifications on which it is woken.
pub(crate) const CHANNEL: &str = "seamline_outbox";

/// Whether publishing rings. A transaction that rang cannot be prepared: where transactions can be, it rings only if the
/// database is set so.
pub(crate) const RINGS: &str = "(current_setting('max_prepared_transactions') = '0' \
    OR coalesce(current_setting('seamline.doorbell', true), '') = 'on')";

const PINNED: &str = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp";

/// Settings by which PostgreSQL prints values inside of JSON.
pub(super) const PRINTED: &str = " SET timezone = 'UTC' SET bytea_output = 'hex' SET extra_float_digits = 1 SET intervalstyle = 'postgres' \
     SET datestyle = 'ISO, YMD'";

/// Checks that need more than one expression.
pub(crate) const CHECKS: &[&str] = &[
    "CREATE OR REPLACE FUNCTION seamline.texts_of(contract text, given text, parts integer) RETURNS text[] \
LANGUAGE plpgsql IMMUTABLE AS $seamline$
DECLARE
  parsed json;
  texts text[];
  canonical text;
BEGIN
  BEGIN
    parsed := given::json;
  EXCEPTION WHEN data_exception THEN
    parsed := NULL;
  END;
  IF parsed IS NULL THEN
    RAISE EXCEPTION 'seamline: `%`: `key` is not JSON; write the key''s values as texts, such as [\"P-00000001\"]', contract
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF json_typeof(parsed) <> 'array' OR json_array_length(parsed) <> parts
    OR EXISTS (SELECT FROM json_array_elements(parsed) e WHERE json_typeof(e) <> 'string') THEN
    RAISE EXCEPTION 'seamline: `%`: `key` must be a JSON array with one text for each attribute of the key', contract
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT array_agg(e.value ORDER BY e.place), '[' || string_agg(to_json(e.value)::text, ',' ORDER BY e.place) || ']'
    INTO texts, canonical FROM json_array_elements_text(parsed) WITH ORDINALITY AS e (value, place);
  IF canonical <> given COLLATE \"C\" THEN
    RAISE EXCEPTION 'seamline: `%`: `key` is not canonical: no spaces, no escapes that JSON does not need', contract
      USING ERRCODE = 'invalid_parameter_value', HINT = 'write it as ' || canonical;
  END IF;
  RETURN texts;
END $seamline$",
    "CREATE OR REPLACE FUNCTION seamline.check_object(contract text, name text, given text) RETURNS void \
LANGUAGE plpgsql IMMUTABLE AS $seamline$
DECLARE
  is_object boolean;
BEGIN
  BEGIN
    is_object := json_typeof(given::json) = 'object';
  EXCEPTION WHEN data_exception THEN
    is_object := false;
  END;
  IF NOT is_object THEN
    RAISE EXCEPTION 'seamline: `%`: `%` is not a JSON object', contract, name USING ERRCODE = 'invalid_parameter_value';
  END IF;
END $seamline$",
];

/// Locks keys in sorted order, and makes the rows that are locked.
pub(crate) const LOCK: &str = "CREATE OR REPLACE FUNCTION seamline.lock(contract text, keys text[]) RETURNS void \
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
BEGIN
  IF NOT EXISTS (SELECT FROM seamline.contract c WHERE c.contract = lock.contract) THEN
    RAISE EXCEPTION 'seamline: `contract` is none that is published from this database'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF array_position(keys, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'seamline: `%`: one of `keys` is null', contract USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO seamline.key AS k (contract, key)
    SELECT lock.contract, g.key FROM (SELECT DISTINCT u.key COLLATE \"C\" AS key FROM unnest(keys) AS u (key)) AS g ORDER BY g.key
    ON CONFLICT ON CONSTRAINT key_pkey DO UPDATE SET written = k.written WHERE false;
END $seamline$";

/// Publishes by the function of the contract. Made of the contracts that are installed.
pub(crate) const DISPATCH: &str = "DO $seamline$
DECLARE
  branches text;
BEGIN
  SELECT string_agg(format(E'  IF contract = %L THEN\\n    RETURN seamline.%I(change, key, details, effective, reason, \
correlation, causation, traceparent, state);\\n  END IF;\\n', c.contract, 'publish_' || c.contract), '' ORDER BY c.contract)
    INTO branches FROM seamline.contract c;
  EXECUTE 'CREATE OR REPLACE FUNCTION seamline.publish(contract text, change text, key text, details text DEFAULT NULL, \
effective text DEFAULT NULL, reason text DEFAULT NULL, correlation text DEFAULT NULL, causation text DEFAULT NULL, \
traceparent text DEFAULT NULL, state text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER \
SET search_path = pg_catalog, pg_temp AS $publish$
BEGIN
' || branches || '  RAISE EXCEPTION ''seamline: `contract` is none that is published from this database''
    USING ERRCODE = ''invalid_parameter_value'';
END $publish$';
END $seamline$";

/// Publishes several keys: in sorted order, so that two transactions cannot wait for each other. Returns their sequences in
/// the order given.
pub(crate) const MANY: &str = "CREATE OR REPLACE FUNCTION seamline.publish(contract text, change text, keys text[], \
details text DEFAULT NULL, effective text DEFAULT NULL, reason text DEFAULT NULL, correlation text DEFAULT NULL, \
causation text DEFAULT NULL, traceparent text DEFAULT NULL) RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER \
SET search_path = pg_catalog, pg_temp AS $seamline$
DECLARE
  places bigint[];
  place bigint;
  sequences bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(keys)]);
BEGIN
  IF (SELECT count(DISTINCT u.key) FROM unnest(keys) AS u (key)) <> cardinality(keys) THEN
    RAISE EXCEPTION 'seamline: `%`: `keys` has a key twice, or a null', contract
      USING ERRCODE = 'invalid_parameter_value', HINT = 'publish each key once, after all of its changes';
  END IF;
  SELECT array_agg(u.place ORDER BY u.key COLLATE \"C\") INTO places FROM unnest(keys) WITH ORDINALITY AS u (key, place);
  FOREACH place IN ARRAY coalesce(places, '{}') LOOP
    sequences[place] := seamline.publish(contract, change, keys[place], details, effective, reason, correlation, causation, \
traceparent);
  END LOOP;
  RETURN sequences;
END $seamline$";

fn events(contract: &ResolvedContract) -> &[Event] {
    contract.contract.events.as_ref().map_or(&[], |events| &events.events)
}

/// Returns the function that publishes one contract. Of a composed one each row names the records that it is made of, and none is
/// refused for its size, as where projections publish it.
pub(crate) fn function(contract: &ResolvedContract, is_composed: bool) -> String {
    let id = &contract.contract.name.contract;
    let events_known: Vec<String> =
        events(contract).iter().map(|event| literal(event.name.as_str())).collect();
    let unknown = if events_known.is_empty() {
        "p_change IS NOT NULL".to_owned()
    } else {
        format!("p_change NOT IN ({})", events_known.join(", "))
    };
    format!(
        "CREATE OR REPLACE FUNCTION seamline.{name}(p_change text, p_key text, p_details text, p_effective text, \
p_reason text, p_correlation text, p_causation text, p_traceparent text, p_state text) RETURNS bigint LANGUAGE plpgsql\
{settings} AS $seamline$
DECLARE
  drawn bigint;
  chain text;
  before text;
  after text;
  found_state text;
{declare}BEGIN
  IF {unknown} THEN
    RAISE EXCEPTION {no_event} USING ERRCODE = 'invalid_parameter_value';
  END IF;
{parse}  IF p_details IS NOT NULL THEN
    PERFORM seamline.check_object({id}, 'details', p_details);
  END IF;
  IF p_state IS NOT NULL THEN
    PERFORM seamline.check_object({id}, 'state', p_state);
  END IF;
{early}{lock}{read}{size}{write}{moved}{bell}  RETURN drawn;
END $seamline$",
        name = quoted(&format!("publish_{id}")),
        settings = if is_printed(contract) { PRINTED } else { "" },
        declare = declare(contract),
        no_event = literal(&format!(
            "seamline: `{id}`: `change` is no event of the contract; leave it out to publish the state alone"
        )),
        parse = parse(contract),
        id = literal(id.as_str()),
        lock = lock(contract),
        early = if mutant::is(Mutant::StateBeforeLock) { read(contract, is_composed) } else { String::new() },
        read = if mutant::is(Mutant::StateBeforeLock) { String::new() } else { read(contract, is_composed) },
        size = if is_composed { String::new() } else { size::refusal_of(contract) },
        write = write(contract),
        moved = moved(contract),
        bell = bell(),
    )
}

fn declare(contract: &ResolvedContract) -> String {
    let view = source_view::name(&contract.contract.name.contract);
    let mut lines = "  texts text[];\n  may_be boolean := true;\n".to_owned();
    for idx in 0..contract.key.len() {
        lines.push_str(&format!("  text{idx} text;\n"));
        if is_indexed(contract) {
            lines.push_str(&format!("  value{idx} {view}.{}%TYPE;\n", key_column(idx)));
        }
    }
    lines
}

/// The key's texts, and the values that its columns hold for them. A text that is none of the column's type is the key of no
/// row.
fn parse(contract: &ResolvedContract) -> String {
    let id = literal(contract.contract.name.contract.as_str());
    let parts = contract.key.len();
    let slow: String = (0..parts).map(|idx| format!("    text{idx} := texts[{}];\n", idx + 1)).collect();
    let slow = format!("    texts := seamline.texts_of({id}, p_key, {parts});\n{slow}");
    // A text that prints as it stands between the quotes is the key's own: JSON has to escape nothing in it.
    let texts = if parts == 1 {
        format!(
            "  text0 := left(substr(p_key, 3), -2);\n  IF p_key IS NULL OR p_key <> '[' || to_json(text0)::text || ']' THEN\n{slow}  END IF;\n"
        )
    } else {
        slow
    };
    if !is_indexed(contract) {
        return texts;
    }
    let typed: String = (0..parts).map(|idx| format!("    value{idx} := text{idx};\n")).collect();
    // A block that catches costs a subtransaction; a column of type text takes every text.
    let is_text: Vec<String> =
        (0..parts).map(|idx| format!("pg_typeof(value{idx}) = 'text'::regtype")).collect();
    format!(
        "{texts}  IF {} THEN\n{typed}  ELSE\n    BEGIN\n{typed}    EXCEPTION WHEN data_exception THEN\n      may_be := false;\n    END;\n  END IF;\n",
        is_text.join(" AND ")
    )
}

/// Returns the condition under which a row of the source view has the key in `p_key`. The key columns narrow it down by their
/// index; the key's own text decides.
fn has_key(contract: &ResolvedContract) -> String {
    let columns = if is_indexed(contract) { contract.key.len() } else { 0 };
    let mut conditions: Vec<String> =
        (0..columns).map(|idx| format!("s.{} = value{idx}", key_column(idx))).collect();
    conditions.push("s.key = p_key".to_owned());
    conditions.join(" AND ")
}

/// Returns the function that reads the state of a key, in the snapshot of who calls it.
pub(crate) fn state_function(contract: &ResolvedContract) -> String {
    let id = &contract.contract.name.contract;
    format!(
        "CREATE OR REPLACE FUNCTION seamline.{}(p_key text) RETURNS text LANGUAGE plpgsql STABLE{} AS $seamline$
DECLARE
  found_state text;
{}BEGIN
{}  IF may_be THEN
    SELECT s.state INTO found_state FROM {} AS s WHERE {} LIMIT 1;
  END IF;
  RETURN found_state;
END $seamline$",
        quoted(&format!("state_{id}")),
        if is_printed(contract) { PRINTED } else { "" },
        declare(contract),
        parse(contract),
        source_view::name(id),
        has_key(contract),
    )
}

/// Returns an expression that depends on the event, by the chains that it links into.
fn by_event(contract: &ResolvedContract, otherwise: &str, then: impl Fn(&[String]) -> String) -> String {
    let events: Vec<(&Event, Vec<String>)> =
        events(contract).iter().map(|event| (event, contract.chains(&event.name))).collect();
    match events.first() {
        // As it mostly is: every event travels the same way, and which one it is need not be looked at.
        Some((_, first)) if !first.is_empty() && events.iter().all(|(_, chains)| chains == first) => {
            format!("CASE WHEN p_change IS NULL THEN {otherwise} ELSE {} END", then(first))
        }
        _ => {
            let cases: String = events
                .iter()
                .filter(|(_, chains)| !chains.is_empty())
                .map(|(event, chains)| {
                    format!(" WHEN {} THEN {}", literal(event.name.as_str()), then(chains))
                })
                .collect();
            if cases.is_empty() {
                otherwise.to_owned()
            } else {
                format!("CASE p_change{cases} ELSE {otherwise} END")
            }
        }
    }
}

/// One statement locks the key's row, draws its sequence and links it into its chains. PostgreSQL computes the new values once
/// it has the lock, in the order of the table's columns: `sequence` stands before `chains`.
fn lock(contract: &ResolvedContract) -> String {
    let id = literal(contract.contract.name.contract.as_str());
    let joined = |chains: &[String], between: &str, member: &dyn Fn(&str) -> String| {
        chains.iter().map(|chain| member(chain)).collect::<Vec<_>>().join(between)
    };
    let none = by_event(contract, "'{}'", |chains| {
        let members = joined(chains, ",", &|chain| format!("\"{chain}\":null"));
        literal(&format!("{{{members}}}"))
    });
    let first = by_event(contract, "'{}'", |chains| {
        joined(chains, " || ", &|chain| format!("jsonb_build_object({}, drawn)", literal(chain)))
    });
    let next = by_event(contract, "k.chains", |chains| {
        let link =
            |chain: &str| format!("jsonb_build_object({}, currval('seamline.sequence'))", literal(chain));
        format!("k.chains || {}", joined(chains, " || ", &link))
    });
    let previous = by_event(contract, "'{}'", |chains| {
        let member =
            |chain: &str| format!("'\"{chain}\":' || coalesce(k.chains ->> {}, 'null')", literal(chain));
        format!("'{{' || {} || '}}'", joined(chains, " || ',' || ", &member))
    });
    format!(
        "  drawn := nextval('seamline.sequence');
  INSERT INTO seamline.key AS k (contract, key, sequence, written, previous, chains)
    VALUES ({id}, p_key, drawn, 1, {none}, {first})
    ON CONFLICT ON CONSTRAINT key_pkey DO UPDATE SET written = k.written + 1, previous = {previous},
      sequence = nextval('seamline.sequence'), chains = {next}
    RETURNING k.sequence, k.previous, k.moved INTO drawn, chain, before;
"
    )
}

/// Reads the state of the key, and what the next row of the key finds as published before: the values of attributes with
/// moves, and nothing once the key ended. A statement of its own, so that its snapshot is younger than the lock.
fn read(contract: &ResolvedContract, is_composed: bool) -> String {
    let view = source_view::name(&contract.contract.name.contract);
    let (lineage, causation) = if is_composed { (", s.lineage", ", p_causation") } else { ("", "") };
    let ends: Vec<String> = events(contract)
        .iter()
        .filter(|event| event.ends)
        .map(|event| literal(event.name.as_str()))
        .collect();
    let ended = if ends.is_empty() {
        String::new()
    } else {
        format!("  IF p_change IN ({}) THEN\n    after := NULL;\n  END IF;\n", ends.join(", "))
    };
    format!(
        "  IF p_state IS NOT NULL THEN
    found_state := p_state;
    after := {};
  ELSIF may_be THEN
    SELECT s.state, s.{MOVES}{lineage} INTO found_state, after{causation} FROM {view} AS s WHERE {} LIMIT 1;
  END IF;
{ended}",
        source_view::moves(contract, |name| format!("(p_state::json -> {})::text", literal(name))),
        has_key(contract),
    )
}

/// Remembers what was published, where it differs.
fn moved(contract: &ResolvedContract) -> String {
    format!(
        "  IF after IS DISTINCT FROM before THEN
    UPDATE seamline.key k SET moved = after WHERE k.contract = {} AND k.key = p_key;
  END IF;
",
        literal(contract.contract.name.contract.as_str()),
    )
}

/// Returns the statement that chooses the outbox of the minute, by what goes into each.
pub(super) fn by_minute(insert: impl Fn(usize) -> String) -> String {
    format!(
        "  CASE floor(date_part('epoch', clock_timestamp()) / 60)::bigint % 3
  WHEN 0 THEN
{}  WHEN 1 THEN
{}  ELSE
{}  END CASE;
",
        insert(0),
        insert(1),
        insert(2)
    )
}

/// The row goes to the outbox of the minute.
fn write(contract: &ResolvedContract) -> String {
    let insert = |table: usize| {
        format!(
            "    INSERT INTO seamline.outbox_{table} (id, contract, version, key, change, details, effective, reason, state, moved, \
previous, correlation, causation, traceparent)
      VALUES (drawn, {}, {}, p_key, p_change, p_details, p_effective, p_reason, found_state, before, \
chain, p_correlation, p_causation, p_traceparent);
",
            literal(contract.contract.name.contract.as_str()),
            literal(&contract.contract.version.to_string()),
        )
    };
    by_minute(insert)
}

/// Rings while the relay sleeps.
pub(super) fn bell() -> String {
    format!(
        "  IF NOT pg_try_advisory_xact_lock_shared({BELL}) AND {RINGS} THEN
    PERFORM pg_notify('{CHANNEL}', '');
  END IF;
"
    )
}

/// Returns the statements that make or drop the check at commit.
pub(crate) fn strict(contract: &ResolvedContract, strict: bool) -> Vec<String> {
    let id = contract.contract.name.contract.as_str();
    let function = format!("seamline.{}()", quoted(&format!("strict_{id}")));
    let trigger = quoted(&format!("strict_{id}"));
    let mut statements: Vec<String> =
        (0..3).map(|table| format!("DROP TRIGGER IF EXISTS {trigger} ON seamline.outbox_{table}")).collect();
    if !strict {
        statements.push(format!("DROP FUNCTION IF EXISTS {function}"));
        return statements;
    }
    let ends: Vec<String> = events(contract)
        .iter()
        .filter(|event| event.ends)
        .map(|event| literal(event.name.as_str()))
        .collect();
    let ended =
        if ends.is_empty() { "false".to_owned() } else { format!("NEW.change IN ({})", ends.join(", ")) };
    statements.push(format!(
        "CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql {PINNED}{} AS $seamline$
DECLARE
  at_commit text;
BEGIN
  IF (SELECT k.sequence FROM seamline.key k WHERE k.contract = NEW.contract AND k.key = NEW.key) <> NEW.id THEN
    RETURN NULL;
  END IF;
  at_commit := seamline.{}(NEW.key);
  IF at_commit IS DISTINCT FROM NEW.state AND NOT (at_commit IS NULL AND coalesce({ended}, false)) THEN
    RAISE EXCEPTION 'seamline: {}: the state changed after it was published in the same transaction'
      USING ERRCODE = 'integrity_constraint_violation', HINT = 'call seamline.publish after the last change of the key';
  END IF;
  RETURN NULL;
END $seamline$",
        if is_printed(contract) { PRINTED } else { "" },
        quoted(&format!("state_{id}")),
        id,
    ));
    for table in 0..3 {
        statements.push(format!(
            "CREATE CONSTRAINT TRIGGER {trigger} AFTER INSERT ON seamline.outbox_{table} DEFERRABLE INITIALLY DEFERRED \
FOR EACH ROW WHEN (NEW.contract = {}) EXECUTE FUNCTION {function}",
            literal(id)
        ));
    }
    statements
}
