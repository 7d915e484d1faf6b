//! The keys of every mapping of the language, as data: what readers accept and what the reference prints.

pub mod estate;
pub mod explained;
pub mod governance;
pub mod json;
pub mod shape;

/// A key that is due somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// It must be written, and its absence is a finding of the language.
    pub required: bool,
    /// What stands under it, in the words of the grammar.
    pub grammar: &'static str,
}

/// A mapping with fixed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// What the mapping says, as in "a contract has no key …".
    pub what: &'static str,
    /// Its keys, in the order of the grammar.
    pub keys: &'static [Key],
}

const fn must(name: &'static str, grammar: &'static str) -> Key {
    Key { name, required: true, grammar }
}

const fn may(name: &'static str, grammar: &'static str) -> Key {
    Key { name, required: false, grammar }
}

const API_VERSION: Key = must("apiVersion", "seamline/v1");
const KIND: Key = must("kind", "the kind of the document");
const ID: Key = may("id", "id; the name of the file");
const CONTEXT_KEY: Key = may("context", "context; that of the nearest Context file");
const MEANING: Key = may("meaning", "text; a rule asks for it");

/// The kinds that this version reads, with the part of the file's name that says so.
pub const KINDS: &[(&str, &str)] = &[
    ("Context", "context"),
    ("Contract", "contract"),
    ("Publication", "publication"),
    ("Subscription", "subscription"),
    ("Environment", "environment"),
    ("Standard", "standard"),
    ("Waiver", "waiver"),
    ("Types", "types"),
    ("Migration", "migration"),
    ("Estate", ""),
    ("Lock", ""),
];

/// A context.
pub const CONTEXT: Table = Table {
    what: "a context",
    keys: &[
        API_VERSION,
        KIND,
        ID,
        MEANING,
        must("team", "id"),
        may("contact", "text"),
        may("terms", "{word: term}"),
        may("systems", "{id: system}"),
        may("relations", "[relation]"),
    ],
};
/// A term of a context.
pub const TERM: Table = Table { what: "a term", keys: &[MEANING, may("unlike", "{context: text}")] };
/// A system of a context.
pub const SYSTEM: Table =
    Table { what: "a system", keys: &[must("engine", "postgres|mysql|sqlite"), MEANING] };
