//! Channels: the ways a contract travels, what is promised on each, and the topics they become.

use crate::attribute::Attribute;
use crate::id::{
    AttributeName, AttributePath, CommandName, ContextId, ContractRef, EnumValue, EventName, InvariantName,
    Major, Reason, ViewId,
};
use crate::measure::{Span, Within};
use std::fmt;
use std::time::Duration;

/// What a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChannelKind {
    /// What happened, with a chain for each key.
    Events,
    /// The latest state for each key, compacted.
    State,
}

/// One channel of a contract: its own, or that of a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId {
    /// None: the contract's own.
    pub view: Option<ViewId>,
    /// What it carries.
    pub kind: ChannelKind,
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(view) = &self.view {
            write!(f, "{view}.")?;
        }
        f.write_str(match self.kind {
            ChannelKind::Events => "events",
            ChannelKind::State => "state",
        })
    }
}

/// The topic template where an environment gives none.
pub const DEFAULT_TOPICS: &str = "{context}.{contract}.v{major}.{channel}";

/// Returns the name of a channel's topic under an environment's template.
pub fn topic_name(template: &str, contract: &ContractRef, channel: &ChannelId) -> String {
    named_topic(template, contract, &channel.to_string())
}

/// Returns the name of a channel's topic in a generation: the first has the plain name, each later one its number behind it.
pub fn generation_topic(template: &str, contract: &ContractRef, channel: &ChannelId, number: u32) -> String {
    match number {
        1 => topic_name(template, contract, channel),
        _ => named_topic(template, contract, &format!("{channel}.g{number}")),
    }
}

/// Returns the names that the topic of a channel has in older majors.
pub fn older_topics(template: &str, contract: &ContractRef, channel: &ChannelId) -> Vec<String> {
    let of = |major| topic_name(template, &ContractRef { name: contract.name.clone(), major }, channel);
    (1..contract.major.0).map(|major| of(Major(major))).collect()
}

/// Returns the name of the topic on which the commands of a contract travel to its owner.
pub fn commands_topic(template: &str, contract: &ContractRef) -> String {
    named_topic(template, contract, "commands")
}

/// Returns the name of the topic on which the sets of a contract's reference data travel.
pub fn reference_topic(template: &str, contract: &ContractRef) -> String {
    named_topic(template, contract, "reference")
}

/// Returns the name of the topic on which the outcomes of one sender's commands travel back to it.
pub fn outcomes_topic(template: &str, contract: &ContractRef, sender: &ContextId) -> String {
    named_topic(template, contract, &format!("{sender}.outcomes"))
}

fn named_topic(template: &str, contract: &ContractRef, channel: &str) -> String {
    template
        .replace("{context}", contract.name.context.as_str())
        .replace("{contract}", contract.name.contract.as_str())
        .replace("{major}", &contract.major.to_string())
        .replace("{channel}", channel)
}

/// How often a channel is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cadence {
    /// As it happens.
    #[default]
    Continuous,
    /// At fixed times, as source text (`daily 06:00`).
    At(String),
}

impl Cadence {
    /// Returns whether it names times of a day, and no zone for them.
    pub fn lacks_zone(&self) -> bool {
        let Cadence::At(text) = self else { return false };
        text.split(' ').next_back().is_some_and(|last| last.contains(':')) && !text.contains(" :")
    }

    /// Returns how long what was written waits at most until it is sent, but for the hour by which a day is longer in which
    /// clocks are set back; none: it does not wait.
    pub fn longest(&self) -> Option<Span> {
        const DAY: u64 = 24 * 60 * 60;
        let Cadence::At(text) = self else { return None };
        let (word, rest) = text.split_once(' ')?;
        Some(match word {
            "every" => rest.parse().ok()?,
            "hourly" => Span(Duration::from_secs(60 * 60)),
            "daily" => Span(Duration::from_secs(DAY)),
            "weekdays" => Span(Duration::from_secs(3 * DAY)),
            "weekly" => Span(Duration::from_secs(7 * DAY)),
            "monthly" => Span(Duration::from_secs(31 * DAY)),
            _ => return None,
        })
    }

    /// Writes a zone behind times of a day that name none.
    pub fn fill_zone(&mut self, zone: Option<&str>) {
        let lacks = self.lacks_zone();
        if let (Cadence::At(text), Some(zone), true) = (self, zone, lacks) {
            *text = format!("{text} {zone}");
        }
    }
}

/// The payload encoding of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// Canonical JSON.
    #[default]
    Json,
    /// Avro with Confluent framing.
    Avro,
    /// Canonical JSON in which personal values are encrypted under a key of their subject.
    Sealed,
}

/// What every channel says, as written or by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelTerms {
    /// The contexts that may read it beside those of views; none: see the classification.
    pub readers: Option<Vec<ContextId>>,
    /// How often it is sent.
    pub cadence: Cadence,
    /// The encoding.
    pub encoding: Encoding,
    /// The greatest size of a value in bytes.
    pub limit_bytes: u64,
}

impl Default for ChannelTerms {
    fn default() -> Self {
        ChannelTerms {
            readers: None,
            cadence: Cadence::Continuous,
            encoding: Encoding::Json,
            limit_bytes: 256 * 1024,
        }
    }
}

/// A flag of an event: what an expression over the state says at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The name.
    pub name: InvariantName,
    /// CEL over the state, boolean.
    pub is: String,
    /// What it means.
    pub meaning: String,
}

