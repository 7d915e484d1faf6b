//! Commands and their outcomes in a context's database: what may be sent and what is received, and the functions for both.
//!
//! Invariants: a command and its letter are written by the service's own transaction; an id stands for one content for as long
//! as its command is kept; an outcome and the end of its row are written together.

use super::publish::CHECKS;
use super::table::Table;
use super::{claim, inbox, table, table_consumer};
use crate::sql::{literal, quoted};
use seamline_contract::id::ContextId;
use seamline_flow::errand::ErrandRules;

/// The tables of errands. They are there in each database that has an inbox.
pub(crate) const TABLE: Table = Table {
    name: "errand",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline.sends (
  contract text NOT NULL,
  command text NOT NULL,
  subscription text NOT NULL,
  key_parts integer NOT NULL,
  answer interval,
  PRIMARY KEY (contract, command)
)",
        "CREATE TABLE IF NOT EXISTS seamline.receives (
  subscription text NOT NULL,
  contract text NOT NULL,
  command text NOT NULL,
  outcomes text[] NOT NULL,
  PRIMARY KEY (subscription, command)
)",
        "CREATE TABLE IF NOT EXISTS seamline.command (
  id text PRIMARY KEY,
  contract text NOT NULL,
  command text NOT NULL,
  subscription text NOT NULL,
  key text NOT NULL,
  details text,
  correlation text,
  causation text,
  written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  state text NOT NULL DEFAULT 'waiting',
  sent_at timestamptz,
  due timestamptz,
  late boolean NOT NULL DEFAULT false,
  why text,
  outcome text,
  answer text,
  ended_at timestamptz
)",
        "CREATE INDEX IF NOT EXISTS command_due ON seamline.command (due) \
         WHERE state IN ('waiting', 'sent') AND NOT late AND due IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS command_ended ON seamline.command (ended_at) WHERE ended_at IS NOT NULL",
        "CREATE TABLE IF NOT EXISTS seamline.letter (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL,
  contract text NOT NULL,
  command text NOT NULL,
  outcome text,
  recipient text,
  key text NOT NULL,
  details text,
  correlation text,
  causation text,
  traceparent text,
  written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  state text NOT NULL DEFAULT 'waiting',
  rule text,
  path text,
  message text
)",
        "CREATE INDEX IF NOT EXISTS letter_waiting ON seamline.letter (number) WHERE state = 'waiting'",
        SEND,
        ANSWER,
    ],
};

/// Sends a command.
const SEND: &str = "CREATE OR REPLACE FUNCTION seamline.send(contract text, command text, key text, \
id text DEFAULT NULL, details text DEFAULT NULL, correlation text DEFAULT NULL, causation text DEFAULT NULL, \
traceparent text DEFAULT NULL) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
DECLARE
  may seamline.sends%ROWTYPE;
  given text := coalesce(send.id, gen_random_uuid()::text);
  same boolean;
BEGIN
  SELECT * INTO may FROM seamline.sends s WHERE s.contract = send.contract AND s.command = send.command;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'seamline: `%` of `%` is no command that is sent from this database', send.command, send.contract
      USING ERRCODE = 'invalid_parameter_value', HINT = 'name it under `sends` of a subscription, and install again';
  END IF;
  IF given = '' OR length(given) > 200 THEN
    RAISE EXCEPTION 'seamline: `id` must have 1 to 200 characters' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM seamline.texts_of(send.contract, send.key, may.key_parts);
  IF send.details IS NOT NULL THEN
    PERFORM seamline.check_object(send.contract, 'details', send.details);
  END IF;
  INSERT INTO seamline.command (id, contract, command, subscription, key, details, correlation, causation, due)
    VALUES (given, send.contract, send.command, may.subscription, send.key, send.details, send.correlation, send.causation,
      clock_timestamp() + may.answer)
    ON CONFLICT ON CONSTRAINT command_pkey DO NOTHING;
  IF NOT FOUND THEN
    SELECT c.contract = send.contract AND c.command = send.command AND c.key = send.key
      AND c.details IS NOT DISTINCT FROM send.details INTO same FROM seamline.command c WHERE c.id = given;
    IF same IS DISTINCT FROM true THEN
      RAISE EXCEPTION 'seamline: the id `%` was used for a command of other content', given
        USING ERRCODE = 'unique_violation', HINT = 'give each command an id of its own';
    END IF;
    RETURN given;
  END IF;
  INSERT INTO seamline.letter (id, contract, command, key, details, correlation, causation, traceparent)
    VALUES (given, send.contract, send.command, send.key, send.details, send.correlation, send.causation, send.traceparent);
  RETURN given;
END $seamline$";

