//! The tables that Seamline keeps in a context's database, with the version of each one's format.

use crate::file::{Formats, format_statements};

/// A stored table: name, version of its format, statements that make it where it is missing.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) version: i64,
    pub(crate) make: &'static [&'static str],
}

/// The stored forms that a context's file can hold.
pub(crate) const FORMATS: Formats = &[
    ("seamline_case", 1),
    ("seamline_job", 1),
    ("seamline_translation", 1),
    ("seamline_watch", 1),
    ("seamline_pass", 1),
    ("seamline_replica", 1),
    ("seamline_ledger", 1),
    ("seamline_audit", 1),
    ("seamline_compared", 1),
    ("seamline_contract", 1),
    ("seamline_outbox", 1),
    ("seamline_deferred", 1),
    ("seamline_key", 1),
    ("seamline_quarantine", 1),
    ("seamline_explained", 1),
    ("seamline_lease", 1),
    ("seamline_lane", 1),
    ("seamline_projection", 1),
    ("seamline_tombstone", 1),
    ("seamline_chain", 1),
    ("seamline_inbox", 2),
    ("seamline_errand", 1),
    ("seamline_seal", 1),
    ("seamline_set", 1),
    ("seamline_aside", 1),
    ("seamline_received_aside", 1),
];

/// What producers and consumers have.
pub(crate) const SHARED: &[Table] = &[
    Table {
        name: "seamline_case",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_case (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  fingerprint TEXT NOT NULL UNIQUE,
  subject TEXT NOT NULL,
  owed_by TEXT NOT NULL,
  summary TEXT NOT NULL,
  details TEXT NOT NULL,
  stage TEXT NOT NULL,
  opened TEXT NOT NULL,
  times INTEGER NOT NULL
)",
            "CREATE TABLE IF NOT EXISTS seamline_case_timeline (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  case_id INTEGER NOT NULL REFERENCES seamline_case ON DELETE CASCADE,
  at TEXT NOT NULL,
  what TEXT NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS seamline_case_timeline_case ON seamline_case_timeline (case_id)",
        ],
    },
    Table {
        name: "seamline_job",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  orders TEXT NOT NULL,
  stage TEXT NOT NULL,
  holder TEXT,
  until TEXT,
  turn INTEGER NOT NULL,
  progress TEXT NOT NULL,
  note TEXT NOT NULL,
  since TEXT NOT NULL,
  changed TEXT NOT NULL
)",
            "CREATE UNIQUE INDEX IF NOT EXISTS seamline_job_subject ON seamline_job (subject) \
             WHERE NOT stage IN ('done', 'failed', 'aborted')",
            "CREATE TABLE IF NOT EXISTS seamline_job_part (
  job INTEGER NOT NULL REFERENCES seamline_job ON DELETE CASCADE,
  part INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  progress TEXT NOT NULL,
  PRIMARY KEY (job, part)
) WITHOUT ROWID",
        ],
    },
    Table {
        name: "seamline_translation",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_translation (
  subscription TEXT NOT NULL PRIMARY KEY,
  translation TEXT NOT NULL
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_replica",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_replica (
  holder TEXT NOT NULL PRIMARY KEY,
  until TEXT NOT NULL
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_ledger",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_ledger (
  topic TEXT NOT NULL,
  key TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  last INTEGER NOT NULL,
  last_offset INTEGER NOT NULL,
  version TEXT,
  digest BLOB NOT NULL,
  ended INTEGER NOT NULL,
  PRIMARY KEY (topic, key)
) WITHOUT ROWID"],
    },
    super::audit::AUDIT,
    super::audit::COMPARED,
    Table {
        name: "seamline_watch",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_watch (
  subject TEXT NOT NULL PRIMARY KEY,
  since TEXT NOT NULL,
  began TEXT,
  holder TEXT,
  until TEXT,
  paused TEXT,
  turn INTEGER NOT NULL
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_pass",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_pass (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  holder TEXT NOT NULL,
  began TEXT NOT NULL,
  ended TEXT NOT NULL,
  conclusion TEXT NOT NULL,
  rows INTEGER NOT NULL,
  drifted INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  facts TEXT NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS seamline_pass_subject ON seamline_pass (subject, id)",
        ],
    },
];

