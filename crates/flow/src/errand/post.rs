//! Posting: letters leave a database for the log. One that is posted twice, since a process died in between, is heard once.

use super::{Errands, Letter, Refused, Route};
use crate::case::{CaseKind, NewCase};
use crate::clock::Clock;
use crate::hold::{Ports, raise};
use crate::log::{Appended, Fence, Log, Outgoing};
use crate::pen::{self, Pen, Right};
use crate::port::PortError;
use crate::stop;
use crate::store::{Lane, Store};
use jiff::Timestamp;
use seamline_contract::id::ContextId;
use seamline_message::codec::errand::Said;
use seamline_message::errand::{Errand, ErrandKind};
use seamline_message::violation::{Rule, Violation};
use serde_json::json;
use std::collections::BTreeMap;

/// How many letters one step posts at most.
const STEP_LETTERS: u32 = 500;

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// So many letters left.
    Moved(u64),
    /// Nothing waits.
    Idle,
    /// What waits has no topic yet.
    NoTopic,
    /// Another posts.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// A topic takes no letters. The case is raised.
    Stopped(Box<NewCase>),
}

/// Posts the letters of one database.
#[derive(Debug)]
pub struct Post<'a, S, L, C> {
    ports: Ports<'a, S, L, C>,
    context: &'a ContextId,
    routes: &'a [Route],
    pen: Pen,
    partitions: BTreeMap<String, u32>,
}

/// Returns the lane whose lease says who posts the letters of a database; `name` is that under which it appends.
pub fn lease(context: &ContextId, name: &str) -> Lane {
    pen::lease(context, "errands", name)
}

impl<'a, S: Store + Errands, L: Log, C: Clock> Post<'a, S, L, C> {
    /// Returns the post of a database, not yet held. `name` is that under which it appends: one for each database.
    pub fn new(ports: Ports<'a, S, L, C>, context: &'a ContextId, routes: &'a [Route], name: &str) -> Self {
        Post { ports, context, routes, pen: Pen::new(lease(context, name)), partitions: BTreeMap::new() }
    }

    /// Posts what waits. Cancel safe: what may not have left is posted again.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub async fn step(&mut self) -> Result<Step, PortError> {
        let letters = self.ports.store.letters(STEP_LETTERS).await?;
        if letters.is_empty() {
            return Ok(Step::Idle);
        }
        let fence = match self.pen.take(self.ports).await? {
            Right::Held(fence) | Right::Taken(fence) => fence,
            Right::Busy { until } => return Ok(Step::Busy { until }),
        };
        let (mut posted, mut records, mut refused, mut cases) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for letter in letters {
            match self.record(&letter).await? {
                Ok(Some(record)) => {
                    records.push(record);
                    posted.push(letter);
                }
                Ok(None) => {}
                Err(violation) => {
                    raise(&mut cases, refused_case(self.context, &letter, &violation));
                    let it = (violation.rule.to_string(), violation.path, violation.message);
                    refused.push(Refused { number: letter.number, violation: it });
                }
            }
        }
        let now = self.ports.clock.now();
        if !refused.is_empty() {
            self.ports.store.refuse(&refused, &cases, now).await?;
        }
        if records.is_empty() {
            return Ok(if refused.is_empty() { Step::NoTopic } else { Step::Moved(refused.len() as u64) });
        }
        self.append(&fence, records, &posted).await
    }

    async fn append(
        &mut self,
        fence: &Fence,
        records: Vec<Outgoing>,
        posted: &[Letter],
    ) -> Result<Step, PortError> {
        let now = self.ports.clock.now();
        match self.ports.log.append(fence, records).await? {
            Appended::Done => {}
            Appended::Fenced => {
                self.pen.lost();
                return Ok(Step::Idle);
            }
            Appended::Refused { topic, reason } => {
                self.partitions.clear();
                let case = closed_case(self.context, &topic, &reason);
                self.ports.store.refuse(&[], std::slice::from_ref(&case), now).await?;
                return Ok(Step::Stopped(Box::new(case)));
            }
        }
        stop::here("letters-appended");
        self.ports.store.posted(posted, now).await?;
        Ok(Step::Moved(posted.len() as u64))
    }

    /// Returns the record of a letter; none where its topic is not there yet, and the violation where it breaks its contract.
    async fn record(&mut self, letter: &Letter) -> Result<Result<Option<Outgoing>, Violation>, PortError> {
        let Some(route) = self.routes.iter().find(|route| route.contract.to_string() == letter.contract)
        else {
            return Ok(Err(Violation::new(
                Rule::Schema,
                "contract",
                "not one whose commands travel from here",
            )));
        };
        let written = write(self.context, route, letter);
        let (topic, key, errand, value) = match written {
            Ok(written) => written,
            Err(violation) => return Ok(Err(violation)),
        };
        let partitions = match self.partitions.get(&topic) {
            Some(partitions) => *partitions,
            None => {
                let Some(found) = self.ports.log.topic(&topic).await? else { return Ok(Ok(None)) };
                self.partitions.insert(topic.clone(), found.partitions);
                found.partitions
            }
        };
        Ok(Ok(Some(Outgoing {
            topic,
            partition: route.codec.codec.partition(&key, partitions),
            key: Some(key.as_bytes().to_vec()),
            headers: errand.to_headers().into(),
            value: Some(value),
        })))
    }
}

