//! What the expressions of a standard see of the model, as data: their types, and the tables of the reference.

use seamline_contract::standard::Judged;
use seamline_expr::kind::{Kind, Variable};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holds {
    Text,
    /// One of some words.
    Word(&'static [&'static str]),
    Number,
    Flag,
    Span,
    Texts,
    One(&'static Thing),
    Many(&'static Thing),
}

/// A field of something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) holds: Holds,
    /// It may have no value.
    pub(crate) optional: bool,
    pub(crate) says: &'static str,
}

/// Something with fields.
#[derive(Debug)]
pub(crate) struct Thing {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

impl Thing {
    /// Returns the type of an object with these fields.
    pub(crate) fn kind(&self) -> Kind {
        let variable = |field: &Field| Variable {
            name: field.name.to_owned(),
            kind: field.holds.kind(),
            optional: field.optional,
        };
        Kind::Object(self.fields.iter().map(variable).collect())
    }
}

impl Holds {
    fn kind(&self) -> Kind {
        match self {
            Holds::Text => Kind::String,
            Holds::Word(words) => Kind::Enum(words.iter().map(|it| (*it).to_owned()).collect(), false),
            Holds::Number => Kind::Integer,
            Holds::Flag => Kind::Boolean,
            Holds::Span => Kind::Duration,
            Holds::Texts => Kind::List(Box::new(Kind::String)),
            Holds::One(thing) => thing.kind(),
            Holds::Many(thing) => Kind::List(Box::new(thing.kind())),
        }
    }

