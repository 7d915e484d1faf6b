//! The keys of subjects in a producer's file: wrapped, and without their subject once they are destroyed.

use super::table::Table;

/// The table of keys.
pub(crate) const TABLE: Table = Table {
    name: "seamline_seal",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline_seal (
  id TEXT NOT NULL PRIMARY KEY,
  contract TEXT NOT NULL,
  subject TEXT,
  under TEXT,
  wrapped BLOB,
  made TEXT NOT NULL,
  destroyed TEXT
) WITHOUT ROWID",
        "CREATE UNIQUE INDEX IF NOT EXISTS seamline_seal_subject ON seamline_seal (contract, subject) \
         WHERE subject IS NOT NULL",
    ],
};
