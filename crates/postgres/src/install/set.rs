//! Sets of reference data in a context's database: which one each table holds, which was sent, and the function to ask for one.

use super::table::Table;
use crate::sql::literal;
use seamline_contract::id::ContractId;

/// The tables of sets.
pub(crate) const TABLE: Table = Table {
    name: "set",
    version: 1,
    make: &[
        "CREATE TABLE IF NOT EXISTS seamline.set (
  subscription text PRIMARY KEY,
  number bigint NOT NULL,
  rows bigint NOT NULL,
  digest bytea NOT NULL,
  version text NOT NULL,
  hour text,
  taken text NOT NULL,
  applied text NOT NULL
)",
        "CREATE TABLE IF NOT EXISTS seamline.set_out (
  contract text PRIMARY KEY,
  drawn bigint NOT NULL DEFAULT 0,
  asked bigint NOT NULL DEFAULT 0,
  number bigint,
  rows bigint,
  digest bytea,
  hour text,
  asked_then bigint,
  taken text
)",
        PUBLISH_SET,
    ],
};

/// Asks for a set, within the service's transaction: the set holds what the transaction wrote.
const PUBLISH_SET: &str = "CREATE OR REPLACE FUNCTION seamline.publish_set(contract text) RETURNS void \
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
BEGIN
  UPDATE seamline.set_out o SET asked = o.asked + 1 WHERE o.contract = publish_set.contract;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'seamline: `%` is no contract with reference data that is published from this database', publish_set.contract
      USING ERRCODE = 'invalid_parameter_value', HINT = 'give it `reference` and a publication, and install again';
  END IF;
END $seamline$";

/// What a service calls, as GRANT names it.
pub(crate) const CALL: &str = "publish_set(text)";

/// Returns the statement that lets sets of a contract be sent.
pub(crate) fn statement(contract: &ContractId) -> String {
    format!(
        "INSERT INTO seamline.set_out (contract) VALUES ({}) ON CONFLICT (contract) DO NOTHING",
        literal(contract.as_str())
    )
}
