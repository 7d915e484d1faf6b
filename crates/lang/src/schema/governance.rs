//! The keys of what stands beside contracts: shared types, standards, waivers, migrations.

use super::{API_VERSION, CONTEXT_KEY, ID, KIND, Key, MEANING, Table, may, must};

/// A document of shared types.
pub const TYPES: Table =
    Table { what: "a document of types", keys: &[API_VERSION, KIND, ID, must("types", "{Type: form}")] };

const TYPE: Key = must("type", "the type");
const OF: Key = may("of", "scalar type or form: what a list or map holds");
const ATTRIBUTES: Key = may("attributes", "{attribute: …} of an object");
const VALUES: Key = may("values", "{value: meaning} of an enum");
const OPEN: Key = may("open", "boolean; false");
const MOVES: Key = may("moves", "[-> a | a -> b | a ->]; any");
const UNIT: Key = may("unit", "text or {in: attribute}");
const ZONE: Key = may("zone", "IANA name or UTC; the estate's");
const PATTERN: Key = may("pattern", "RE2, matches the whole text");
const MIN: Key = may("min", "the least value");
const MAX: Key = may("max", "the greatest value");
const LENGTH: Key = may("length", "the greatest length");
const APPROXIMATE: Key = may("approximate", "boolean; false");

/// A shared type. Whether there is a value, and what it means, is said where the type is used.
pub const SHARED_TYPE: Table = Table {
    what: "a shared type",
    keys: &[TYPE, OF, ATTRIBUTES, VALUES, OPEN, MOVES, UNIT, ZONE, PATTERN, MIN, MAX, LENGTH, APPROXIMATE],
};
/// A member of a shared type.
pub const SHARED_MEMBER: Table = Table {
    what: "a member of a shared type",
    keys: &[
        TYPE,
        OF,
        ATTRIBUTES,
        VALUES,
        OPEN,
        MOVES,
        UNIT,
        ZONE,
        PATTERN,
        MIN,
        MAX,
        LENGTH,
        APPROXIMATE,
        may("optional", "boolean; false"),
        may("deprecated", "text"),
    ],
};
/// A standard.
pub const STANDARD: Table = Table {
    what: "a standard",
    keys: &[
        API_VERSION,
        KIND,
        ID,
        must("owner", "team"),
        must("meaning", "text"),
        may("level", "error|warn|advice; error"),
        must("for", "context|contract|attribute|event|view|subscription|publication"),
        may("where", "CEL over what it is for; all"),
        must("must", "CEL over what it is for"),
        may("fix", "text"),
    ],
};
/// A waiver.
pub const WAIVER: Table = Table {
    what: "a waiver",
    keys: &[
        API_VERSION,
        KIND,
        ID,
        must("rule", "RULE or a standard's id"),
        must("scope", "a context, a contract or a part of one, a subscription or a migration"),
        must("because", "text"),
        must("approver", "team"),
        must("until", "YYYY-MM-DD"),
    ],
};
/// A migration.
pub const MIGRATION: Table = Table {
    what: "a migration",
    keys: &[
        API_VERSION,
        KIND,
        ID,
        CONTEXT_KEY,
        MEANING,
        must("contract", "context/contract@major"),
        must("legacy", "what is replaced"),
        must("consumers", "[consumer]"),
    ],
};
/// What a migration replaces.
pub const LEGACY: Table = Table {
    what: "a legacy path",
    keys: &[
        must("path", "table|batch|topic|snapshot"),
        MEANING,
        may("system", "id"),
        may("table", "table or view, verbatim"),
        may("topic", "topic"),
        may("file", "path"),
        may("url", "URL"),
        may("until", "YYYY-MM-DD; a rule asks for it"),
    ],
};
/// A consumer that moves.
pub const MOVER: Table = Table {
    what: "a consumer that moves",
    keys: &[
        must("subscription", "id"),
        must("stage", "mapped|defined|dualRun|compared|cutOver|legacyOff"),
        must("key", "{projection column: legacy column}"),
        must("compare", "{projection column: CEL over legacy columns}"),
        may("countBy", "projection column"),
        may("switch", "name of a view"),
        may("gates", "what must hold before the switch"),
    ],
};
/// What must hold before a consumer is switched.
pub const GATES: Table = Table {
    what: "`gates`",
    keys: &[
        must("parity", "P% over duration"),
        may("unexplained", "N rows | P% of rows; 0 rows: none allowed"),
        may("bootstrap", "rehearsed"),
        may("rollback", "rehearsed"),
        must("approval", "[team]"),
    ],
};
