//! What may become of a job: who may take it, and what an operator's word does to it.

use crate::job::{Job, JobStage};
use crate::lease::holds;
use jiff::Timestamp;
use std::time::Duration;

/// An operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Leave it where it is.
    Pause,
    /// Go on from where it is.
    Resume,
    /// End it. What is done stays done.
    Abort,
}

impl Word {
    /// Returns the verb.
    pub fn verb(self) -> &'static str {
        match self {
            Word::Pause => "pause",
            Word::Resume => "resume",
            Word::Abort => "abort",
        }
    }
}

/// Returns the job as taken; none when it is not to be had.
pub fn taken(job: &Job, holder: &str, now: Timestamp, ttl: Duration) -> Option<Job> {
    match job.stage {
        JobStage::Waiting | JobStage::Working => {}
        JobStage::Paused | JobStage::Done | JobStage::Failed | JobStage::Aborted => return None,
    }
    if job.holder.as_ref().is_some_and(|(there, until)| there != holder && holds(*until, now)) {
        return None;
    }
    Some(held(job, holder, now, ttl))
}

/// Returns the job as one that its holder goes on with.
pub fn held(job: &Job, holder: &str, now: Timestamp, ttl: Duration) -> Job {
    let holder = Some((holder.to_owned(), now.saturating_add(ttl).unwrap_or(now)));
    Job { stage: JobStage::Working, holder, note: String::new(), changed: now, ..job.clone() }
}

/// Returns the job as over.
pub fn over(job: &Job, stage: JobStage, note: impl Into<String>, now: Timestamp) -> Job {
    Job { stage, holder: None, note: note.into(), changed: now, ..job.clone() }
}

/// Returns the job after an operator's word; none where it does not apply.
pub fn after(job: &Job, word: Word, now: Timestamp) -> Option<Job> {
    let stage = match (word, job.stage) {
        (Word::Pause, JobStage::Waiting | JobStage::Working) => JobStage::Paused,
        (Word::Resume, JobStage::Paused) => JobStage::Waiting,
        (Word::Abort, JobStage::Waiting | JobStage::Working | JobStage::Paused) => JobStage::Aborted,
        (Word::Pause | Word::Resume | Word::Abort, _) => return None,
    };
    Some(Job { stage, holder: None, note: String::new(), changed: now, ..job.clone() })
}

#[cfg(test)]
mod tests {
    use super::{Word, after, over, taken};
    use crate::job::{Job, JobKind, JobStage, NewJob};
    use jiff::Timestamp;
    use std::time::Duration;

    const TTL: Duration = Duration::from_secs(10);

    fn moment(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn job(stage: JobStage) -> Job {
        let filed =
            NewJob { kind: JobKind::Rehearse, subject: "claims/cover".to_owned(), orders: "{}".to_owned() };
        let (progress, note) = (String::new(), String::new());
        let (since, changed) = (moment(0), moment(0));
        Job { id: 1, filed, stage, holder: None, turn: 3, progress, note, since, changed }
    }

    #[test]
    fn a_job_is_worked_by_one_until_its_lease_is_over() {
        let mine = taken(&job(JobStage::Waiting), "one", moment(1), TTL).unwrap();
        assert_eq!(
            (mine.stage, mine.holder.clone()),
            (JobStage::Working, Some(("one".to_owned(), moment(11))))
        );
        assert_eq!(taken(&mine, "other", moment(10), TTL), None);
        assert!(taken(&mine, "other", moment(11), TTL).is_some());
        assert!(taken(&mine, "one", moment(2), TTL).is_some());
    }

    #[test]
    fn nobody_takes_what_is_paused_or_over() {
        for stage in [JobStage::Paused, JobStage::Done, JobStage::Failed, JobStage::Aborted] {
            assert_eq!(taken(&job(stage), "one", moment(1), TTL), None, "{}", stage.word());
        }
    }

    #[test]
    fn a_word_applies_only_where_it_changes_something() {
        let stage = |from, word| after(&job(from), word, moment(1)).map(|job| job.stage);
        assert_eq!(stage(JobStage::Working, Word::Pause), Some(JobStage::Paused));
        assert_eq!(stage(JobStage::Paused, Word::Pause), None);
        assert_eq!(stage(JobStage::Paused, Word::Resume), Some(JobStage::Waiting));
        assert_eq!(stage(JobStage::Working, Word::Resume), None);
        assert_eq!(stage(JobStage::Paused, Word::Abort), Some(JobStage::Aborted));
        for over in JobStage::ALL.into_iter().filter(|stage| stage.is_over()) {
            for word in [Word::Pause, Word::Resume, Word::Abort] {
                assert_eq!(stage(over, word), None);
            }
        }
        let failed = over(&job(JobStage::Working), JobStage::Failed, "why", moment(2));
        assert_eq!((failed.note.as_str(), failed.holder), ("why", None));
    }
}
