//! The tables of auditors, and of what lanes found that compared with them.

use super::table::Table;

/// What an auditor keeps of each topic.
pub(crate) const AUDIT: Table = Table {
    name: "seamline_audit",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline_audit (
  topic TEXT NOT NULL PRIMARY KEY,
  epoch INTEGER NOT NULL,
  holder TEXT,
  until TEXT
) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS seamline_audit_part (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  cluster TEXT NOT NULL,
  topic_id TEXT NOT NULL,
  leader_epoch INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  digest_epoch INTEGER NOT NULL,
  sums BLOB NOT NULL,
  near TEXT NOT NULL,
  PRIMARY KEY (topic, partition)
) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS seamline_audit_key (
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
) WITHOUT ROWID",
    ],
};

/// How each lane compared last.
pub(crate) const COMPARED: Table = Table {
    name: "seamline_compared",
    version: 1,
    make: &["CREATE TABLE IF NOT EXISTS seamline_compared (
  subscription TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  at TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (subscription, topic, partition)
) WITHOUT ROWID"],
};
