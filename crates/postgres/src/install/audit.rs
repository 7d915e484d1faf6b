//! The tables of auditors, and of what lanes found that compared with them.

use super::table::Table;

/// What an auditor keeps of each topic. A crash of the server empties all three at once, and they are built anew: nothing of them
/// needs the log of the database.
pub(crate) const AUDIT: Table = Table {
    name: "audit",
    version: 1,
    make: &[
        "CREATE UNLOGGED TABLE IF NOT EXISTS seamline.audit (
  topic text COLLATE \"C\" PRIMARY KEY,
  epoch bigint NOT NULL,
  holder text,
  until timestamptz
) WITH (fillfactor = 50)",
        "CREATE UNLOGGED TABLE IF NOT EXISTS seamline.audit_part (
  topic text COLLATE \"C\" NOT NULL,
  partition integer NOT NULL,
  cluster text NOT NULL,
  topic_id text NOT NULL,
  leader_epoch integer NOT NULL,
  \"offset\" bigint NOT NULL,
  digest_epoch bigint NOT NULL,
  sums bytea NOT NULL,
  near text NOT NULL,
  PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50)",
        "CREATE UNLOGGED TABLE IF NOT EXISTS seamline.audit_key (
  topic text COLLATE \"C\" NOT NULL,
  key text COLLATE \"C\" NOT NULL,
  sequence bigint NOT NULL,
  \"offset\" bigint NOT NULL,
  last bigint NOT NULL,
  last_offset bigint NOT NULL,
  version text,
  digest bytea NOT NULL,
  ended boolean NOT NULL,
  PRIMARY KEY (topic, key)
) WITH (fillfactor = 50)",
    ],
};

/// How each lane compared last.
pub(crate) const COMPARED: Table = Table {
    name: "compared",
    version: 1,
    make: &["CREATE TABLE IF NOT EXISTS seamline.compared (
  subscription text NOT NULL,
  topic text COLLATE \"C\" NOT NULL,
  partition integer NOT NULL,
  \"offset\" bigint NOT NULL,
  at text NOT NULL,
  outcome text NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (subscription, topic, partition)
)"],
};
