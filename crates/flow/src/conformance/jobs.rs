//! The suite of the port to jobs.

use super::{TTL, moment, sure};
use crate::job::decide::{Word, after, over};
use crate::job::{Filed, Job, JobKind, JobStage, Jobs, KEPT, NewJob, Part, change, job, take};

/// Makes storages of jobs for the suite.
pub trait JobsFixture {
    /// The adapter.
    type Jobs: Jobs;

    /// Returns a storage without jobs.
    fn fresh(&self) -> impl Future<Output = Self::Jobs>;
}

/// Runs the whole suite.
pub async fn all<F: JobsFixture>(fixture: &F) {
    a_job_is_kept_as_it_was_filed(fixture).await;
    a_subject_has_one_job_at_a_time(fixture).await;
    only_who_knows_the_last_turn_changes_a_job(fixture).await;
    only_who_knows_the_last_turn_changes_a_part(fixture).await;
    the_oldest_that_are_over_are_forgotten(fixture).await;
    a_translation_is_kept(fixture).await;
}

fn new(kind: JobKind, subject: &str) -> NewJob {
    NewJob {
        kind,
        subject: subject.to_owned(),
        orders: r#"{"version":1,"text":"a 'b' \"c\" → d"}"#.to_owned(),
    }
}

async fn filed<J: Jobs>(jobs: &J, new: &NewJob) -> Job {
    match sure(jobs.file(new, moment(1)).await) {
        Filed::New(id) => sure(job(jobs, id).await).expect("it was filed"),
        Filed::Busy(id) => panic!("job {id} is in its way"),
    }
}

async fn a_job_is_kept_as_it_was_filed<F: JobsFixture>(fixture: &F) {
    let jobs = fixture.fresh().await;
    let mut ids = Vec::new();
    for kind in JobKind::ALL {
        let new = new(kind, kind.word());
        let filed = filed(&jobs, &new).await;
        assert_eq!(filed.filed, new);
        assert_eq!((filed.stage, &filed.holder, filed.turn), (JobStage::Waiting, &None, 0));
        assert_eq!((filed.progress.as_str(), filed.note.as_str()), ("", ""));
        assert_eq!((filed.since, filed.changed), (moment(1), moment(1)));
        ids.push(filed.id);
    }
    let all = sure(jobs.jobs(false).await);
    assert_eq!(all.iter().map(|job| job.id).collect::<Vec<_>>(), ids, "by number");
    let stages = JobStage::ALL.into_iter().skip(2).chain(std::iter::repeat(JobStage::Done));
    for (mut job, stage) in all.into_iter().zip(stages) {
        let next = Job { progress: "{}".to_owned(), ..over(&job, stage, "why", moment(5)) };
        assert!(sure(change(&jobs, &mut job, next).await));
        let stored = sure(crate::job::job(&jobs, job.id).await);
        assert_eq!(stored, Some(job), "{}", stage.word());
    }
    let open = sure(jobs.jobs(false).await);
    assert_eq!(open.len(), 1, "those that are over only when asked for");
    assert_eq!(sure(jobs.jobs(true).await).len(), JobKind::ALL.len());
}

async fn a_subject_has_one_job_at_a_time<F: JobsFixture>(fixture: &F) {
    let jobs = fixture.fresh().await;
    let mut first = filed(&jobs, &new(JobKind::Rehearse, "claims/covers")).await;
    let other = new(JobKind::Replay, "claims/covers");
    assert_eq!(sure(jobs.file(&other, moment(2)).await), Filed::Busy(first.id));
    filed(&jobs, &new(JobKind::Rehearse, "claims/others")).await;
    let paused = after(&first, Word::Pause, moment(3)).expect("it was waiting");
    assert!(sure(change(&jobs, &mut first, paused).await));
    assert_eq!(sure(jobs.file(&other, moment(4)).await), Filed::Busy(first.id), "a paused one is not over");
    let aborted = after(&first, Word::Abort, moment(5)).expect("it was paused");
    assert!(sure(change(&jobs, &mut first, aborted).await));
    filed(&jobs, &other).await;
}