/// What a producer has beside.
pub(crate) const PRODUCER: &[Table] = &[
    super::set::TABLE,
    Table {
        name: "seamline_contract",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_contract (
  contract TEXT NOT NULL PRIMARY KEY,
  version TEXT NOT NULL,
  key_kinds TEXT NOT NULL,
  published INTEGER NOT NULL DEFAULT 0,
  lost INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_outbox",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  contract TEXT NOT NULL,
  version TEXT NOT NULL,
  key TEXT NOT NULL,
  change TEXT,
  details TEXT,
  effective TEXT,
  reason TEXT,
  state TEXT,
  moved TEXT,
  previous TEXT NOT NULL,
  void_channel TEXT,
  void_sequence INTEGER,
  void_previous INTEGER,
  correlation TEXT,
  causation TEXT,
  traceparent TEXT,
  written_at TEXT NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS seamline_outbox_void ON seamline_outbox (void_sequence) \
             WHERE void_sequence IS NOT NULL",
        ],
    },
    Table {
        name: "seamline_deferred",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_deferred (
  id INTEGER PRIMARY KEY,
  contract TEXT NOT NULL,
  version TEXT NOT NULL,
  key TEXT NOT NULL,
  change TEXT,
  details TEXT,
  effective TEXT,
  reason TEXT,
  state TEXT,
  moved TEXT,
  previous TEXT NOT NULL,
  void_channel TEXT,
  void_sequence INTEGER,
  void_previous INTEGER,
  correlation TEXT,
  causation TEXT,
  traceparent TEXT,
  written_at TEXT NOT NULL,
  place INTEGER NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS seamline_deferred_key ON seamline_deferred (contract, key, place, id)",
        ],
    },
    Table {
        name: "seamline_key",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_key (
  contract TEXT NOT NULL,
  key TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  chains TEXT NOT NULL,
  moved TEXT,
  written INTEGER NOT NULL,
  PRIMARY KEY (contract, key)
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_quarantine",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_quarantine (
  id INTEGER PRIMARY KEY,
  contract TEXT NOT NULL,
  version TEXT NOT NULL,
  key TEXT NOT NULL,
  change TEXT,
  details TEXT,
  effective TEXT,
  reason TEXT,
  state TEXT,
  moved TEXT,
  previous TEXT NOT NULL,
  void_channel TEXT,
  void_sequence INTEGER,
  void_previous INTEGER,
  correlation TEXT,
  causation TEXT,
  traceparent TEXT,
  written_at TEXT NOT NULL,
  rule TEXT,
  path TEXT,
  message TEXT,
  since TEXT NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS seamline_quarantine_key ON seamline_quarantine (contract, key, id)",
        ],
    },
    Table {
        name: "seamline_explained",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_explained (
  contract TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (contract, sequence)
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_lease",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_lease (
  name TEXT NOT NULL PRIMARY KEY,
  epoch INTEGER NOT NULL,
  holder TEXT,
  until TEXT,
  batch INTEGER NOT NULL
) WITHOUT ROWID",
            "INSERT OR IGNORE INTO seamline_lease (name, epoch, batch) VALUES ('outbox', 0, 0)",
        ],
    },
];

/// What a producer has beside that seals: where nothing is sealed, older programs work on.
pub(crate) const SEALING: &[Table] = &[super::seal::TABLE];

