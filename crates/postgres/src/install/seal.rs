//! The keys of subjects in a producer's database: wrapped, and without their subject once they are destroyed.

use super::table::Table;

/// The table of keys.
pub(crate) const TABLE: Table = Table {
    name: "seal",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline.seal (
  id text PRIMARY KEY,
  contract text NOT NULL,
  subject text,
  under text,
  wrapped bytea,
  made timestamptz NOT NULL,
  destroyed timestamptz
)",
        "CREATE UNIQUE INDEX IF NOT EXISTS seal_subject ON seamline.seal (contract, subject) \
         WHERE subject IS NOT NULL",
    ],
};
