//! Hearing: errands from the log become rows of an inbox, each id once, in the order in which the log has them.

use super::{Answer, Errands, Route};
use crate::case::{CaseKind, NewCase};
use crate::clock::Clock;
use crate::hold::{
    Hold, Moved, Ports, Step, Take, details, raise, range_lost, schema_missing, written_first,
};
use crate::log::{Fetch, Fetched, Incoming, Log};
use crate::port::PortError;
use crate::position::Accounting;
use crate::projector::STEP_RECORDS;
use crate::projector::open::{AsideFacts, aside, invalid};
use crate::store::{AsideRecord, Committed, InboxRow, Lane, Store};
use jiff::Timestamp;
use seamline_contract::id::{CommandName, ContextId, SubscriptionRef};
use seamline_message::digest::{DigestKey, Domain, digest};
use seamline_message::errand::{Errand, ErrandKind};
use seamline_message::key::RecordKey;
use seamline_message::mutant::{self, Mutant};
use seamline_message::sequence::Sequence;
use seamline_message::violation::{Rule, Violation};
use std::collections::BTreeMap;

/// Records of errands are digested to be recognised, not to be compared with a ledger.
const KEY: DigestKey = DigestKey([0; 32]);

/// Whose errands are heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// The owner hears commands.
    Owner,
    /// A sender hears the outcomes of these commands.
    Sender(Vec<CommandName>),
}

/// A topic of errands, and into which inbox they go.
#[derive(Debug, Clone)]
pub struct Hearing {
    /// Under which name they stand in the inbox.
    pub subscription: SubscriptionRef,
    /// The topic.
    pub topic: String,
    /// Whose it is.
    pub side: Side,
    /// The contract.
    pub route: Route,
}

impl Hearing {
    /// Returns what the owner of a contract hears, under a name in its inbox.
    pub fn of_owner(route: Route, subscription: SubscriptionRef) -> Hearing {
        Hearing { subscription, topic: route.commands(), side: Side::Owner, route }
    }

    /// Returns what a subscription hears that sends commands.
    pub fn of_sender(route: Route, subscription: SubscriptionRef, commands: Vec<CommandName>) -> Hearing {
        let topic = route.outcomes(&subscription.context);
        Hearing { subscription, topic, side: Side::Sender(commands), route }
    }

    /// Returns one partition of its topic.
    pub fn lane(&self, partition: u32) -> Lane {
        Lane { subscription: self.subscription.clone(), topic: self.topic.clone(), partition }
    }
}

/// What a record says.
enum Opened {
    /// A row for the inbox, and how a command ended.
    Row(Box<InboxRow>, Option<Answer>),
    /// An outcome of a command that another subscription sent.
    Others,
    Broken(Option<RecordKey>, Violation),
}

/// One lane of errands.
#[derive(Debug)]
pub struct Hearer<'a, S, L, C> {
    ports: Ports<'a, S, L, C>,
    hearing: &'a Hearing,
    /// The lane.
    pub hold: Hold,
}

impl<'a, S: Store + Errands, L: Log, C: Clock> Hearer<'a, S, L, C> {
    /// Takes a lane.
    ///
    /// # Errors
    /// The ports'; it is safe to repeat.
    pub async fn take(
        ports: Ports<'a, S, L, C>,
        hearing: &'a Hearing,
        partition: u32,
    ) -> Result<Take<Self>, PortError> {
        let taken = Hold::begin(ports, hearing.lane(partition)).await?;
        Ok(taken.map(|hold| Hearer { ports, hearing, hold }))
    }

    /// Brings the inbox one batch further. Cancel safe: what is not durable is read again.
    ///
    /// # Errors
    /// The ports'. It is safe to go on: after `Unknown` the next step takes the lane again and goes on from what it says.
    pub async fn step(&mut self) -> Result<Step, PortError> {
        if self.hold.grip.is_none() {
            match Hold::begin(self.ports, self.hold.lane.clone()).await? {
                Take::Held(hold) => self.hold = hold,
                Take::Busy { until } => return Ok(Step::Busy { until }),
                Take::NoTopic => return Ok(Step::NoTopic),
                Take::Stopped(case) => return Ok(Step::Stopped(case)),
            }
        }
        let (partition, from) = (self.hold.lane.partition, self.hold.offset());
        match self.ports.log.fetch(&self.hold.topic, partition, from, STEP_RECORDS).await? {
            Fetched::Records(fetch) if fetch.next == from => self.hold.renew(self.ports, Step::Idle).await,
            Fetched::Records(fetch) => self.apply(&fetch).await,
            Fetched::OutOfRange { .. } => {
                let case = range_lost(&self.hold.lane);
                self.hold.stop(self.ports, case).await
            }
            Fetched::NoSchema(id) => {
                let case = schema_missing(&self.hold.lane, id);
                self.hold.stop(self.ports, case).await
            }
            Fetched::NoTopic => {
                self.hold.grip = None;
                Ok(Step::NoTopic)
            }
        }
    }

