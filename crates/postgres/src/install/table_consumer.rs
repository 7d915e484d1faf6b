//! The tables that producers and consumers share, and those that a consumer has beside.

use super::table::Table;

/// What producers and consumers have: replicas, cases and ledgers.
pub(crate) const SHARED: &[Table] = &[
    REPLICA,
    Table {
        name: "cases",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline.cases (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  fingerprint text NOT NULL UNIQUE,
  subject text NOT NULL,
  owed_by text NOT NULL,
  summary text NOT NULL,
  details text NOT NULL,
  stage text NOT NULL,
  opened text NOT NULL,
  times bigint NOT NULL
)",
            "CREATE TABLE IF NOT EXISTS seamline.case_timeline (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  case_id bigint NOT NULL REFERENCES seamline.cases ON DELETE CASCADE,
  at text NOT NULL,
  what text NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS case_timeline_case ON seamline.case_timeline (case_id)",
        ],
    },
];

const REPLICA: Table = Table {
    name: "replica",
    version: 1,
    make: &["CREATE TABLE IF NOT EXISTS seamline.replica (
  holder text PRIMARY KEY,
  until timestamptz NOT NULL
)"],
};

/// What a consumer has beside.
pub(crate) const CONSUMER: &[Table] = &[];
