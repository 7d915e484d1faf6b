//! Refusing a state that no channel takes, in the statement that publishes it: the reader of an error is then who wrote the row.

use crate::file::literal;
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::size::{Counted, counted, refusal, state_bytes_max};

/// Returns the statements of a trigger that refuse the outbox row that was inserted last, when its state is too large. SQLite
/// takes no message that is computed, so that there is one for each attribute.
pub(super) fn refusals(contract: &ResolvedContract) -> String {
    let counted = counted(contract);
    let Some(limit) = state_bytes_max(contract).filter(|_| !counted.is_empty()) else {
        return String::new();
    };
    let names = |kind| {
        let names: Vec<String> =
            counted.iter().filter(|(_, it)| *it == kind).map(|(name, _)| literal(name)).collect();
        names.join(", ")
    };
    let size = format!(
        "CASE WHEN e.key IN ({}) THEN length(CAST(e.value AS BLOB)) WHEN e.key IN ({}) THEN length(e.value) / 2 \
         WHEN e.key IN ({}) AND json_valid(e.value) THEN \
         (SELECT sum(length(CAST(t.atom AS BLOB))) FROM json_tree(e.value) AS t WHERE t.type = 'text') ELSE 0 END",
        names(Counted::Text),
        names(Counted::Bytes),
        names(Counted::Texts),
    );
    let refuse = |name: &str| {
        format!(
            "  SELECT RAISE(ABORT, {}) FROM seamline_outbox AS o WHERE o.id = last_insert_rowid() \
             AND length(CAST(o.state AS BLOB)) > {limit} \
             AND (SELECT sum({size}) FROM json_each(o.state) AS e) > {limit} \
             AND (SELECT e.key FROM json_each(o.state) AS e ORDER BY {size} DESC, e.key LIMIT 1) = {};\n",
            literal(&refusal(contract, name)),
            literal(name),
        )
    };
    counted.iter().map(|(name, _)| refuse(name)).collect()
}
