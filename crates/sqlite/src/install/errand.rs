//! Commands and their outcomes in a context's file: what may be sent and what is received, and the views for both.

use super::table::{self, Table};
use crate::file::literal;
use seamline_flow::errand::ErrandRules;

/// The tables of errands, and the views that are only inserted into.
pub(crate) const TABLE: Table = Table {
    name: "seamline_errand",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline_errand (
  side TEXT NOT NULL,
  contract TEXT NOT NULL,
  command TEXT NOT NULL,
  subscription TEXT NOT NULL,
  key_parts INTEGER NOT NULL,
  answer_seconds REAL,
  outcomes TEXT NOT NULL,
  PRIMARY KEY (side, contract, command)
) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS seamline_command (
  id TEXT NOT NULL PRIMARY KEY,
  contract TEXT NOT NULL,
  command TEXT NOT NULL,
  subscription TEXT NOT NULL,
  key TEXT NOT NULL,
  details TEXT,
  correlation TEXT,
  causation TEXT,
  written_at TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting',
  sent_at TEXT,
  due TEXT,
  late INTEGER NOT NULL DEFAULT 0,
  why TEXT,
  outcome TEXT,
  answer TEXT,
  ended_at TEXT
) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS seamline_letter (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  contract TEXT NOT NULL,
  command TEXT NOT NULL,
  outcome TEXT,
  recipient TEXT,
  key TEXT NOT NULL,
  details TEXT,
  correlation TEXT,
  causation TEXT,
  traceparent TEXT,
  written_at TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting',
  rule TEXT,
  path TEXT,
  message TEXT
)",
        "DROP VIEW IF EXISTS seamline_send",
        "CREATE VIEW seamline_send AS SELECT NULL AS contract, NULL AS command, NULL AS key, NULL AS id, NULL AS details, \
         NULL AS correlation, NULL AS causation, NULL AS traceparent WHERE false",
        SEND,
        "DROP VIEW IF EXISTS seamline_answer",
        "CREATE VIEW seamline_answer AS SELECT NULL AS number, NULL AS outcome, NULL AS details, NULL AS attempt WHERE false",
        ANSWER,
    ],
};

const SEND: &str = "CREATE TRIGGER seamline_send_insert INSTEAD OF INSERT ON seamline_send BEGIN
  SELECT RAISE(ABORT, 'seamline: this is no command that is sent from this file; name it under `sends` of a subscription')
    WHERE NOT EXISTS (SELECT 1 FROM seamline_errand e WHERE e.side = 'sends' AND e.contract = NEW.contract
      AND e.command = NEW.command);
  SELECT RAISE(ABORT, 'seamline: `id` must have 1 to 200 characters') WHERE length(coalesce(NEW.id, '')) NOT BETWEEN 1 AND 200;
  SELECT RAISE(ABORT, 'seamline: `key` must be a canonical JSON array with one text for each attribute of the key')
    WHERE NEW.key IS NULL OR NOT json_valid(NEW.key) OR json_type(NEW.key) <> 'array' OR json(NEW.key) <> NEW.key
      OR json_array_length(NEW.key) <> (SELECT e.key_parts FROM seamline_errand e WHERE e.side = 'sends'
        AND e.contract = NEW.contract AND e.command = NEW.command)
      OR EXISTS (SELECT 1 FROM json_each(NEW.key) k WHERE k.type <> 'text');
  SELECT RAISE(ABORT, 'seamline: `details` is not a JSON object')
    WHERE NEW.details IS NOT NULL AND (NOT json_valid(NEW.details) OR json_type(NEW.details) <> 'object');
  SELECT RAISE(ABORT, 'seamline: this id was used for a command of other content')
    WHERE EXISTS (SELECT 1 FROM seamline_command c WHERE c.id = NEW.id AND (c.contract <> NEW.contract
      OR c.command <> NEW.command OR c.key <> NEW.key OR c.details IS NOT NEW.details));
  INSERT INTO seamline_letter (id, contract, command, key, details, correlation, causation, traceparent, written_at)
    SELECT NEW.id, NEW.contract, NEW.command, NEW.key, NEW.details, NEW.correlation, NEW.causation, NEW.traceparent,
      strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE NOT EXISTS (SELECT 1 FROM seamline_command c WHERE c.id = NEW.id);
  INSERT INTO seamline_command (id, contract, command, subscription, key, details, correlation, causation, written_at, due)
    SELECT NEW.id, NEW.contract, NEW.command, e.subscription, NEW.key, NEW.details, NEW.correlation, NEW.causation,
      strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
      CASE WHEN e.answer_seconds IS NOT NULL
        THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+' || e.answer_seconds || ' seconds') END
    FROM seamline_errand e WHERE e.side = 'sends' AND e.contract = NEW.contract AND e.command = NEW.command
      AND NOT EXISTS (SELECT 1 FROM seamline_command c WHERE c.id = NEW.id);