/// A relation of a context.
pub const RELATION: Table = Table {
    what: "a relation",
    keys: &[
        must("with", "upstream context"),
        must("as", "customerSupplier|conformist|anticorruption|partnership, or a list of them"),
        may("veto", "boolean; as the kinds imply"),
    ],
};
/// A contract.
pub const CONTRACT: Table = Table {
    what: "a contract",
    keys: &[
        API_VERSION,
        KIND,
        ID,
        CONTEXT_KEY,
        must("version", "N.N.N"),
        must("status", "proposed|draft|active|deprecated|retired"),
        MEANING,
        must("key", "attribute or [attribute]"),
        may("partitionBy", "attribute of the key or [attribute]; the key"),
        may("classification", "public|internal|confidential|pii|sensitive; the estate's"),
        may("purposes", "[purpose]; any"),
        may("expect", "{rows: count, changes: rate}"),
        may("subject", "attribute"),
        must("attributes", "{attribute: …}"),
        may("invariants", "{name: CEL}"),
        may("events", "{Event: …} and what every channel says"),
        may("commands", "{Command: …} and what every channel says"),
        may("state", "channel"),
        may("reference", "channel"),
        may("requests", "channel"),
        may("views", "{id: view}"),
        may("derived", "{from: [reference], on: {reference: attribute}}"),
        may("guarantees", "{channel: …}"),
        may("reconciliation", "reconciliation"),
        may("serves", "[older major]"),
        may("changes", "[change]"),
    ],
};
/// What is to be expected of a contract.
pub const EXPECT: Table = Table { what: "`expect`", keys: &[may("rows", "count"), may("changes", "rate")] };
/// An attribute.
pub const ATTRIBUTE: Table = Table {
    what: "an attribute",
    keys: &[
        may("from", "context/contract@major.attribute: carried, decides nothing"),
        may("type", "the type, or a shared one: types-id.Type"),
        may("like", "path of an attribute of this contract"),
        MEANING,
        may("meanings", "{path of a member: text} of a shared type"),
        may("of", "scalar type or attribute: what a list or map holds"),
        may("attributes", "{attribute: …} of an object"),
        may("values", "{value: meaning} of an enum"),
        may("open", "boolean; false"),
        may("moves", "[-> a | a -> b | a ->]; any"),
        may("unit", "text or {in: attribute}"),
        may("zone", "IANA name or UTC; the estate's"),
        may("pattern", "RE2, matches the whole text"),
        may("min", "the least value"),
        may("max", "the greatest value"),
        may("length", "the greatest length"),
        may("approximate", "boolean; false"),
        may("optional", "boolean; false"),
        may("classification", "public|internal|confidential|pii|sensitive; the contract's"),
        may("purposes", "[purpose]; the contract's"),
        may("deprecated", "text"),
        may("computed", "CEL, in derived contracts"),
        may("derivedFrom", "[context/contract@major.attribute]"),
    ],
};
/// The keys of an attribute that may stand beside `from`.
pub const CARRIED: &[&str] = &["from", "optional", "classification", "purposes"];
/// A unit that another attribute says.
pub const UNIT: Table = Table { what: "a unit", keys: &[must("in", "attribute")] };
/// What every channel says.
pub const CHANNEL: Table = Table {
    what: "a channel",
    keys: &[
        may("for", "[context]"),
        may("cadence", "every DUR | hourly :MM | daily HH:MM [zone] | …; continuous"),
        may("encoding", "json|avro|sealed; json"),
        may("limit", "bytes; 256KiB"),
    ],
};
/// An event.
pub const EVENT: Table = Table {
    what: "an event",
    keys: &[
        MEANING,
        may("becomes", "{attribute: value or [value]}"),
        may("sets", "[path]"),
        may("ends", "true"),
        may("with", "[path]"),
        may("details", "{attribute: …}"),
        may("flags", "{name: {is: CEL, meaning: text}}"),
        may("reasons", "{REASON: meaning}"),
        may("effective", "attribute; given when publishing, else the commit"),
        may("deprecated", "text"),
    ],
};
/// A flag of an event.
pub const FLAG: Table = Table { what: "a flag", keys: &[must("is", "CEL over the state"), MEANING] };
/// A command.
pub const COMMAND: Table = Table {
    what: "a command",
    keys: &[
        MEANING,
        must("for", "[context]"),
        may("details", "{attribute: …}"),
        must("outcomes", "{name: outcome}"),
    ],
};
/// An outcome of a command.
pub const OUTCOME: Table =
    Table { what: "an outcome", keys: &[MEANING, may("event", "Event"), may("details", "{attribute: …}")] };
/// A view.
pub const VIEW: Table = Table {
    what: "a view",
    keys: &[
        must("for", "[context]"),
        must("only", "[path]"),
        may("events", "[Event]; none"),
        may("details", "[Event.attribute]; none"),
        may("state", "boolean; true"),
    ],
};
/// The sources of a derived contract.
pub const DERIVED: Table = Table {
    what: "`derived`",
    keys: &[must("from", "[context/contract@major]"), may("on", "{context/contract@major: attribute}")],
};
/// Guarantees by channel.
pub const GUARANTEES: Table = Table {
    what: "`guarantees`",
    keys: &[
        may("events", "of events"),
        may("state", "of state"),
        may("reference", "of reference"),
        may("requests", "of requests"),
        may("commands", "of commands"),
    ],
};
const COMPATIBILITY: Key = may("compatibility", "backward|full; backward");
/// Guarantees of events.
pub const EVENT_GUARANTEES: Table = Table {
    what: "a guarantee of events",
    keys: &[
        may("ordering", "perKey"),
        may("retention", "duration; a rule asks for it"),
        may("replay", "auditState|currentState|bestEffort; bestEffort"),
        may("lateness", "duration [pN]"),
        may("freshness", "duration [pN]"),
        COMPATIBILITY,
    ],
};
/// Guarantees of state.
pub const STATE_GUARANTEES: Table = Table {
    what: "a guarantee of state",
    keys: &[
        may("freshness", "duration [pN]; a rule asks for it"),
        may("replay", "currentState|bestEffort; currentState"),
        may("tombstones", "duration; a rule asks for it"),
        COMPATIBILITY,
    ],
};
/// Guarantees of reference data.
pub const REFERENCE_GUARANTEES: Table = Table {
    what: "a guarantee of reference data",
    keys: &[must("freshness", "duration [pN]"), may("sets", "count; 2"), COMPATIBILITY],
};
/// Guarantees of requests.
pub const REQUEST_GUARANTEES: Table = Table {
    what: "a guarantee of requests",
    keys: &[must("freshness", "duration [pN]"), may("answer", "duration [pN]")],
};
/// Guarantees of commands.
pub const COMMAND_GUARANTEES: Table =
    Table { what: "a guarantee of commands", keys: &[may("answer", "duration [pN]")] };