/// An event of a contract: a business change in the past tense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The name.
    pub name: EventName,
    /// What it means; empty when not written.
    pub meaning: String,
    /// The values that attributes have after it; each at least one.
    pub becomes: Vec<(AttributeName, Vec<EnumValue>)>,
    /// The attributes it may change.
    pub sets: Vec<AttributePath>,
    /// It ends the key.
    pub ends: bool,
    /// The attributes that travel with it beside those it changes.
    pub with: Vec<AttributePath>,
    /// Facts of the event that are no attributes of the state.
    pub details: Vec<Attribute>,
    /// What invariants say at that moment.
    pub flags: Vec<Flag>,
    /// Its reason codes with meanings; a reason is required when any is declared.
    pub reasons: Vec<(Reason, String)>,
    /// The attribute that says when it takes effect; none: given when publishing, else the commit.
    pub effective: Option<AttributeName>,
    /// Why it should no longer be used.
    pub deprecated: Option<String>,
}

/// The events channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// What every channel says.
    pub terms: ChannelTerms,
    /// The events, in the order written.
    pub events: Vec<Event>,
}

/// A view: own topics that hold only what these contexts are entitled to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The id.
    pub id: ViewId,
    /// The contexts that may read it.
    pub readers: Vec<ContextId>,
    /// The attributes beside the key.
    pub only: Vec<AttributePath>,
    /// The events it carries.
    pub events: Vec<EventName>,
    /// The details it carries, each of an event.
    pub details: Vec<(EventName, AttributeName)>,
    /// It has a state topic.
    pub state: bool,
}

/// An answer that a command may get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The name.
    pub name: AttributeName,
    /// What it means.
    pub meaning: String,
    /// The event that tells of it.
    pub event: Option<EventName>,
    /// What the answer says.
    pub details: Vec<Attribute>,
}

/// A command: what another context may ask of the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The name.
    pub name: CommandName,
    /// What it means.
    pub meaning: String,
    /// Who may send it.
    pub senders: Vec<ContextId>,
    /// What it says.
    pub details: Vec<Attribute>,
    /// The answers it may get.
    pub outcomes: Vec<Outcome>,
}

/// What a replay of a channel yields, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Replay {
    /// Whatever is left.
    BestEffort,
    /// Each key as it is now.
    CurrentState,
    /// Each key as it was at each change.
    AuditState,
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Replay::BestEffort => "bestEffort",
            Replay::CurrentState => "currentState",
            Replay::AuditState => "auditState",
        })
    }
}

/// In what order a channel's records come. Across keys nothing is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ordering {
    /// Those of one key in the order of its sequence.
    #[default]
    PerKey,
}

impl fmt::Display for Ordering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ordering::PerKey => "perKey",
        })
    }
}

/// Which texts of one major can read which records. Ordered: later is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Compatibility {
    /// Who reads by an older text can read what is written under a newer one.
    #[default]
    Backward,
    /// And who reads by a newer text can read what was written under an older one.
    Full,
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compatibility::Backward => "backward",
            Compatibility::Full => "full",
        })
    }
}

/// What is promised of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGuarantees {
    /// In what order they come.
    pub ordering: Ordering,
    /// How long they are kept; none when not written, which is a finding.
    pub retention: Option<Span>,
    /// What a replay yields.
    pub replay: Replay,
    /// From taking effect to commit.
    pub lateness: Option<Within>,
    /// From commit to applied.
    pub freshness: Option<Within>,
    /// Which texts can read which records.
    pub compatibility: Compatibility,
}

/// What is promised of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateGuarantees {
    /// From commit to applied; none when not written, which is a finding.
    pub freshness: Option<Within>,
    /// What a replay yields; never audit state.
    pub replay: Replay,
    /// How long a tombstone is kept; none when not written, which is a finding.
    pub tombstones: Option<Span>,
    /// Which texts can read which records.
    pub compatibility: Compatibility,
}

/// How many sets of reference data are kept where the contract says nothing.
pub const DEFAULT_SETS: u32 = 2;

/// What is promised of reference data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceGuarantees {
    /// From the cadence's moment to applied; none when it could not be read.
    pub freshness: Option<Within>,
    /// How many whole sets are kept, the newest among them.
    pub sets: u32,
    /// Which texts can read which records.
    pub compatibility: Compatibility,
}

/// What is promised, by channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guarantees {
    /// Of events.
    pub events: Option<EventGuarantees>,
    /// Of state.
    pub state: Option<StateGuarantees>,
    /// Of reference data.
    pub reference: Option<ReferenceGuarantees>,
    /// How soon a command is answered.
    pub commands_answer: Option<Within>,
    /// How old the state behind an answer to a request may be.
    pub requests_freshness: Option<Within>,
    /// How soon a request is answered.
    pub requests_answer: Option<Within>,
}

#[cfg(test)]
mod tests {
    use super::{Cadence, ChannelId, ChannelKind, DEFAULT_TOPICS, topic_name};

    #[test]
    fn a_time_of_day_without_a_zone_gets_the_estates() {
        let filled = |text: &str| {
            let mut cadence = Cadence::At(text.to_owned());
            cadence.fill_zone(Some("Europe/Berlin"));
            let Cadence::At(text) = cadence else { panic!("it stays one of hours") };
            text
        };
        for text in ["daily 06:00", "weekly mon 06:00", "monthly 31 06:00"] {
            assert_eq!(filled(text), format!("{text} Europe/Berlin"));
        }
        for text in ["every 15m", "hourly :30", "daily 06:00 UTC", "weekdays 06:00 Asia/Tokyo"] {
            assert_eq!(filled(text), text);
        }
    }

    #[test]
    fn a_view_has_topics_of_its_own() {
        let contract = "policy-administration/policy@2".parse().unwrap();
        let channel = ChannelId { view: Some("eligibility".parse().unwrap()), kind: ChannelKind::Events };
        assert_eq!(
            topic_name(DEFAULT_TOPICS, &contract, &channel),
            "policy-administration.policy.v2.eligibility.events"
        );
    }
}