type Written = (String, seamline_message::key::RecordKey, Errand, Vec<u8>);

/// Returns topic, key, headers and value of a letter.
fn write(context: &ContextId, route: &Route, letter: &Letter) -> Result<Written, Violation> {
    let unknown = || Violation::new(Rule::Schema, "command", "the contract has no such command");
    let command = letter.command.parse().map_err(|_| unknown())?;
    let (topic, kind) = match &letter.recipient {
        None => {
            if !route.codec.may_send(context, &command) {
                return Err(Violation::new(
                    Rule::Schema,
                    "command",
                    "the contract does not let this context send it",
                ));
            }
            (route.commands(), ErrandKind::Command(command))
        }
        Some(recipient) => {
            let recipient: ContextId =
                recipient.parse().map_err(|_| Violation::new(Rule::Schema, "recipient", "not a context"))?;
            (route.outcomes(&recipient), ErrandKind::Outcome)
        }
    };
    let said = Said {
        key: &letter.key,
        command: &letter.command,
        outcome: letter.outcome.as_deref(),
        details: letter.details.as_deref(),
    };
    let (key, value) = route.codec.write(&said)?;
    let errand = Errand {
        id: letter.id.clone(),
        from: context.clone(),
        kind,
        time: letter.written_at,
        contract: route.contract.clone(),
        version: route.codec.codec.contract().contract.version,
        key_text: key.as_str().to_owned(),
        correlation: letter.correlation.clone(),
        causation: letter.causation.clone(),
        traceparent: letter.traceparent.clone(),
    };
    Ok((topic, key, errand, value))
}

fn refused_case(context: &ContextId, letter: &Letter, violation: &Violation) -> NewCase {
    let what = letter.outcome.as_ref().map_or("command", |_| "outcome of the command");
    NewCase {
        kind: CaseKind::Quarantine,
        fingerprint: format!(
            "errand/{context}/{}/{}/{}/{}",
            letter.contract, letter.command, violation.rule, violation.path
        ),
        subject: letter.contract.clone(),
        owed_by: context.clone(),
        summary: format!("the {what} `{}` breaks its contract: {violation}", letter.command),
        details: json!({ "id": letter.id, "letter": letter.number }).to_string(),
    }
}

fn closed_case(context: &ContextId, topic: &str, reason: &str) -> NewCase {
    NewCase {
        kind: CaseKind::Topic,
        fingerprint: format!("topic/{context}/{topic}/refused"),
        subject: topic.to_owned(),
        owed_by: context.clone(),
        summary: format!("`{topic}` takes no records: {reason}; letters wait"),
        details: json!({ "topic": topic, "reason": reason }).to_string(),
    }
}