/// Reconciliation of a contract.
pub const RECONCILIATION: Table = Table {
    what: "`reconciliation`",
    keys: &[
        may("every", "duration; a rule asks for it"),
        may("countBy", "attribute"),
        may("page", "N rows | P% of rows; a rule asks for it"),
        may("warn", "N rows | P% of rows"),
        may("repair", "reemit|rebuild|manual; reemit"),
        may("unattended", "N rows | P% of rows; never"),
        may("runbook", "path; a rule asks for it"),
    ],
};
/// Reconciliation of a subscription.
pub const SUBSCRIPTION_RECONCILIATION: Table = Table {
    what: "`reconciliation` of a subscription",
    keys: &[
        may("every", "duration; a rule asks for it"),
        may("page", "N rows | P% of rows; a rule asks for it"),
        may("warn", "N rows | P% of rows"),
        may("repair", "rebuild|manual; rebuild"),
        may("unattended", "N rows | P% of rows; never"),
        may("runbook", "path; the contract's"),
    ],
};
/// An older major that is kept alive.
pub const SERVES: Table = Table {
    what: "an older major",
    keys: &[
        must("version", "major"),
        may("until", "YYYY-MM-DD; a rule asks for it"),
        may("read", "{newer attribute: CEL over this older major}"),
        may("write", "{older attribute: CEL over the next newer major}"),
        may("events", "{its event: ours}"),
    ],
};
/// A declared change.
pub const CHANGE: Table = Table {
    what: "a change",
    keys: &[
        must("version", "N.N.N"),
        must("because", "text"),
        may("added", "target or [target]"),
        may("removed", "target or [target]"),
        may("redefined", "target or [target]"),
        may("refined", "target or [target]"),
        may("clarified", "target or [target]"),
        may("deprecated", "target or [target]"),
        may("strengthened", "target or [target]"),
        may("weakened", "target or [target]"),
        may("renamed", "{old: new}"),
    ],
};
/// A publication.
pub const PUBLICATION: Table = Table {
    what: "a publication",
    keys: &[
        API_VERSION,
        KIND,
        ID,
        CONTEXT_KEY,
        must("contract", "id"),
        must("system", "id or [id]"),
        must("table", "table or view, verbatim"),
        may("strict", "boolean; false"),
        may("feed", "outbox|cdc|store|snapshot|projections; outbox"),
        may("until", "YYYY-MM-DD"),
        may("columns", "{path: column or {is: CEL}}; snake_case of the path"),
        may("events", "{Event: {when: CEL, …}}"),
    ],
};
/// A column that an expression computes.
pub const PUBLICATION_COLUMN: Table = Table { what: "a column", keys: &[must("is", "CEL over columns")] };
/// An event of a row change.
pub const EVENT_MAPPING: Table = Table {
    what: "an event of a row change",
    keys: &[
        must("when", "CEL over before and after"),
        may("reason", "CEL"),
        may("effective", "CEL"),
        may("details", "{attribute: CEL}"),
    ],
};
/// A subscription.
pub const SUBSCRIPTION: Table = Table {
    what: "a subscription",
    keys: &[
        API_VERSION,
        KIND,
        ID,
        CONTEXT_KEY,
        must("contract", "context/contract@major"),
        may("view", "id"),
        may("purpose", "id; a rule asks for it"),
        may("role", "projection|cache|derived|interpretation; projection"),
        may("reactsTo", "[Event]"),
        may("startsAt", "now|earliest|timestamp; now"),
        may("onInvalid", "holdKey|skip|halt; holdKey"),
        may("onDelete", "delete|mark; delete"),
        may("sends", "[Command]"),
        may("asks", "[path]"),
        may("needs", "what must be promised"),
        may("into", "{system: id, table: …, columns: …}"),
        may("reconciliation", "reconciliation"),
        may("accepted", "{version: N.N.N, meaning: b3-…}, written by `accept`"),
    ],
};
/// What a subscription needs.
pub const NEEDS: Table = Table {
    what: "`needs`",
    keys: &[
        may("because", "text; a rule asks for it"),
        may("freshness", "duration [pN]"),
        may("lateness", "duration [pN]"),
        may("ordering", "perKey"),
        may("replay", "auditState|currentState|bestEffort"),
        may("retention", "duration"),
        may("tombstones", "duration"),
        may("answer", "duration [pN]"),
        may("consistency", "eventual|immediate; eventual"),
    ],
};
/// Where a subscription keeps what it reads.
pub const INTO: Table = Table {
    what: "`into`",
    keys: &[
        must("system", "id"),
        may("table", "table, verbatim"),
        may("columns", "{column: path or {is: CEL}}"),
    ],
};
/// A translated column.
pub const PROJECTION_COLUMN: Table = Table {
    what: "a translated column",
    keys: &[must("is", "CEL over the attributes"), MEANING, may("type", "the type; as inferred")],
};
/// What a subscription accepted.
pub const ACCEPTED: Table =
    Table { what: "`accepted`", keys: &[must("version", "N.N.N"), must("meaning", "b3-<8 hex>")] };