    async fn apply(&mut self, fetch: &Fetch) -> Result<Step, PortError> {
        let now = self.ports.clock.now();
        let opened: Vec<Opened> = fetch.records.iter().map(|record| open(self.hearing, record)).collect();
        let ids: Vec<String> = opened.iter().filter_map(id_of).map(ToOwned::to_owned).collect();
        let there = self.ports.store.heard(&self.hearing.subscription, &ids).await?;
        let heard = ids.into_iter().zip(there).filter_map(|(id, payload)| Some((id, payload?))).collect();
        let mut fold = Fold::new(&self.hold, heard, now);
        fetch.records.iter().zip(opened).for_each(|(record, opened)| fold.take(record, opened));
        let Fold { mut accounting, inbox, aside, cases, answers, .. } = fold;
        accounting.to = fetch.next;
        accounting.absent += fetch.next - self.hold.offset() - fetch.records.len() as u64;
        let mut next = self.hold.state().clone();
        next.accounting = accounting;
        if let Some(position) = &mut next.position {
            position.offset = fetch.next;
            position.leader_epoch = fetch.records.last().map_or(position.leader_epoch, |it| it.leader_epoch);
        }
        let mut batch = self.hold.batch(next);
        let moved = Moved {
            handed: fetch.records.len() as u64,
            aside: aside.len() as u64,
            inbox: inbox.len() as u64,
            behind: fetch.end.saturating_sub(fetch.next),
            written: written_first(&fetch.records),
        };
        (batch.inbox, batch.aside, batch.cases) = (inbox, aside, cases);
        if !answers.is_empty() {
            // Noting twice how a command ended is no harm, and no outcome is passed before it is noted.
            self.ports.store.answered(&answers, now).await?;
        }
        Ok(match self.hold.commit(self.ports, None, batch).await? {
            Committed::Done => Step::Moved(moved),
            Committed::Fenced => Step::Fenced,
        })
    }
}

fn id_of(opened: &Opened) -> Option<&str> {
    match opened {
        Opened::Row(row, _) => Some(&row.id),
        Opened::Others | Opened::Broken(..) => None,
    }
}

/// Opens a record of a topic of errands.
fn open(hearing: &Hearing, record: &Incoming) -> Opened {
    let broken = |violation| {
        let key = hearing.route.codec.codec.decode_key(record.key.as_deref()).ok();
        Opened::Broken(key, violation)
    };
    match read(hearing, record) {
        Ok(opened) => opened,
        Err(violation) => broken(record.fault.clone().unwrap_or(violation)),
    }
}

fn read(hearing: &Hearing, record: &Incoming) -> Result<Opened, Violation> {
    let codec = &hearing.route.codec;
    let errand = Errand::from_headers(&record.headers)?;
    if errand.contract != hearing.route.contract {
        return Err(Violation::new(Rule::Schema, "headers.ce_dataschema", "of another contract or major"));
    }
    let value = record.value.as_deref();
    let value = value.ok_or_else(|| Violation::new(Rule::Json, "", "an errand without a value"))?;
    let heard = codec.read(record.key.as_deref(), value)?;
    if errand.key_text != heard.key.as_str() {
        return Err(Violation::new(Rule::Key, "headers.ce_subject", "another key than that of the record"));
    }
    let payload =
        String::from_utf8(value.to_vec()).map_err(|_| Violation::new(Rule::Json, "", "not UTF-8"))?;
    let other = || Violation::new(Rule::Schema, "headers.ce_type", "another errand than the payload is");
    let (id, event, answer) = match (&hearing.side, &errand.kind, heard.outcome) {
        (Side::Owner, ErrandKind::Command(command), None) if *command == heard.command => {
            if !codec.may_send(&errand.from, command) {
                return Err(Violation::new(
                    Rule::Schema,
                    "headers.ce_source",
                    "not a context that may send it",
                ));
            }
            (id_in_inbox(&errand.from, &errand.id), command.to_string(), None)
        }
        (Side::Sender(sent), ErrandKind::Outcome, Some(outcome)) => {
            if errand.from != hearing.route.contract.name.context {
                return Err(Violation::new(
                    Rule::Schema,
                    "headers.ce_source",
                    "not the owner of the contract",
                ));
            }
            if !sent.contains(&heard.command) {
                return Ok(Opened::Others);
            }
            let answer = Answer { id: errand.id.clone(), outcome: outcome.to_string(), payload };
            (format!("{}/outcome", errand.id), format!("{}.{outcome}", heard.command), Some(answer))
        }
        _ => return Err(other()),
    };
    let row = InboxRow {
        id,
        key: heard.key,
        event,
        // An errand has no place in a chain.
        sequence: Sequence::MIN,
        effective: None,
        reason: None,
        // What answers a command belongs to it, whatever the command itself belongs to.
        correlation: Some(errand.id),
        traceparent: errand.traceparent,
        payload: value.to_vec(),
        projection_behind: false,
    };
    Ok(Opened::Row(Box::new(row), answer))
}

