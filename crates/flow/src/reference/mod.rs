//! Reference data: whole, numbered sets with a manifest, from the source view of their owner to the tables of consumers.

pub mod compare;
pub mod gather;
pub mod send;
pub mod take;

use crate::cadence::{CadenceError, Hours};
use crate::case::{CaseKind, NewCase};
use crate::intake::{Intake, StateLane};
use crate::log::{Cleanup, TopicSpec};
use crate::outlet::{MAX_LAG, TOMBSTONES};
use crate::port::PortError;
use crate::store::TakenSet;
use jiff::Timestamp;
use seamline_contract::channel::reference_topic;
use seamline_contract::id::{ContractId, ContractRef};
use seamline_contract::resolve::ResolvedContract;
use seamline_message::codec::{Codec, CompileError};
use seamline_message::digest::Digest;
use serde_json::json;
use std::time::Duration;

/// How many rows a set has at most: it is held in memory where it is written and where it is read.
pub const SET_ROWS_MAX: usize = 200_000;

/// How many bytes its rows have at most.
pub const SET_BYTES_MAX: usize = 64 << 20;

/// How many sets are kept where the contract does not say.
const SETS: u32 = 2;

/// The partition that all records of a set are in.
pub const PARTITION: u32 = 0;

/// What a source knows of the sets of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sending {
    /// The highest number drawn.
    pub drawn: u64,
    /// How often its service asked for a set.
    pub asked: u64,
    /// The last set that is in the log.
    pub last: Option<SentSet>,
}

/// A set that is in the log, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentSet {
    /// Its number.
    pub number: u64,
    /// How many rows it has.
    pub rows: u64,
    /// Its digest.
    pub digest: Digest,
    /// The hour for which it was sent; none: its service asked for it.
    pub hour: Option<Timestamp>,
    /// How often the service had asked when the source was read.
    pub asked: u64,
    /// When the source was read.
    pub taken: Timestamp,
}

/// The sets of a producer's database. Its service asks for one by SQL.
pub trait Sets: Send + Sync {
    /// Returns what is known of the sets of a contract.
    fn sending(&self, contract: &ContractId) -> impl Future<Output = Result<Sending, PortError>> + Send;

    /// Draws the next number, above all that were drawn before and above one.
    ///
    /// # Errors
    /// After `Unknown` a number may be lost: draw again.
    fn draw(&self, contract: &ContractId, above: u64) -> impl Future<Output = Result<u64, PortError>> + Send;

    /// Notes that a set is in the log; nothing where a later one was noted.
    fn sent(
        &self,
        contract: &ContractId,
        set: &SentSet,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The table of a subscription that holds whole sets.
#[derive(Debug, Clone)]
pub struct ReferenceLane {
    /// The topic and the table.
    pub table: StateLane,
    /// The hours at which sets are sent; none: when the owner's service asks.
    pub hours: Option<Hours>,
    /// How soon after its hour a set is promised.
    pub freshness: Option<Duration>,
}

/// A contract whose sets are sent.
#[derive(Debug, Clone)]
pub struct Outflow {
    /// The contract.
    pub contract: ContractRef,
    /// Reads and judges rows, and writes them.
    pub codec: Codec,
    /// Its topic, as it should be.
    pub topic: TopicSpec,
    /// The hours at which sets are sent; none: when the service asks.
    pub hours: Option<Hours>,
    /// How many slots the topic has: one more than the sets that are kept.
    pub slots: u32,
}

/// Why the sets of a contract cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum OutflowError {
    /// It cannot be compiled.
    #[error("`{0}` cannot be compiled: {1}")]
    Compile(ContractRef, CompileError),
    /// The hours of its channel are none.
    #[error("`{0}`: {1}")]
    Cadence(ContractRef, CadenceError),
}

impl Outflow {
    /// Compiles the reference data of a contract; none where it has none.
    ///
    /// # Errors
    /// When it cannot be compiled, or its cadence names no hours.
    pub fn compile(contract: &ResolvedContract, template: &str) -> Result<Option<Outflow>, OutflowError> {
        let Some(terms) = &contract.contract.reference else { return Ok(None) };
        let reference = contract.contract.reference();
        let codec =
            Codec::compile(contract).map_err(|source| OutflowError::Compile(reference.clone(), source))?;
        let hours =
            Hours::of(&terms.cadence).map_err(|source| OutflowError::Cadence(reference.clone(), source))?;
        let kept = contract.contract.guarantees.reference.as_ref().map_or(SETS, |it| it.sets);
        let topic = TopicSpec {
            name: reference_topic(template, &reference),
            partitions: 1,
            // A record stays until its slot is written again, which is as many sets later as are kept: no lag is needed.
            cleanup: Cleanup::Compact {
                tombstones: TOMBSTONES,
                min_lag: Duration::ZERO,
                max_lag: contract.carries_personal(None).then_some(MAX_LAG),
            },
            value_bytes_max: terms.limit_bytes,
        };
        Ok(Some(Outflow { contract: reference, codec, topic, hours, slots: kept.max(1) + 1 }))
    }

    /// Returns the name under which its sets are appended: another in each environment, as the topic's name is.
    pub fn producer_name(&self) -> String {
        format!("sets/{}", self.topic.name)
    }
}

/// Returns the hour whose set is late at a moment; none where none is promised, or it is there.
pub fn late(lane: &ReferenceLane, taken: Option<&TakenSet>, now: Timestamp) -> Option<Timestamp> {
    let (hours, freshness) = (lane.hours.as_ref()?, lane.freshness?);
    let due = hours.last(now.checked_sub(freshness).ok()?);
    let is_there = taken.is_some_and(|set| set.taken >= due);
    (!is_there).then_some(due)
}

/// Returns the case of a set that did not come in time.
pub fn late_case(intake: &Intake, due: Timestamp) -> NewCase {
    // Whoever decides on the contract promised the hour.
    NewCase {
        kind: CaseKind::Promise,
        fingerprint: format!("promise/{}/{}/set", intake.subscription, intake.contract),
        subject: intake.subscription.to_string(),
        owed_by: intake.contract.name.context.clone(),
        summary: format!("the set of `{}` did not come in time", intake.contract),
        details: json!({ "hour": due.to_string() }).to_string(),
    }
}