/// All tables, in the order of the reference.
pub const TABLES: &[Table] = &[
    CONTEXT,
    TERM,
    SYSTEM,
    RELATION,
    CONTRACT,
    EXPECT,
    ATTRIBUTE,
    UNIT,
    CHANNEL,
    EVENT,
    FLAG,
    COMMAND,
    OUTCOME,
    VIEW,
    DERIVED,
    GUARANTEES,
    EVENT_GUARANTEES,
    STATE_GUARANTEES,
    REFERENCE_GUARANTEES,
    REQUEST_GUARANTEES,
    COMMAND_GUARANTEES,
    RECONCILIATION,
    SUBSCRIPTION_RECONCILIATION,
    SERVES,
    CHANGE,
    PUBLICATION,
    PUBLICATION_COLUMN,
    EVENT_MAPPING,
    SUBSCRIPTION,
    NEEDS,
    INTO,
    PROJECTION_COLUMN,
    ACCEPTED,
    estate::ENVIRONMENT,
    estate::PLACE,
    estate::LOG,
    estate::GENERATIONS,
    estate::HUB,
    estate::ESTATE,
    estate::DEFAULTS,
    estate::GIT_ROOT,
    estate::HUB_ROOT,
    estate::LOCK,
    estate::LOCK_ROOT,
    estate::LOCK_DOCUMENT,
    governance::TYPES,
    governance::SHARED_TYPE,
    governance::SHARED_MEMBER,
    governance::STANDARD,
    governance::WAIVER,
    governance::MIGRATION,
    governance::LEGACY,
    governance::MOVER,
    governance::GATES,
];

#[cfg(test)]
mod tests {
    use super::TABLES;
    use std::collections::BTreeSet;

    #[test]
    fn tables_and_their_keys_are_named_once() {
        let whats: BTreeSet<&str> = TABLES.iter().map(|table| table.what).collect();
        assert_eq!(whats.len(), TABLES.len());
        for table in TABLES {
            let keys: BTreeSet<&str> = table.keys.iter().map(|key| key.name).collect();
            assert_eq!(keys.len(), table.keys.len(), "{}", table.what);
        }
    }
}
