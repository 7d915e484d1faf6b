//! Sets of reference data in a context's file: which one each table holds, which was sent, and the view to ask for one.

use super::table::Table;
use crate::file::literal;
use seamline_contract::id::ContractId;

/// The tables of sets.
pub(crate) const TABLE: Table = Table {
    name: "seamline_set",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline_set (
  subscription TEXT NOT NULL PRIMARY KEY,
  number INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  digest BLOB NOT NULL,
  version TEXT NOT NULL,
  hour TEXT,
  taken TEXT NOT NULL,
  applied TEXT NOT NULL
) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS seamline_set_out (
  contract TEXT NOT NULL PRIMARY KEY,
  drawn INTEGER NOT NULL DEFAULT 0,
  asked INTEGER NOT NULL DEFAULT 0,
  number INTEGER,
  rows INTEGER,
  digest BLOB,
  hour TEXT,
  asked_then INTEGER,
  taken TEXT
) WITHOUT ROWID",
        "DROP VIEW IF EXISTS seamline_publish_set",
        "CREATE VIEW seamline_publish_set AS SELECT NULL AS contract WHERE false",
        "CREATE TRIGGER seamline_publish_set_insert INSTEAD OF INSERT ON seamline_publish_set BEGIN
  SELECT RAISE(ABORT, 'seamline: `contract` is none with reference data that is published from this file')
    WHERE NOT EXISTS (SELECT 1 FROM seamline_set_out o WHERE o.contract = NEW.contract);
  UPDATE seamline_set_out SET asked = asked + 1 WHERE contract = NEW.contract;
END",
    ],
};

/// Returns the statement that lets sets of a contract be sent.
pub(crate) fn statement(contract: &ContractId) -> String {
    format!("INSERT OR IGNORE INTO seamline_set_out (contract) VALUES ({})", literal(contract.as_str()))
}
