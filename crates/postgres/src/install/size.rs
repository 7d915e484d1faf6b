//! Refusing a state that no channel takes, in the call that publishes it: the reader of an error is then who wrote the row.

use crate::sql::literal;
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::size::{Counted, counted, refusal, state_bytes_max};

/// Stands for the attribute in a message that the database completes.
const ATTRIBUTE: &str = "%s";

/// Refuses a state whose values surely take more bytes than may be.
pub(crate) const CHECK: &str =
    "CREATE OR REPLACE FUNCTION seamline.check_size(message text, given text, most bigint, texts text[], bytes text[], nested text[]) \
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $seamline$
DECLARE
  large text;
BEGIN
  SELECT CASE WHEN sum(s.size) > most THEN (array_agg(s.name ORDER BY s.size DESC, s.name))[1] END INTO large FROM (
    SELECT e.key AS name, CASE
      WHEN e.key = ANY (texts) THEN octet_length(e.value)
      WHEN e.key = ANY (bytes) THEN (octet_length(e.value) - 2) / 2
      WHEN e.key = ANY (nested) THEN (SELECT coalesce(sum(octet_length(v #>> '{}')), 0)
        FROM jsonb_path_query(e.value::jsonb, 'strict $.**') AS v WHERE jsonb_typeof(v) = 'string')
      ELSE 0 END AS size
    FROM json_each_text(given::json) AS e (key, value) WHERE e.value IS NOT NULL) AS s;
  IF large IS NOT NULL THEN
    RAISE EXCEPTION USING MESSAGE = format(message, large), ERRCODE = 'program_limit_exceeded';
  END IF;
END $seamline$";

/// Returns the statement that refuses `found_state` when it is too large.
pub(super) fn refusal_of(contract: &ResolvedContract) -> String {
    let counted = counted(contract);
    let Some(limit) = state_bytes_max(contract).filter(|_| !counted.is_empty()) else {
        return String::new();
    };
    let names = |kind| {
        let names: Vec<String> =
            counted.iter().filter(|(_, it)| *it == kind).map(|(name, _)| literal(name)).collect();
        format!("ARRAY[{}]::text[]", names.join(", "))
    };
    format!(
        "  IF octet_length(found_state) > {limit} THEN
    PERFORM seamline.check_size({}, found_state, {limit}, {}, {}, {});
  END IF;
",
        literal(&refusal(contract, ATTRIBUTE)),
        names(Counted::Text),
        names(Counted::Bytes),
        names(Counted::Texts),
    )
}