END";

const ANSWER: &str = "CREATE TRIGGER seamline_answer_insert INSTEAD OF INSERT ON seamline_answer BEGIN
  SELECT RAISE(ABORT, 'seamline: this row of the inbox is not claimed, or was claimed again since')
    WHERE NOT EXISTS (SELECT 1 FROM seamline_inbox i WHERE i.number = NEW.number AND i.state = 'claimed'
      AND (NEW.attempt IS NULL OR i.attempts = NEW.attempt));
  SELECT RAISE(ABORT, 'seamline: this row of the inbox is no command; end it by seamline_done')
    WHERE NOT EXISTS (SELECT 1 FROM seamline_inbox i JOIN seamline_errand e ON e.side = 'receives'
      AND e.subscription = i.subscription AND e.command = i.event WHERE i.number = NEW.number);
  SELECT RAISE(ABORT, 'seamline: `outcome` is none that the command declares')
    WHERE NOT EXISTS (SELECT 1 FROM seamline_inbox i JOIN seamline_errand e ON e.side = 'receives'
      AND e.subscription = i.subscription AND e.command = i.event JOIN json_each(e.outcomes) o ON o.value = NEW.outcome
      WHERE i.number = NEW.number);
  SELECT RAISE(ABORT, 'seamline: `details` is not a JSON object')
    WHERE NEW.details IS NOT NULL AND (NOT json_valid(NEW.details) OR json_type(NEW.details) <> 'object');
  INSERT INTO seamline_letter (id, contract, command, outcome, recipient, key, details, traceparent, written_at)
    SELECT i.correlation, e.contract, i.event, NEW.outcome, substr(i.id, 1, instr(i.id, '/') - 1), i.key, NEW.details,
      i.traceparent, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM seamline_inbox i JOIN seamline_errand e ON e.side = 'receives' AND e.subscription = i.subscription
      AND e.command = i.event WHERE i.number = NEW.number;
  UPDATE seamline_inbox SET state = 'done', due = NULL, why = NULL, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    WHERE number = NEW.number;
END";

/// Returns the statements that install errands.
pub fn all_statements(rules: &ErrandRules) -> Vec<String> {
    let mut statements = table::statements(&[table::SHARED, table::CONSUMER]);
    statements.extend(self::statements(rules));
    statements
}

/// Returns the statements that say what may be sent and what is received, in the place of what was said before.
fn statements(rules: &ErrandRules) -> Vec<String> {
    let mut statements = vec!["DELETE FROM seamline_errand".to_owned()];
    let mut push = |side: &str, texts: [&str; 3], parts: usize, answer: String, outcomes: &[String]| {
        let outcomes = serde_json::Value::from(outcomes).to_string();
        let texts = texts.map(literal).join(", ");
        statements.push(format!(
            "INSERT INTO seamline_errand (side, contract, command, subscription, key_parts, answer_seconds, outcomes) \
             VALUES ('{side}', {texts}, {parts}, {answer}, {})",
            literal(&outcomes)
        ));
    };
    for it in &rules.sends {
        let answer = it.answer.map_or("NULL".to_owned(), |span| span.as_secs_f64().to_string());
        let (contract, subscription) = (it.contract.to_string(), it.subscription.to_string());
        push("sends", [&contract, it.command.as_str(), &subscription], it.key_parts, answer, &[]);
    }
    for it in &rules.receives {
        let (contract, subscription) = (it.contract.to_string(), it.subscription.to_string());
        let texts = [contract.as_str(), it.command.as_str(), &subscription];
        push("receives", texts, 0, "NULL".to_owned(), &it.outcomes);
    }
    statements
}
