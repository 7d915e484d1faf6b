//! A difference between two texts, with what it touches and what it does to readers.

use seamline_contract::id::{
    AttributePath, CommandName, ContextId, ContractName, EnumValue, EnvironmentId, EventName, MigrationRef,
    StandardId, SubscriptionRef, ViewId, WaiverId,
};
use seamline_contract::path::ModelPath;
use std::fmt;

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Aspect {
    /// What values there are, and of what form.
    Shape,
    /// What they mean, and when that happens.
    Meaning,
    /// What is promised.
    Guarantee,
    /// Who decides.
    Ownership,
    /// Who may see what, and why.
    Privacy,
    /// How divergence is found and mended.
    Reconciliation,
    /// How it travels.
    Channel,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Aspect::Shape => "SHAPE",
            Aspect::Meaning => "MEANING",
            Aspect::Guarantee => "GUARANTEE",
            Aspect::Ownership => "OWNERSHIP",
            Aspect::Privacy => "PRIVACY",
            Aspect::Reconciliation => "RECONCILIATION",
            Aspect::Channel => "CHANNEL",
        })
    }
}

/// What a change does to who reads by the older text. Ordered: later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing.
    Editorial,
    /// They stay right, and may know more.
    Additive,
    /// Nobody said, and it cannot be seen: words changed.
    Unhandled,
    /// They are wrong, or lack what they were promised.
    Breaking,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effect::Editorial => "editorial",
            Effect::Additive => "additive",
            Effect::Unhandled => "unhandled",
            Effect::Breaking => "breaking",
        })
    }
}

impl Effect {
    /// Returns the id of the class of changes that have this effect, as `CLASSES` explain it.
    pub fn id(self) -> &'static str {
        match self {
            Effect::Editorial => "EDITORIAL",
            Effect::Additive => "ADDITIVE",
            Effect::Unhandled => "UNHANDLED",
            Effect::Breaking => "BREAKING",
        }
    }
}

/// A class of changes: those of one effect, or about one aspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// The id, UPPER_SNAKE.
    pub id: &'static str,
    /// What belongs to it, in one sentence.
    pub reason: &'static str,
    /// What to do about it, in sentences.
    pub advice: &'static str,
}

/// The classes of changes: effects, worst first, then aspects.
pub const CLASSES: &[Class] = &[
    Class {
        id: "BREAKING",
        reason: "Who reads by the older text is wrong, or lacks what was promised.",
        advice: "It takes a new major version. Keep the older text as `<id>@<major>.contract.yaml` and serve it by `serves` until \
                 its consumers moved: then they must move, and do not break.",
    },
    Class {
        id: "UNHANDLED",
        reason: "Words changed, and nobody said what that does to who reads by the older ones.",
        advice: "It counts as breaking until `changes` in the contract say it: `clarified` when it says the same in other words, \
                 `refined` when old readers stay right, `redefined` when they do not.",
    },
    Class {
        id: "ADDITIVE",
        reason: "Who reads by the older text stays right, and may know more.",
        advice: "It takes a new minor version and an entry in `changes`.",
    },
    Class {
        id: "EDITORIAL",
        reason: "Readers are not touched.",
        advice: "It takes a new patch version where the text of a contract is another.",
    },
    Class {
        id: "SHAPE",
        reason: "What values there are, and of what form: types, optional values, patterns, limits.",
        advice: "Less than before is safe where readers get it; more, or other, is not.",
    },
    Class {
        id: "MEANING",
        reason: "What values and events mean, and when they happen: meanings, units, zones, moves, `becomes`.",
        advice: "Declare it in `changes`: consumers pin what they accepted, and their check fails until they read it.",
    },
    Class {
        id: "GUARANTEE",
        reason: "What is promised: freshness, lateness, retention, replay, tombstones.",
        advice: "A promise that becomes weaker breaks whoever needs more. One that becomes stronger is additive.",
    },
    Class {
        id: "OWNERSHIP",
        reason: "Who decides on an attribute, and from whom it is carried.",
        advice: "Readers ask the owner: one that changed is another source of truth.",
    },
    Class {
        id: "PRIVACY",
        reason: "Who may see what, and why: classification, purposes, views and whom they are for.",
        advice: "A consumer that is entitled no more has nothing left.",
    },
    Class {
        id: "RECONCILIATION",
        reason: "How divergence is found and mended: cadence, thresholds, repair, runbook.",
        advice: "What is looked for less often is found later.",
    },
    Class {
        id: "CHANNEL",
        reason: "How it travels: which channels there are, what they carry, how long an older major is served.",
        advice: "A consumer that reads a channel that is gone has nothing left.",
    },
];

/// How far a version must rise. Ordered: later is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bump {
    /// Not at all.
    None,
    /// For words alone.
    Patch,
    /// For what old readers may ignore.
    Minor,
    /// For what old readers would misread.
    Major,
}

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bump::None => "none",
            Bump::Patch => "patch",
            Bump::Minor => "minor",
            Bump::Major => "major",
        })
    }
}

impl From<Effect> for Bump {
    /// What nobody said is taken for the worst.
    fn from(effect: Effect) -> Bump {
        match effect {
            Effect::Editorial => Bump::Patch,
            Effect::Additive => Bump::Minor,
            Effect::Unhandled | Effect::Breaking => Bump::Major,
        }
    }
}