/// What a consumer has beside.
pub(crate) const CONSUMER: &[Table] = &[
    Table {
        name: "seamline_lane",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_lane (
  subscription TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  holder TEXT,
  until TEXT,
  cluster TEXT,
  topic_id TEXT,
  leader_epoch INTEGER,
  offset INTEGER,
  bootstrap_end INTEGER,
  digest_epoch INTEGER NOT NULL,
  sums BLOB NOT NULL,
  counted_from INTEGER NOT NULL,
  counted_to INTEGER NOT NULL,
  handed INTEGER NOT NULL,
  applied INTEGER NOT NULL,
  superseded INTEGER NOT NULL,
  duplicates INTEGER NOT NULL,
  conflicts INTEGER NOT NULL,
  coalesced INTEGER NOT NULL,
  held INTEGER NOT NULL,
  quarantined INTEGER NOT NULL,
  absent INTEGER NOT NULL,
  PRIMARY KEY (subscription, topic, partition)
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_tombstone",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_tombstone (
  subscription TEXT NOT NULL,
  key TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  received BLOB NOT NULL,
  written BLOB NOT NULL,
  PRIMARY KEY (subscription, key)
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_chain",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_chain (
  subscription TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  key TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (subscription, topic, partition, key)
) WITHOUT ROWID"],
    },
    Table {
        name: "seamline_inbox",
        version: 2,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_inbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription TEXT NOT NULL,
  id TEXT NOT NULL,
  key TEXT NOT NULL,
  event TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  effective TEXT,
  reason TEXT,
  payload TEXT NOT NULL,
  projection_behind INTEGER NOT NULL,
  received_at TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting',
  attempts INTEGER NOT NULL DEFAULT 0,
  due TEXT,
  why TEXT,
  ended_at TEXT,
  correlation TEXT,
  traceparent TEXT,
  UNIQUE (subscription, id)
)",
            "CREATE INDEX IF NOT EXISTS seamline_inbox_free ON seamline_inbox (subscription, number) \
             WHERE state IN ('waiting', 'claimed')",
            "CREATE INDEX IF NOT EXISTS seamline_inbox_open ON seamline_inbox (subscription, key, number) \
             WHERE state <> 'done'",
            "DROP INDEX IF EXISTS seamline_inbox_waiting",
            super::inbox::CLAIMABLE[0],
            super::inbox::CLAIMABLE[1],
            super::inbox::CLAIM[0],
            super::inbox::CLAIM[1],
            super::inbox::CLAIM[2],
            super::inbox::DONE[0],
            super::inbox::DONE[1],
            super::inbox::DONE[2],
            super::inbox::FAILED[0],
            super::inbox::FAILED[1],
            super::inbox::FAILED[2],
        ],
    },
    super::errand::TABLE,
    super::set::TABLE,
    Table {
        name: "seamline_aside",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline_aside (
  subscription TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  key TEXT,
  sequence INTEGER,
  received BLOB NOT NULL,
  cause TEXT NOT NULL,
  rule TEXT,
  path TEXT,
  message TEXT,
  gap_seen INTEGER,
  gap_named INTEGER,
  raw_key BLOB,
  headers TEXT NOT NULL,
  value BLOB,
  since TEXT NOT NULL,
  PRIMARY KEY (subscription, topic, partition, offset)
) WITHOUT ROWID",
            "CREATE INDEX IF NOT EXISTS seamline_aside_key ON seamline_aside (subscription, topic, partition, key)",
        ],
    },
    Table {
        name: "seamline_received_aside",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline_received_aside (
  subscription TEXT NOT NULL,
  key TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (subscription, key)
) WITHOUT ROWID"],
    },
];

/// Returns the statements that make sets of tables and record their formats.
pub(crate) fn statements(sets: &[&[Table]]) -> Vec<String> {
    let tables = || sets.iter().flat_map(|set| set.iter());
    let mut statements = format_statements(tables().map(|table| (table.name, table.version)));
    statements.extend(tables().flat_map(|table| table.make.iter().map(|make| (*make).to_owned())));
    statements
}

#[cfg(test)]
mod tests {
    use super::{CONSUMER, FORMATS, PRODUCER, SHARED};

    #[test]
    fn every_stored_table_has_the_format_that_is_known() {
        for table in SHARED.iter().chain(PRODUCER).chain(CONSUMER) {
            assert!(FORMATS.contains(&(table.name, table.version)), "{}", table.name);
            assert!(table.make[0].contains(&format!("EXISTS {} (", table.name)), "{}", table.name);
        }
    }
}
