//! Errands: commands on their way to the owner's inbox, exactly once by id, and their outcomes on their way back.

pub mod hear;
pub mod post;

use crate::case::{CaseKind, NewCase};
use crate::log::{Cleanup, TopicSpec};
use crate::port::PortError;
use jiff::Timestamp;
use seamline_contract::channel::{commands_topic, outcomes_topic};
use seamline_contract::id::{CommandName, ContextId, ContractRef, SubscriptionRef};
use seamline_contract::resolve::ResolvedContract;
use seamline_message::codec::CompileError;
use seamline_message::codec::errand::ErrandCodec;
use serde_json::json;
use std::time::Duration;

/// How long the log keeps an errand: longer than anybody who reads it is away.
pub const ERRANDS_KEPT: Duration = Duration::from_hours(7 * 24);

/// What a service said, as its transaction left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its place in the order in which it is posted.
    pub number: u64,
    /// The id of the command.
    pub id: String,
    /// The contract of the command, as printed.
    pub contract: String,
    /// The command.
    pub command: String,
    /// How it ended; none: it is the command itself.
    pub outcome: Option<String>,
    /// Of an outcome: who sent the command.
    pub recipient: Option<String>,
    /// The key as given; canonical, or the letter is refused.
    pub key: String,
    /// The details in source form.
    pub details: Option<Vec<u8>>,
    /// What caused it, as the service said.
    pub correlation: Option<String>,
    /// The message that caused it, as the service said.
    pub causation: Option<String>,
    /// W3C trace context, as the service said.
    pub traceparent: Option<String>,
    /// When it was written.
    pub written_at: Timestamp,
}

/// A letter that breaks its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number.
    pub number: u64,
    /// Rule, path and message.
    pub violation: (String, String, String),
}

/// How a command ended, as its owner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The command's id.
    pub id: String,
    /// The outcome.
    pub outcome: String,
    /// The whole payload, JSON.
    pub payload: String,
}

/// A command whose outcome did not come in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The command's id.
    pub id: String,
    /// The contract, as printed.
    pub contract: String,
    /// The command.
    pub command: String,
    /// Whose it is.
    pub subscription: SubscriptionRef,
    /// Until when an answer was promised.
    pub due: Timestamp,
}

/// A command that a context may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sends {
    /// The contract.
    pub contract: ContractRef,
    /// The command.
    pub command: CommandName,
    /// Into whose inbox its outcome goes.
    pub subscription: SubscriptionRef,
    /// How many values the contract's key has.
    pub key_parts: usize,
    /// How soon an answer is promised; none: not at all.
    pub answer: Option<Duration>,
}

/// A command that a context receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receives {
    /// The contract.
    pub contract: ContractRef,
    /// Under which name it stands in the inbox.
    pub subscription: SubscriptionRef,
    /// The command.
    pub command: CommandName,
    /// The outcomes that it may have.
    pub outcomes: Vec<String>,
}

/// What a database needs to know of errands before the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrandRules {
    /// What may be sent from it, by contract and command.
    pub sends: Vec<Sends>,
    /// What is received in it.
    pub receives: Vec<Receives>,
}

impl ErrandRules {
    /// Returns whether there is nothing to send and nothing to receive.
    pub fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.receives.is_empty()
    }
}

/// A contract whose errands travel.
#[derive(Debug, Clone)]
pub struct Route {
    /// The contract.
    pub contract: ContractRef,
    /// Reads, judges and writes its errands.
    pub codec: ErrandCodec,
    /// The template of topic names.
    template: String,
}

impl Route {
    /// Compiles the commands of a contract.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub fn compile(contract: &ResolvedContract, template: &str) -> Result<Route, CompileError> {
        let codec = ErrandCodec::compile(contract)?;
        Ok(Route { contract: contract.contract.reference(), codec, template: template.to_owned() })
    }

    /// Returns the topic on which its commands travel.
    pub fn commands(&self) -> String {
        commands_topic(&self.template, &self.contract)
    }

    /// Returns the topic on which the outcomes of one sender's commands travel.
    pub fn outcomes(&self, sender: &ContextId) -> String {
        outcomes_topic(&self.template, &self.contract, sender)
    }

    /// Returns all topics of its errands, as they should be.
    pub fn topics(&self, partitions: u32) -> Vec<TopicSpec> {
        let senders = self.codec.senders();
        let outcomes = senders.iter().map(|sender| self.outcomes(sender));
        let spec = |name| TopicSpec {
            name,
            partitions,
            cleanup: Cleanup::Delete { retention: Some(ERRANDS_KEPT) },
            value_bytes_max: self.codec.codec.contract().contract.command_terms.limit_bytes,
        };
        std::iter::once(self.commands()).chain(outcomes).map(spec).collect()
    }
}

/// A context's database, as far as errands go. Services use it by SQL.
pub trait Errands: Send + Sync {
    /// Returns letters that wait, by number, at most `limit`.
    fn letters(&self, limit: u32) -> impl Future<Output = Result<Vec<Letter>, PortError>> + Send;

    /// Removes letters that are in the log; their commands count as sent. Those that are gone already are no harm.
    fn posted(
        &self,
        letters: &[Letter],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Lets letters rest with what they break, and raises cases with it. Their commands count as refused.
    fn refuse(
        &self,
        refused: &[Refused],
        cases: &[NewCase],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns the payloads of inbox rows by id, in the order asked; none where there is no such row.
    fn heard(
        &self,
        subscription: &SubscriptionRef,
        ids: &[String],
    ) -> impl Future<Output = Result<Vec<Option<String>>, PortError>> + Send;

    /// Notes how commands ended. One that is not known, or ended before, stays as it is.
    fn answered(
        &self,
        answers: &[Answer],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns commands that are without an answer past their time and were not told of, at most `limit`.
    fn overdue(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Overdue>, PortError>> + Send;

    /// Marks commands as late, and raises cases with it.
    fn late(
        &self,
        ids: &[String],
        cases: &[NewCase],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Deletes commands that ended before a moment, at most `limit`. Returns how many.
    fn forget_commands(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<u64, PortError>> + Send;
}

/// How many overdue commands are told of at once.
const TOLD_MAX: u32 = 500;

/// Tells of commands whose outcome did not come in time: one case for each command of a contract. Returns how many there were.
///
/// # Errors
/// The port's; it is safe to repeat.
pub async fn tell_overdue<E: Errands>(errands: &E, now: Timestamp) -> Result<u64, PortError> {
    let overdue = errands.overdue(now, TOLD_MAX).await?;
    if overdue.is_empty() {
        return Ok(0);
    }
    let mut cases: Vec<NewCase> = Vec::new();
    for it in &overdue {
        crate::hold::raise(&mut cases, overdue_case(it));
    }
    let ids: Vec<String> = overdue.into_iter().map(|it| it.id).collect();
    errands.late(&ids, &cases, now).await?;
    Ok(ids.len() as u64)
}

fn overdue_case(it: &Overdue) -> NewCase {
    // Whoever decides on the contract promised the answer.
    let owner = it.contract.split('/').next().and_then(|context| context.parse().ok());
    NewCase {
        kind: CaseKind::Promise,
        fingerprint: format!("promise/{}/{}/{}", it.subscription, it.contract, it.command),
        subject: it.subscription.to_string(),
        owed_by: owner.unwrap_or_else(|| it.subscription.context.clone()),
        summary: format!("`{}` of `{}` was not answered in time", it.command, it.contract),
        details: json!({ "id": it.id, "due": it.due.to_string() }).to_string(),
    }
}