/// Returns the id of a command in its owner's inbox: two senders may give one id.
pub fn id_in_inbox(sender: &ContextId, id: &str) -> String {
    format!("{sender}/{id}")
}

/// Folds errands into what one transaction writes.
struct Fold<'a> {
    hold: &'a Hold,
    now: Timestamp,
    heard: BTreeMap<String, String>,
    accounting: Accounting,
    inbox: Vec<InboxRow>,
    aside: Vec<AsideRecord>,
    cases: Vec<NewCase>,
    answers: Vec<Answer>,
}

impl<'a> Fold<'a> {
    fn new(hold: &'a Hold, heard: BTreeMap<String, String>, now: Timestamp) -> Fold<'a> {
        let accounting = hold.state().accounting;
        let (inbox, aside, cases, answers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Fold { hold, now, heard, accounting, inbox, aside, cases, answers }
    }

    fn take(&mut self, record: &Incoming, opened: Opened) {
        self.accounting.handed += 1;
        match opened {
            Opened::Others => self.accounting.superseded += 1,
            Opened::Broken(key, violation) => self.set_aside(record, key, &violation),
            Opened::Row(mut row, answer) => {
                let payload = String::from_utf8_lossy(&row.payload).into_owned();
                match self.heard.get(&row.id) {
                    Some(there) if mutant::is(Mutant::CommandsRepeat) => {
                        row.id = format!("{}#{}", row.id, there.len() + self.inbox.len());
                    }
                    Some(there) if *there == payload => {
                        self.accounting.duplicates += 1;
                        return;
                    }
                    Some(_) => {
                        let violation = Violation::new(
                            Rule::Schema,
                            "headers.ce_id",
                            "an id that was used with other content",
                        );
                        return self.set_aside(record, Some(row.key), &violation);
                    }
                    None => {}
                }
                self.accounting.applied += 1;
                self.heard.insert(row.id.clone(), payload);
                self.answers.extend(answer);
                self.inbox.push(*row);
            }
        }
    }

    fn set_aside(&mut self, record: &Incoming, key: Option<RecordKey>, violation: &Violation) {
        self.accounting.quarantined += 1;
        let lane = &self.hold.lane;
        raise(&mut self.cases, broken_case(lane, record.offset, key.as_ref(), violation));
        let value = record.value.as_deref().unwrap_or_default();
        let received = digest(&KEY, Domain::Raw, record.key.as_deref().unwrap_or_default(), value);
        let facts = AsideFacts { key, sequence: None, received, cause: invalid(violation) };
        self.aside.push(aside(lane, record, facts, self.now));
    }
}

fn broken_case(lane: &Lane, offset: u64, key: Option<&RecordKey>, violation: &Violation) -> NewCase {
    let facts = [("offset", offset.to_string()), ("key", key.map_or_else(String::new, ToString::to_string))];
    NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: format!(
            "quarantine/{}/{}/{}/{}",
            lane.subscription, lane.topic, violation.rule, violation.path
        ),
        subject: lane.subscription.to_string(),
        owed_by: lane.subscription.context.clone(),
        summary: format!("records of `{}` break their contract: {violation}", lane.topic),
        details: details(lane, &facts),
    }
}
