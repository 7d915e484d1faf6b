//! The functions with which a service takes what is in its inbox, and the columns that they need.
//!
//! Invariants: of each key only the first row that is not done can be claimed, so the order of a key holds whatever workers do;
//! a claim is one UPDATE of rows that nobody has locked; who ends a row must have the claim on it that stands.

/// Adds the columns that came after the first format. Where they are there, no lock is taken.
pub(crate) const UPGRADE: &str = "DO $seamline$ BEGIN
IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'seamline.inbox'::regclass AND attname = 'due') THEN
  ALTER TABLE seamline.inbox ADD COLUMN due timestamptz, ADD COLUMN why text, ADD COLUMN ended_at timestamptz,
    ADD COLUMN correlation text, ADD COLUMN traceparent text;
END IF;
END $seamline$";

/// Claims the first rows that are free.
pub(crate) const CLAIM: &str = "CREATE OR REPLACE FUNCTION seamline.claim(subscription text, \
hold interval DEFAULT '1 minute', most integer DEFAULT 1) RETURNS SETOF seamline.inbox \
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
DECLARE
  own text := (SELECT c.context FROM seamline.context c);
BEGIN
  IF claim.subscription IS NULL OR claim.subscription NOT LIKE own || '/_%' THEN
    RAISE EXCEPTION 'seamline: `subscription` is none of this database''s context'
      USING ERRCODE = 'invalid_parameter_value', HINT = 'write it as ' || own || '/SUBSCRIPTION';
  END IF;
  IF hold IS NULL OR hold <= interval '0' OR most IS NULL OR most < 1 THEN
    RAISE EXCEPTION 'seamline: `hold` and `most` must be more than nothing' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN QUERY WITH free AS (
    SELECT i.number FROM seamline.inbox i
    WHERE i.subscription = claim.subscription AND i.state IN ('waiting', 'claimed')
      AND (i.due IS NULL OR i.due <= clock_timestamp())
      AND NOT EXISTS (SELECT FROM seamline.inbox e WHERE e.subscription = i.subscription AND e.key = i.key
        AND e.state <> 'done' AND e.number < i.number)
    ORDER BY i.number LIMIT most FOR UPDATE OF i SKIP LOCKED
  ), claimed AS (
    UPDATE seamline.inbox i SET state = 'claimed', attempts = i.attempts + 1, due = clock_timestamp() + hold
    FROM free WHERE i.number = free.number RETURNING i.*
  ) SELECT * FROM claimed ORDER BY claimed.number;
END $seamline$";

/// Ends a claimed row.
pub(crate) const DONE: &str = "CREATE OR REPLACE FUNCTION seamline.done(number bigint, attempt integer DEFAULT NULL) \
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
DECLARE
  ended text;
BEGIN
  UPDATE seamline.inbox i SET state = 'done', due = NULL, why = NULL, ended_at = clock_timestamp()
  WHERE i.number = done.number AND i.state = 'claimed' AND (attempt IS NULL OR i.attempts = attempt)
  RETURNING i.subscription INTO ended;
  IF ended IN (SELECT r.subscription FROM seamline.receives r) THEN
    RAISE EXCEPTION 'seamline: row % of the inbox is a command', number
      USING ERRCODE = 'invalid_parameter_value', HINT = 'end it with its outcome, by seamline.answer';
  END IF;
  IF ended IS NULL THEN
    RAISE EXCEPTION 'seamline: row % of the inbox is not claimed, or was claimed again since', number
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'roll back: whoever has the row now works it off';
  END IF;
END $seamline$";

/// Gives a claimed row back, or lets it rest.
pub(crate) const FAILED: &str = "CREATE OR REPLACE FUNCTION seamline.failed(number bigint, why text, \
attempt integer DEFAULT NULL, again interval DEFAULT '10 seconds', most integer DEFAULT 10) RETURNS text \
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
DECLARE
  became text;
BEGIN
  IF why IS NULL OR why = '' THEN
    RAISE EXCEPTION 'seamline: `why` says nothing' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  UPDATE seamline.inbox i SET why = failed.why,
    state = CASE WHEN again IS NULL OR i.attempts >= most THEN 'failed' ELSE 'waiting' END,
    due = CASE WHEN again IS NULL OR i.attempts >= most THEN NULL
      ELSE clock_timestamp() + again * power(2, least(i.attempts - 1, 10)) END
  WHERE i.number = failed.number AND i.state = 'claimed' AND (attempt IS NULL OR i.attempts = attempt)
  RETURNING i.state INTO became;
  IF became IS NULL THEN
    RAISE EXCEPTION 'seamline: row % of the inbox is not claimed, or was claimed again since', number
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'leave it: whoever has the row now works it off';
  END IF;
  RETURN became;
END $seamline$";

/// The functions that a service calls, as GRANT names them.
pub(crate) const CALLS: [&str; 3] = [
    "claim(text, interval, integer)",
    "done(bigint, integer)",
    "failed(bigint, text, integer, interval, integer)",
];