    /// Returns the type in the words of the reference.
    pub(crate) fn words(&self) -> String {
        match self {
            Holds::Text => "text".to_owned(),
            Holds::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Holds::Number => "integer".to_owned(),
            Holds::Flag => "boolean".to_owned(),
            Holds::Span => "duration".to_owned(),
            Holds::Texts => "list of texts".to_owned(),
            Holds::One(thing) => format!("[{0}](#{0})", thing.name),
            Holds::Many(thing) => format!("list of [{0}](#{0})", thing.name),
        }
    }
}

const fn due(name: &'static str, holds: Holds, says: &'static str) -> Field {
    Field { name, holds, optional: false, says }
}

const fn may(name: &'static str, holds: Holds, says: &'static str) -> Field {
    Field { name, holds, optional: true, says }
}

use Holds::{Flag, Many, Number, One, Span, Text, Texts, Word};

const CLASSIFICATIONS: Holds = Word(&["public", "internal", "confidential", "pii", "sensitive"]);
const REPLAYS: Holds = Word(&["bestEffort", "currentState", "auditState"]);
const COMPATIBILITIES: Holds = Word(&["backward", "full"]);

/// Where data lives.
pub(crate) const SYSTEM: Thing = Thing {
    name: "system",
    fields: &[
        due("id", Text, "its id"),
        due("engine", Word(&["postgres", "mysql", "sqlite"]), "the kind of database"),
        due("meaning", Text, "what it is for; may be empty"),
    ],
};
pub(crate) const TERM: Thing = Thing {
    name: "term",
    fields: &[
        due("word", Text, "the word"),
        due("meaning", Text, "what it means here; may be empty"),
        due("unlike", Texts, "the contexts from whose word it differs"),
    ],
};
pub(crate) const RELATION: Thing = Thing {
    name: "relation",
    fields: &[
        due("with", Text, "the upstream context"),
        due("kinds", Texts, "`customerSupplier`, `conformist`, `anticorruption`, `partnership`"),
        due("veto", Flag, "it may refuse a change, as written or as the kinds imply"),
    ],
};
pub(crate) const CONTEXT: Thing = Thing {
    name: "context",
    fields: &[
        due("id", Text, "its id"),
        due("meaning", Text, "what it does; may be empty"),
        due("team", Text, "who answers for it"),
        may("contact", Text, "where to reach the team"),
        due("terms", Many(&TERM), "its words"),
        due("systems", Many(&SYSTEM), "its databases"),
        due("relations", Many(&RELATION), "its upstreams"),
    ],
};
pub(crate) const VALUE: Thing = Thing {
    name: "value",
    fields: &[due("name", Text, "the value"), due("meaning", Text, "what it means; may be empty")],
};
pub(crate) const ATTRIBUTE: Thing = Thing {
    name: "attribute",
    fields: &[
        due("name", Text, "its name, or its path where it is a member"),
        due("meaning", Text, "its meaning, the owner's where it is carried; may be empty"),
        due("type", Text, "the type: `string`, `decimal(12,2)`, `object`, …"),
        due("optional", Flag, "it may have no value"),
        due("inKey", Flag, "it is of the key"),
        may("classification", CLASSIFICATIONS, "its own, else inherited"),
        may("purposes", Texts, "what it may serve; none: anything"),
        may("unit", Text, "what it counts in; `in currency` where another attribute says it"),
        may("zone", Text, "where its day begins"),
        may("pattern", Text, "what the whole text matches"),
        due("values", Many(&VALUE), "those of an enum"),
        due("open", Flag, "values may come that are not listed"),
        due("approximate", Flag, "its numbers are not exact"),
        due("carried", Flag, "another contract decides it"),
        due("owner", Text, "who decides it: `context/contract.attribute`"),
        due("computed", Flag, "an expression computes it"),
    ],
};
pub(crate) const EVENT: Thing = Thing {
    name: "event",
    fields: &[
        due("name", Text, "its name"),
        due("meaning", Text, "what happened; may be empty"),
        due("becomes", Texts, "the attributes that have a named value after it"),
        due("sets", Texts, "the attributes that it may change"),
        due("ends", Flag, "it ends the key"),
        due("with", Texts, "the attributes that travel with it beside"),
        due("details", Texts, "facts of the event alone"),
        due("flags", Texts, "its flags"),
        due("reasons", Texts, "its reason codes"),
        may("effective", Text, "the attribute that says when it takes effect"),
        may("deprecated", Text, "why it should no longer be used"),
    ],
};
pub(crate) const VIEW: Thing = Thing {
    name: "view",
    fields: &[
        due("id", Text, "its id"),
        due("readers", Texts, "the contexts that it is for"),
        due("only", Texts, "the attributes that it holds beside the key"),
        due("events", Texts, "the events that it carries"),
        due("details", Texts, "the details that it carries: `Event.detail`"),
        due("state", Flag, "it has a state topic"),
    ],
};
pub(crate) const COMMAND: Thing = Thing {
    name: "command",
    fields: &[
        due("name", Text, "its name"),
        due("meaning", Text, "what it asks for; may be empty"),
        due("senders", Texts, "the contexts that may send it"),
        due("outcomes", Texts, "the answers that it may get"),
    ],
};
pub(crate) const CONSUMER: Thing = Thing {
    name: "consumer",
    fields: &[
        due("id", Text, "the subscription, `context/id`"),
        due("context", Text, "the context that reads"),
        may("view", Text, "the view that it reads"),
        may("purpose", Text, "what for"),
        due("role", ROLES, "what it keeps"),
    ],
};
const ROLES: Holds = Word(&["projection", "cache", "derived", "interpretation"]);
const EVENT_GUARANTEES: Thing = Thing {
    name: "eventGuarantees",
    fields: &[
        may("retention", Span, "how long events are kept"),
        due("replay", REPLAYS, "what a replay yields"),
        may("lateness", Span, "from taking effect to commit"),
        may("freshness", Span, "from commit to applied"),
        due("compatibility", COMPATIBILITIES, "which texts can read which records"),
    ],
};
const STATE_GUARANTEES: Thing = Thing {
    name: "stateGuarantees",
    fields: &[
        may("freshness", Span, "from commit to applied"),
        due("replay", REPLAYS, "what a replay yields"),
        may("tombstones", Span, "how long a tombstone is kept"),
        due("compatibility", COMPATIBILITIES, "which texts can read which records"),
    ],
};
const REFERENCE_GUARANTEES: Thing = Thing {
    name: "referenceGuarantees",
    fields: &[
        may("freshness", Span, "from the moment of the cadence to applied"),
        due("sets", Number, "how many whole sets are kept"),
        due("compatibility", COMPATIBILITIES, "which texts can read which records"),
    ],
};
pub(crate) const GUARANTEES: Thing = Thing {
    name: "guarantees",
    fields: &[
        may("events", One(&EVENT_GUARANTEES), "of events"),
        may("state", One(&STATE_GUARANTEES), "of state"),
        may("reference", One(&REFERENCE_GUARANTEES), "of reference data"),
        may("requestsFreshness", Span, "how old the state behind an answer may be"),
        may("requestsAnswer", Span, "how soon a request is answered"),
        may("commandsAnswer", Span, "how soon a command is answered"),
    ],
};
pub(crate) const RECONCILIATION: Thing = Thing {
    name: "reconciliation",
    fields: &[
        may("every", Span, "how often a full pass ends"),
        may("countBy", Text, "the attribute by whose values rows are counted"),
        may("page", Text, "from where on somebody is called: `1 row`, `0.01% of rows`"),
        may("warn", Text, "from where on somebody is told"),
        may("repair", Word(&["reemit", "rebuild", "manual"]), "the declared mend"),
        may("unattended", Text, "below it agents mend by themselves"),
        may("runbook", Text, "the runbook"),
    ],
};
pub(crate) const SERVES: Thing = Thing {
    name: "serves",
    fields: &[
        due("version", Number, "the older major"),
        due("until", Text, "the last day, `2027-03-31`; empty where none is written"),
    ],
};
pub(crate) const CONTRACT: Thing = Thing {
    name: "contract",
    fields: &[
        due("id", Text, "its id within the context"),
        due("reference", Text, "`context/id@major`"),
        due("context", Text, "the owning context"),
        due("version", Text, "the version, `2.1.0`"),
        due("major", Number, "the major"),
        due("status", Word(&["proposed", "draft", "active", "deprecated", "retired"]), "where it stands"),
        due("meaning", Text, "what the concept means; may be empty"),
        due("key", Texts, "the attributes of the key"),
        may("classification", CLASSIFICATIONS, "what its attributes inherit, the estate's default filled in"),
        may("purposes", Texts, "what its attributes may serve; none: anything"),
        may("subject", Text, "the attribute whose erasure takes the record's personal data along"),
        may("rows", Number, "the rows that are expected"),
        may("changesADay", Number, "the changes that are expected in a day, rounded up"),
        due("attributes", Many(&ATTRIBUTE), "its attributes; members are not among them"),
        due("invariants", Texts, "the names of its invariants"),
        due("channels", Texts, "those of `events`, `state`, `reference`, `requests`, `commands` that it has"),
        due("events", Many(&EVENT), "its events"),
        due("commands", Many(&COMMAND), "its commands"),
        due("views", Many(&VIEW), "its views"),
        due("derivedFrom", Texts, "the contracts that it is composed from"),
        due("guarantees", One(&GUARANTEES), "what it promises"),
        may("reconciliation", One(&RECONCILIATION), "how divergence is found and mended"),
        due("serves", Many(&SERVES), "older majors that it keeps alive"),
        due("consumers", Many(&CONSUMER), "the subscriptions to this major"),
    ],
};
pub(crate) const NEEDS: Thing = Thing {
    name: "needs",
    fields: &[
        due("because", Text, "why; may be empty"),
        may("freshness", Span, "from commit to applied"),
        may("lateness", Span, "from taking effect to commit"),
        may("replay", REPLAYS, "what a replay must yield"),
        may("retention", Span, "how far back a replay must reach"),
        may("tombstones", Span, "how long a tombstone must be kept"),
        may("answer", Span, "how soon an answer must come"),
        due("immediate", Flag, "no copy will do"),
    ],
};
pub(crate) const COLUMN: Thing = Thing {
    name: "column",
    fields: &[
        due("name", Text, "its name"),
        may("attribute", Text, "the attribute that it holds as it is"),
        may("is", Text, "the expression that translates it"),
        due("meaning", Text, "what the translation means; may be empty"),
    ],
};
pub(crate) const SUBSCRIPTION: Thing = Thing {
    name: "subscription",
    fields: &[
        due("id", Text, "its id within the context"),
        due("context", Text, "the context that reads"),
        due("contract", Text, "what it reads, `context/id@major`"),
        may("view", Text, "the view that it reads"),
        may("purpose", Text, "what for"),
        due("role", ROLES, "what it keeps"),
        due(
            "uses",
            Many(&ATTRIBUTE),
            "the attributes that it uses: those of the key, of columns, of reactions, of requests",
        ),
        due("reactsTo", Texts, "the events that it reacts to"),
        due(
            "onInvalid",
            Word(&["holdKey", "skip", "halt"]),
            "what waits behind an event that breaks its contract",
        ),
        due("onDelete", Word(&["delete", "mark"]), "what becomes of the row of a key that ends"),
        due("sends", Texts, "the commands that it sends"),
        due("asks", Texts, "the attributes that it asks for"),
        may("needs", One(&NEEDS), "what it needs to be promised"),
        may("system", Text, "the database that it keeps them in"),
        may("table", Text, "the table that it keeps"),
        due("columns", Many(&COLUMN), "the columns of the table"),
        may("reconciliation", One(&RECONCILIATION), "how divergence is found and mended"),
        may("accepted", Text, "the version whose meaning was accepted"),
    ],
};
pub(crate) const PUBLICATION: Thing = Thing {
    name: "publication",
    fields: &[
        due("contract", Text, "the contract's id within the context"),
        due("systems", Texts, "the databases"),
        due("table", Text, "the table or view"),
        due("strict", Flag, "a commit whose last published state is no longer the source's is refused"),
        due("feed", Word(&["outbox", "cdc", "store", "snapshot", "projections"]), "how changes get out"),
        may("until", Text, "the last day of the feed, `2027-03-31`"),
        due("events", Texts, "the events that are told from row changes"),
    ],
};

/// Everything that has fields, in the order of the reference.
pub(crate) const THINGS: [&Thing; 21] = [
    &CONTEXT,
    &CONTRACT,
    &ATTRIBUTE,
    &EVENT,
    &VIEW,
    &SUBSCRIPTION,
    &PUBLICATION,
    &COMMAND,
    &CONSUMER,
    &VALUE,
    &GUARANTEES,
    &EVENT_GUARANTEES,
    &STATE_GUARANTEES,
    &REFERENCE_GUARANTEES,
    &RECONCILIATION,
    &SERVES,
    &NEEDS,
    &COLUMN,
    &TERM,
    &SYSTEM,
    &RELATION,
];

/// A variable of a standard's expressions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) thing: &'static Thing,
    /// It may have no value.
    pub(crate) optional: bool,
}