async fn only_who_knows_the_last_turn_changes_a_job<F: JobsFixture>(fixture: &F) {
    let jobs = fixture.fresh().await;
    let mut mine = filed(&jobs, &new(JobKind::Backfill, "policies/policy")).await;
    let mut late = mine.clone();
    assert!(sure(take(&jobs, &mut mine, "one", moment(2), TTL).await));
    assert_eq!(mine.turn, 1);
    assert_eq!(sure(job(&jobs, mine.id).await), Some(mine.clone()));
    assert!(!sure(take(&jobs, &mut late, "other", moment(2), TTL).await), "its turn is over");
    let mut known = mine.clone();
    let word = after(&known, Word::Pause, moment(3)).expect("it was working");
    assert!(sure(change(&jobs, &mut known, word).await));
    let further = Job { progress: "late".to_owned(), ..mine.clone() };
    assert!(!sure(change(&jobs, &mut mine, further).await), "a worker learns of the operator's word");
    let stored = sure(job(&jobs, mine.id).await).expect("it is there");
    assert_eq!((stored.stage, stored.progress.as_str()), (JobStage::Paused, ""));
    let gone = Job { id: mine.id + 1000, ..stored };
    assert!(!sure(jobs.change(&gone).await), "a job that is not there does not change");
}

async fn only_who_knows_the_last_turn_changes_a_part<F: JobsFixture>(fixture: &F) {
    let jobs = fixture.fresh().await;
    let filed = filed(&jobs, &new(JobKind::Rehearse, "claims/covers")).await;
    let part = |part, turn, text: &str| Part { part, turn, progress: text.to_owned() };
    assert!(sure(jobs.change_part(filed.id, &part(3, 0, "a")).await));
    assert!(!sure(jobs.change_part(filed.id, &part(3, 0, "b")).await), "it is there by now");
    assert!(sure(jobs.change_part(filed.id, &part(3, 1, "c")).await));
    assert!(!sure(jobs.change_part(filed.id, &part(3, 1, "d")).await));
    assert!(sure(jobs.change_part(filed.id, &part(0, 0, "e")).await));
    assert_eq!(sure(jobs.parts(filed.id).await), [part(0, 1, "e"), part(3, 2, "c")], "by number");
    assert_eq!(sure(jobs.parts(filed.id + 1).await), []);
}

async fn the_oldest_that_are_over_are_forgotten<F: JobsFixture>(fixture: &F) {
    let jobs = fixture.fresh().await;
    let open = filed(&jobs, &new(JobKind::Rehearse, "claims/open")).await;
    let mut proof = filed(&jobs, &new(JobKind::Erase, "erasure/of-one")).await;
    let done = over(&proof, JobStage::Done, "", moment(2));
    assert!(sure(change(&jobs, &mut proof, done).await));
    for _ in 0..KEPT + 3 {
        let mut job = filed(&jobs, &new(JobKind::Rehearse, "claims/covers")).await;
        let part = Part { part: 0, turn: 0, progress: String::new() };
        assert!(sure(jobs.change_part(job.id, &part).await));
        let done = over(&job, JobStage::Done, "", moment(2));
        assert!(sure(change(&jobs, &mut job, done).await));
    }
    let last = filed(&jobs, &new(JobKind::Rehearse, "claims/covers")).await;
    let all = sure(jobs.jobs(true).await);
    assert_eq!(all.len() as u64, KEPT + 3);
    assert_eq!((all[0].id, all[all.len() - 1].id), (open.id, last.id), "what is not over stays");
    assert_eq!(all[1].id, proof.id, "a proof of an erasure stays");
    assert_eq!(sure(jobs.parts(proof.id + 1).await), [], "their parts go with them");
}

async fn a_translation_is_kept<F: JobsFixture>(fixture: &F) {
    let jobs = fixture.fresh().await;
    assert_eq!(sure(jobs.translation("claims/covers").await), None);
    sure(jobs.translated("claims/covers", "a: b\nc = d").await);
    sure(jobs.translated("claims/others", "").await);
    sure(jobs.translated("claims/covers", "a: b").await);
    assert_eq!(sure(jobs.translation("claims/covers").await), Some("a: b".to_owned()));
    assert_eq!(sure(jobs.translation("claims/others").await), Some(String::new()));
}
