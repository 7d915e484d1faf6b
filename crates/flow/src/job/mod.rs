//! Jobs: an operator's long acts, kept in the context's own database, worked by whoever holds their lease.

pub mod decide;
pub mod merge;
pub mod orders;
pub mod publish;
pub mod redrive;
pub mod rehearse;
pub mod tally;

use crate::port::PortError;
use jiff::Timestamp;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// A projection is derived anew, compared, and merged where that is asked for.
    Rehearse,
    /// A consumer is brought to what the log says, whatever its lanes know.
    Bootstrap,
    /// Some keys of a projection are derived anew and merged.
    Replay,
    /// The current state of all keys of a contract is published once more.
    Backfill,
    /// What waits in quarantine is tried again, all of an issue or of a subject.
    Redrive,
    /// The personal data of one subject goes. It is kept when it is over: it is the proof.
    Erase,
}

impl JobKind {
    /// All kinds.
    pub const ALL: [JobKind; 6] = [
        JobKind::Rehearse,
        JobKind::Bootstrap,
        JobKind::Replay,
        JobKind::Backfill,
        JobKind::Redrive,
        JobKind::Erase,
    ];

    /// Returns the word under which it is stored and printed.
    pub fn word(self) -> &'static str {
        match self {
            JobKind::Rehearse => "rehearse",
            JobKind::Bootstrap => "bootstrap",
            JobKind::Replay => "replay",
            JobKind::Backfill => "backfill",
            JobKind::Redrive => "redrive",
            JobKind::Erase => "erase",
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobStage {
    /// Somebody is to take it.
    Waiting,
    /// Somebody took it.
    Working,
    /// Nobody is to take it until it is resumed.
    Paused,
    /// All that was asked for is done.
    Done,
    /// It cannot be done, or concludes nothing; its note says why.
    Failed,
    /// It was ended before its end.
    Aborted,
}

impl JobStage {
    /// All stages.
    pub const ALL: [JobStage; 6] = [
        JobStage::Waiting,
        JobStage::Working,
        JobStage::Paused,
        JobStage::Done,
        JobStage::Failed,
        JobStage::Aborted,
    ];

    /// Returns the word under which it is stored and printed.
    pub fn word(self) -> &'static str {
        match self {
            JobStage::Waiting => "waiting",
            JobStage::Working => "working",
            JobStage::Paused => "paused",
            JobStage::Done => "done",
            JobStage::Failed => "failed",
            JobStage::Aborted => "aborted",
        }
    }

    /// Returns whether nothing more happens to it.
    pub fn is_over(self) -> bool {
        match self {
            JobStage::Waiting | JobStage::Working | JobStage::Paused => false,
            JobStage::Done | JobStage::Failed | JobStage::Aborted => true,
        }
    }
}

/// A job to file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// What it is about: a subscription or a contract, as printed. It has one job at a time.
    pub subject: String,
    /// How it is to be done, JSON.
    pub orders: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number in this database.
    pub id: u64,
    /// As it was filed.
    pub filed: NewJob,
    /// How far it is.
    pub stage: JobStage,
    /// Who works on it, and until when, unless renewed.
    pub holder: Option<(String, Timestamp)>,
    /// Rises with every change: who changes a job says which turn it knows.
    pub turn: u64,
    /// How far the work is, JSON; empty before it began.
    pub progress: String,
    /// Why it is where it is; empty where that is plain.
    pub note: String,
    /// When it was filed.
    pub since: Timestamp,
    /// When it was changed last.
    pub changed: Timestamp,
}

/// One part of a job, done by whoever holds the lane that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The number: that of a partition.
    pub part: u32,
    /// Rises with every change; zero: it is not stored yet.
    pub turn: u64,
    /// How far it is, JSON.
    pub progress: String,
}

/// The answer to filing a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filed {
    /// It has this number.
    New(u64),
    /// Another job of the same subject is not over.
    Busy(u64),
}

/// How many jobs that are over are kept.
pub const KEPT: u64 = 50;

/// The jobs of a context, in its own database.
pub trait Jobs: Send + Sync {
    /// Files a job, unless its subject has one that is not over. Forgets the oldest of those that are over, beyond `KEPT`; those of
    /// erasures never, nor do they count.
    fn file(&self, new: &NewJob, now: Timestamp) -> impl Future<Output = Result<Filed, PortError>> + Send;

    /// Returns the jobs by number; those that are over only when asked for.
    fn jobs(&self, over: bool) -> impl Future<Output = Result<Vec<Job>, PortError>> + Send;

    /// Writes stage, holder, progress, note and moment of change of a job, if its turn is still that of `job`; the turn
    /// rises by one then. Returns whether it did.
    ///
    /// # Errors
    /// After `Unknown` it may be written: read it again.
    fn change(&self, job: &Job) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Returns the parts of a job, by number.
    fn parts(&self, id: u64) -> impl Future<Output = Result<Vec<Part>, PortError>> + Send;

    /// Writes a part's progress, if its turn is still that of `part` (zero: it is not there); the turn rises by one then.
    /// Returns whether it did.
    ///
    /// # Errors
    /// After `Unknown` it may be written: read it again.
    fn change_part(&self, id: u64, part: &Part) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Returns by which translation the rows of a subscription were all written; none where nobody said.
    fn translation(
        &self,
        subscription: &str,
    ) -> impl Future<Output = Result<Option<String>, PortError>> + Send;

    /// Says by which translation all rows of a subscription are written.
    fn translated(
        &self,
        subscription: &str,
        translation: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Returns a job by number.
///
/// # Errors
/// The port's.
pub async fn job<J: Jobs>(jobs: &J, id: u64) -> Result<Option<Job>, PortError> {
    Ok(jobs.jobs(true).await?.into_iter().find(|job| job.id == id))
}

/// Takes a job to work on it. Returns whether it was had; it is as taken then.
///
/// # Errors
/// The port's; it is safe to repeat.
pub async fn take<J: Jobs>(
    jobs: &J,
    job: &mut Job,
    holder: &str,
    now: Timestamp,
    ttl: std::time::Duration,
) -> Result<bool, PortError> {
    match decide::taken(job, holder, now, ttl) {
        Some(taken) => change(jobs, job, taken).await,
        None => Ok(false),
    }
}

/// Writes a job as it should be. Returns whether it was still as it was known; `job` is as written then.
///
/// # Errors
/// The port's; after `Unknown` read it again.
pub async fn change<J: Jobs>(jobs: &J, job: &mut Job, next: Job) -> Result<bool, PortError> {
    debug_assert_eq!((job.id, job.turn), (next.id, next.turn), "a change is of what is known");
    if !jobs.change(&next).await? {
        return Ok(false);
    }
    *job = Job { turn: next.turn + 1, ..next };
    Ok(true)
}