const fn bound(thing: &'static Thing) -> Bound {
    Bound { thing, optional: false }
}

/// Returns the variables of a standard for something, itself first, then its parents.
pub(crate) fn bindings(judged: Judged) -> &'static [Bound] {
    const OF_CONTEXT: [Bound; 1] = [bound(&CONTEXT)];
    const OF_CONTRACT: [Bound; 2] = [bound(&CONTRACT), bound(&CONTEXT)];
    const OF_ATTRIBUTE: [Bound; 3] = [bound(&ATTRIBUTE), bound(&CONTRACT), bound(&CONTEXT)];
    const OF_EVENT: [Bound; 3] = [bound(&EVENT), bound(&CONTRACT), bound(&CONTEXT)];
    const OF_VIEW: [Bound; 3] = [bound(&VIEW), bound(&CONTRACT), bound(&CONTEXT)];
    // The contract of these two may not be there, or not resolve.
    const NO_CONTRACT: Bound = Bound { thing: &CONTRACT, optional: true };
    const OF_SUBSCRIPTION: [Bound; 3] = [bound(&SUBSCRIPTION), NO_CONTRACT, bound(&CONTEXT)];
    const OF_PUBLICATION: [Bound; 3] = [bound(&PUBLICATION), NO_CONTRACT, bound(&CONTEXT)];
    match judged {
        Judged::Context => &OF_CONTEXT,
        Judged::Contract => &OF_CONTRACT,
        Judged::Attribute => &OF_ATTRIBUTE,
        Judged::Event => &OF_EVENT,
        Judged::View => &OF_VIEW,
        Judged::Subscription => &OF_SUBSCRIPTION,
        Judged::Publication => &OF_PUBLICATION,
    }
}
