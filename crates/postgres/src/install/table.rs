//! The tables that Seamline keeps in schema `seamline`, with the version of each one's format.

use super::{compose, table_consumer};
use crate::logical::slot::STORED_VERSION;

/// A stored table: name within the schema, version of its format, statements that make it where it is missing.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) version: i32,
    pub(crate) make: &'static [&'static str],
}

/// What a producer has beside what is shared.
///
/// The outbox is three tables, filled in turn by the minute: one that is drained is cut off, so that rows removed under
/// somebody's old snapshot are not passed again. Columns of `seamline.key` that change are in no index, and its pages have
/// room: an update stays on its page.
pub(crate) const PRODUCER: &[Table] = &[
    super::set::TABLE,
    Table {
        name: "contract",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline.contract (
  contract text PRIMARY KEY,
  version text NOT NULL,
  published bigint NOT NULL DEFAULT 0,
  lost bigint NOT NULL DEFAULT 0
)"],
    },
    Table {
        name: "outbox",
        version: 1,
        make: &[
            "CREATE SEQUENCE IF NOT EXISTS seamline.sequence AS bigint CACHE 1",
            OUTBOX_0,
            OUTBOX_1,
            OUTBOX_2,
            "CREATE TABLE IF NOT EXISTS seamline.void (
  id bigint PRIMARY KEY,
  contract text NOT NULL,
  version text NOT NULL,
  key text NOT NULL,
  channel text NOT NULL,
  place bigint NOT NULL,
  previous bigint,
  written_at timestamptz NOT NULL DEFAULT clock_timestamp()
)",
        ],
    },
    Table {
        name: "deferred",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline.deferred (
  id bigint PRIMARY KEY,
  contract text NOT NULL,
  version text NOT NULL,
  key text NOT NULL,
  change text,
  details text,
  effective text,
  reason text,
  state text,
  moved text,
  previous text NOT NULL,
  correlation text,
  causation text,
  traceparent text,
  void_channel text,
  void_place bigint,
  void_previous bigint,
  written_at timestamptz NOT NULL,
  place bigint NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS deferred_key ON seamline.deferred (contract, key, place, id)",
        ],
    },
    Table {
        name: "key",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline.key (
  contract text NOT NULL,
  key text COLLATE \"C\" NOT NULL,
  sequence bigint,
  written bigint NOT NULL DEFAULT 0,
  previous text,
  moved text,
  chains jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (contract, key)
) WITH (fillfactor = 60)"],
    },
    Table {
        name: "quarantine",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline.quarantine (
  id bigint PRIMARY KEY,
  contract text NOT NULL,
  version text NOT NULL,
  key text NOT NULL,
  change text,
  details text,
  effective text,
  reason text,
  state text,
  moved text,
  previous text NOT NULL,
  correlation text,
  causation text,
  traceparent text,
  void_channel text,
  void_place bigint,
  void_previous bigint,
  written_at timestamptz NOT NULL,
  rule text,
  path text,
  message text,
  since timestamptz NOT NULL
)",
            "CREATE INDEX IF NOT EXISTS quarantine_key ON seamline.quarantine (contract, key, id)",
        ],
    },
    Table {
        name: "explained",
        version: 1,
        make: &["CREATE TABLE IF NOT EXISTS seamline.explained (
  contract text NOT NULL,
  sequence bigint NOT NULL,
  key text NOT NULL,
  PRIMARY KEY (contract, sequence)
)"],
    },
    Table {
        name: "lease",
        version: 1,
        make: &[
            "CREATE TABLE IF NOT EXISTS seamline.lease (
  name text PRIMARY KEY,
  epoch bigint NOT NULL,
  holder text,
  until timestamptz,
  batch bigint NOT NULL
)",
            "INSERT INTO seamline.lease (name, epoch, batch) VALUES ('outbox', 0, 0) ON CONFLICT DO NOTHING",
        ],
    },
];

/// What a producer has beside that seals: where nothing is sealed, older programs work on.
pub(crate) const SEALING: &[Table] = &[super::seal::TABLE];

macro_rules! outbox {
    ($name:literal) => {
        concat!(
            "CREATE TABLE IF NOT EXISTS seamline.",
            $name,
            " (
  id bigint PRIMARY KEY,
  contract text NOT NULL,
  version text NOT NULL,
  key text NOT NULL,
  change text,
  details text,
  effective text,
  reason text,
  state text,
  moved text,
  previous text NOT NULL,
  correlation text,
  causation text,
  traceparent text,
  written_at timestamptz NOT NULL DEFAULT clock_timestamp()
)"
        )
    };
}

const OUTBOX_0: &str = outbox!("outbox_0");
const OUTBOX_1: &str = outbox!("outbox_1");
const OUTBOX_2: &str = outbox!("outbox_2");

/// Returns the newest version known here of a stored table's format.
pub(crate) fn known(name: &str) -> Option<i32> {
    if name == "slot" {
        return Some(STORED_VERSION);
    }
    let sets = [table_consumer::SHARED, PRODUCER, SEALING, &[compose::TABLE], table_consumer::CONSUMER];
    sets.iter().flat_map(|set| set.iter()).find(|table| table.name == name).map(|table| table.version)
}

/// Returns the statements that make the schema and sets of tables, and record their formats.
pub(crate) fn statements(sets: &[&[Table]]) -> Vec<String> {
    let mut statements = vec![
        "CREATE SCHEMA IF NOT EXISTS seamline".to_owned(),
        "CREATE TABLE IF NOT EXISTS seamline.format (stored text PRIMARY KEY, version integer NOT NULL)"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS seamline.context (context text NOT NULL, \
         one boolean PRIMARY KEY DEFAULT true CHECK (one))"
            .to_owned(),
    ];
    for table in sets.iter().flat_map(|set| set.iter()) {
        statements.extend(table.make.iter().map(|make| (*make).to_owned()));
        statements.push(format!(
            "INSERT INTO seamline.format (stored, version) VALUES ('{}', {}) \
             ON CONFLICT (stored) DO UPDATE SET version = excluded.version",
            table.name, table.version
        ));
    }
    statements
}