/// Whose text it is. Contracts come first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A contract's current text.
    Contract(ContractName),
    /// The frozen text of an older major.
    Frozen(seamline_contract::id::ContractRef),
    /// A subscription.
    Subscription(SubscriptionRef),
    /// A publication.
    Publication(ContractName),
    /// A context.
    Context(ContextId),
    /// An environment.
    Environment(EnvironmentId),
    /// A migration.
    Migration(MigrationRef),
    /// A standard.
    Standard(StandardId),
    /// A waiver.
    Waiver(WaiverId),
    /// The estate's settings.
    Settings,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Contract(name) => write!(f, "{name}"),
            Subject::Frozen(reference) => write!(f, "{reference}"),
            Subject::Subscription(name) => write!(f, "{name}"),
            Subject::Publication(name) => write!(f, "the publication of {name}"),
            Subject::Context(id) => write!(f, "{id}"),
            Subject::Environment(id) => write!(f, "environment {id}"),
            Subject::Migration(name) => write!(f, "migration {name}"),
            Subject::Standard(id) => write!(f, "standard {id}"),
            Subject::Waiver(id) => write!(f, "waiver {id}"),
            Subject::Settings => f.write_str("the estate"),
        }
    }
}

/// What of a text is touched. Those that `changes` can name print as they are named there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// All of it.
    Whole,
    /// An attribute, or a member of one.
    Attribute(AttributePath),
    /// A value of an enumeration.
    Value(AttributePath, EnumValue),
    /// An event.
    Event(EventName),
    /// A detail of an event.
    Detail(EventName, AttributePath),
    /// A value of a detail.
    DetailValue(EventName, AttributePath, EnumValue),
    /// A command with all that it says.
    Command(CommandName),
    /// A view.
    View(ViewId),
    /// A promise: of which channel, and its name.
    Guarantee(&'static str, &'static str),
    /// A channel of the contract's own.
    Channel(&'static str),
    /// An older major that is kept alive.
    Serves(u32),
    /// Anything else with a name of its own: an invariant, a term, a column.
    Other(&'static str, String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Whole => f.write_str("the whole"),
            Target::Attribute(path) => write!(f, "{path}"),
            Target::Value(path, value) => write!(f, "{path}.{value}"),
            Target::Event(name) => write!(f, "{name}"),
            Target::Detail(event, path) => write!(f, "{event}.{path}"),
            Target::DetailValue(event, path, value) => write!(f, "{event}.{path}.{value}"),
            Target::Command(name) => write!(f, "{name}"),
            Target::View(id) => write!(f, "view/{id}"),
            Target::Guarantee(channel, name) => write!(f, "guarantees.{channel}.{name}"),
            Target::Channel(channel) => write!(f, "{channel}"),
            Target::Serves(major) => write!(f, "serves {major}"),
            Target::Other(what, name) => write!(f, "{what} {name}"),
        }
    }
}

impl Target {
    /// Returns whether `changes` can name it.
    pub fn has_name(&self) -> bool {
        match self {
            Target::Attribute(_)
            | Target::Value(..)
            | Target::Event(_)
            | Target::Command(_)
            | Target::View(_)
            | Target::Guarantee(..) => true,
            Target::Whole
            | Target::Detail(..)
            | Target::DetailValue(..)
            | Target::Channel(_)
            | Target::Serves(_)
            | Target::Other(..) => false,
        }
    }

    /// Returns whether a name in `changes` speaks of it: its own, or that of what it is a part of.
    pub fn is_spoken_of_by(&self, name: &str) -> bool {
        let own = self.to_string();
        own == name || (own.starts_with(name) && own.as_bytes().get(name.len()) == Some(&b'.'))
    }
}

/// One side of a change: what was there, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Side {
    /// Where.
    pub at: ModelPath,
    /// What, in the words of the language, on one line.
    pub text: String,
}

/// One difference, classified.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// Whose text it is.
    pub subject: Subject,
    /// What of it is touched.
    pub target: Target,
    /// Which of its keys: `meaning`, `unit`, `becomes`; empty where the target itself came or went.
    pub facet: &'static str,
    /// What the change is about.
    pub aspect: Aspect,
    /// What it does.
    pub effect: Effect,
    /// Why that is its effect: lower case, no final stop.
    pub reason: &'static str,
    /// What was there; none when it is new.
    pub old: Option<Side>,
    /// What is there; none when it is gone.
    pub new: Option<Side>,
}

impl Change {
    /// Returns the place of the new side, else of the old one.
    pub fn at(&self) -> &ModelPath {
        let side = self.new.as_ref().or(self.old.as_ref());
        &side.expect("a change has a side").at
    }

    /// Returns what happened, on one line: lower case, no final stop, texts in backticks.
    pub fn message(&self) -> String {
        let of = if self.facet.is_empty() { String::new() } else { format!("{} of ", self.facet) };
        let whose = match self.target {
            Target::Whole => self.subject.to_string(),
            _ => self.target.to_string(),
        };
        match (&self.old, &self.new) {
            (None, Some(new)) if self.facet.is_empty() => format!("`{whose}` is new: {}", new.text),
            (Some(_), None) if self.facet.is_empty() => format!("`{whose}` is gone"),
            (None, Some(new)) => format!("{of}`{whose}` is new: `{}`", new.text),
            (Some(old), None) => format!("{of}`{whose}` is gone: it was `{}`", old.text),
            (Some(old), Some(new)) => format!("{of}`{whose}` was `{}`, is `{}`", old.text, new.text),
            (None, None) => whose,
        }
    }
}