/// Ends a command with its outcome.
const ANSWER: &str = "CREATE OR REPLACE FUNCTION seamline.answer(number bigint, outcome text, details text DEFAULT NULL, \
attempt integer DEFAULT NULL) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
DECLARE
  asked seamline.inbox%ROWTYPE;
  rules seamline.receives%ROWTYPE;
BEGIN
  UPDATE seamline.inbox i SET state = 'done', due = NULL, why = NULL, ended_at = clock_timestamp()
  WHERE i.number = answer.number AND i.state = 'claimed' AND (attempt IS NULL OR i.attempts = attempt) RETURNING i.* INTO asked;
  IF asked.number IS NULL THEN
    RAISE EXCEPTION 'seamline: row % of the inbox is not claimed, or was claimed again since', number
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'roll back: whoever has the row now works it off';
  END IF;
  SELECT * INTO rules FROM seamline.receives r WHERE r.subscription = asked.subscription AND r.command = asked.event;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'seamline: row % of the inbox is no command', number
      USING ERRCODE = 'invalid_parameter_value', HINT = 'end it by seamline.done';
  END IF;
  IF answer.outcome IS NULL OR NOT answer.outcome = ANY (rules.outcomes) THEN
    RAISE EXCEPTION 'seamline: `outcome` is none that `%` declares', asked.event
      USING ERRCODE = 'invalid_parameter_value', HINT = 'it is one of: ' || array_to_string(rules.outcomes, ', ');
  END IF;
  IF answer.details IS NOT NULL THEN
    PERFORM seamline.check_object(rules.contract, 'details', answer.details);
  END IF;
  INSERT INTO seamline.letter (id, contract, command, outcome, recipient, key, details, traceparent)
    VALUES (asked.correlation, rules.contract, asked.event, answer.outcome, split_part(asked.id, '/', 1), asked.key,
      answer.details, asked.traceparent);
END $seamline$";

/// The functions that a service calls, as GRANT names them.
const CALLS: [&str; 2] =
    ["send(text, text, text, text, text, text, text, text)", "answer(bigint, text, text, integer)"];

/// Returns the statements that install errands; each is complete.
pub fn all_statements(context: &ContextId, rules: &ErrandRules) -> Vec<String> {
    let mut statements = table::statements(&[table_consumer::SHARED, table_consumer::CONSUMER]);
    statements.insert(3, claim(context));
    statements.extend(CHECKS.iter().map(|check| (*check).to_owned()));
    statements.extend(self::statements(rules));
    statements.push("REVOKE ALL ON SCHEMA seamline FROM PUBLIC".to_owned());
    statements
}

/// Returns what a service's role needs to send commands and to end those that it receives, and what an agent's role needs.
pub fn grants(service_role: &str, agent_role: &str) -> Vec<String> {
    let (service, agent) = (quoted(service_role), quoted(agent_role));
    let mut grants = vec![format!("GRANT USAGE ON SCHEMA seamline TO {service}, {agent}")];
    for call in CALLS.iter().chain(&inbox::CALLS) {
        grants.push(format!("GRANT EXECUTE ON FUNCTION seamline.{call} TO {service}, {agent}"));
    }
    grants.push(format!("GRANT SELECT ON seamline.command, seamline.inbox TO {service}"));
    grants.push(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA seamline TO {agent}"));
    grants.push(format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA seamline TO {agent}"));
    grants.push(format!("REVOKE INSERT, UPDATE, DELETE ON seamline.format, seamline.context FROM {agent}"));
    grants
}

/// Returns the statements that say what may be sent and what is received, in the place of what was said before.
fn statements(rules: &ErrandRules) -> Vec<String> {
    let mut statements =
        vec!["DELETE FROM seamline.sends".to_owned(), "DELETE FROM seamline.receives".to_owned()];
    for it in &rules.sends {
        let answer = it
            .answer
            .map_or("NULL".to_owned(), |span| format!("{} * interval '1 millisecond'", span.as_millis()));
        statements.push(format!(
            "INSERT INTO seamline.sends (contract, command, subscription, key_parts, answer) VALUES ({}, {}, {}, {}, {answer})",
            literal(&it.contract.to_string()),
            literal(it.command.as_str()),
            literal(&it.subscription.to_string()),
            it.key_parts,
        ));
    }
    for it in &rules.receives {
        let outcomes: Vec<String> = it.outcomes.iter().map(|outcome| literal(outcome)).collect();
        statements.push(format!(
            "INSERT INTO seamline.receives (subscription, contract, command, outcomes) VALUES ({}, {}, {}, ARRAY[{}]::text[])",
            literal(&it.subscription.to_string()),
            literal(&it.contract.to_string()),
            literal(it.command.as_str()),
            outcomes.join(", "),
        ));
    }
    statements
}
