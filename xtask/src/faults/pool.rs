//! Runs scenarios, some side by side, and says of each how it ended.

use crate::faults::bugs::Mutant;
use crate::faults::catalogue::{Alone, Scenario};
use crate::faults::verdict::Outcome;
use crate::faults::{Done, Ground};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// One scenario to play, perhaps with a deliberate bug that it must notice.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    scenario: &'static Scenario,
    mutant: Option<&'static Mutant>,
}

/// How jobs are run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How many run side by side.
    pub(crate) at_once: usize,
    /// None begins later than this.
    pub(crate) within: Duration,
    pub(crate) json: bool,
    pub(crate) seed: u64,
}

impl Job {
    pub(crate) fn of(scenario: &'static Scenario) -> Job {
        Job { scenario, mutant: None }
    }

    /// Returns the job that must notice a bug.
    pub(crate) fn with(mutant: &'static Mutant, scenario: &'static Scenario) -> Job {
        Job { scenario, mutant: Some(mutant) }
    }

    pub(crate) fn mutant(&self) -> Option<&'static str> {
        self.mutant.map(|mutant| mutant.name)
    }

    /// Returns what it must have for itself.
    pub(crate) fn alone(&self) -> Alone {
        self.scenario.alone
    }

    /// Returns how to run it alone.
    fn command(&self, seed: u64) -> String {
        match self.mutant {
            Some(mutant) => format!("cargo x faults --mutant {} --seed {seed}", mutant.name),
            None => format!("cargo x faults {} --seed {seed}", self.scenario.name),
        }
    }

    /// Plays it. A bug that shows only in a race may survive one on a busy machine: its scenario is then played once more.
    fn play<'a>(self, ground: &dyn Fn(Job) -> Ground<'a>) -> Done {
        let done = self.play_once(ground);
        if self.mutant.is_some() && !self.is_well(&done) { self.play_once(ground) } else { done }
    }

    /// What goes wrong around it makes it inconclusive.
    fn play_once<'a>(self, ground: &dyn Fn(Job) -> Ground<'a>) -> Done {
        let done = (self.scenario.run)(&ground(self)).unwrap_or_else(|error| Done {
            injected: 0,
            outcome: Outcome::Inconclusive(format!("{error:#}")),
        });
        match done {
            Done { injected: 0, outcome: Outcome::Passed(detail) } => {
                let outcome = Outcome::Inconclusive(format!("the fault did not fire; {detail}"));
                Done { injected: 0, outcome }
            }
            done => done,
        }
    }

    /// A scenario must pass. A bug must make its own fail, and not before the fault was injected. What cannot be played here is told,
    /// and stops nobody.
    fn is_well(&self, done: &Done) -> bool {
        match self.mutant {
            _ if matches!(done.outcome, Outcome::NotRun(_)) => true,
            Some(_) => done.injected > 0 && matches!(done.outcome, Outcome::Failed(_)),
            None => matches!(done.outcome, Outcome::Passed(_)),
        }
    }

    fn line(&self, done: &Done, took: Duration) -> String {
        let (seconds, detail) = (took.as_secs_f64(), done.outcome.detail());
        let (name, word) = match self.mutant {
            Some(mutant) if matches!(done.outcome, Outcome::NotRun(_)) => {
                (mutant.name, done.outcome.to_string())
            }
            Some(mutant) if self.is_well(done) => (mutant.name, "caught".to_owned()),
            Some(mutant) => (mutant.name, "NOT CAUGHT".to_owned()),
            None => (self.scenario.name, done.outcome.to_string()),
        };
        let by = self.mutant.map(|_| format!("by {}: ", self.scenario.name)).unwrap_or_default();
        let shown: String = detail.chars().take(160).collect();
        let rest =
            if shown.len() < detail.len() && !self.is_well(done) { &detail[shown.len()..] } else { "" };
        format!("{name:<26} {word:<12} {seconds:5.1} s  {by}{shown}{rest}")
    }

    fn json(&self, done: &Done, took: Duration) -> Value {
        let mut line = json!({
            "scenario": self.scenario.name, "injected": done.injected, "outcome": done.outcome.to_string(),
            "seconds": (took.as_secs_f64() * 10.0).round() / 10.0, "detail": done.outcome.detail(),
        });
        if let Some(mutant) = self.mutant {
            line["mutant"] = json!(mutant.name);
            line["caught"] = json!(matches!(done.outcome, Outcome::Failed(_)) && self.is_well(done));
        }
        line
    }
}

/// What waits, and what is in use.
struct Queue {
    jobs: VecDeque<Job>,
    taken: Vec<Alone>,
    /// How each that did not go well is run alone.
    left: Vec<String>,
}

impl Queue {
    fn next(&mut self) -> Option<Job> {
        let free = |job: &Job| !self.taken.contains(&job.alone());
        let job = self.jobs.iter().position(free).and_then(|idx| self.jobs.remove(idx))?;
        if job.alone() != Alone::Nothing {
            self.taken.push(job.alone());
        }
        Some(job)
    }

    fn gives_back(&mut self, job: Job) {
        self.taken.retain(|taken| *taken != job.alone());
    }
}

/// Runs jobs, first those that must have something for themselves, last those that must have the machine. Returns the commands that run those alone that did not go
/// well.
pub(crate) fn run<'a>(
    mut jobs: Vec<Job>,
    ground: &(dyn Fn(Job) -> Ground<'a> + Sync),
    pace: Pace,
) -> Vec<String> {
    jobs.sort_by_key(Job::alone);
    let timed: Vec<Job> = jobs.extract_if(.., |job| job.alone() == Alone::Machine).collect();
    let begun = Instant::now();
    let queue = Mutex::new(Queue { jobs: jobs.into(), taken: Vec::new(), left: Vec::new() });
    thread::scope(|scope| {
        for _ in 0..pace.at_once {
            scope.spawn(|| {
                // Who finds none leaves: a job that waits for what another has is done by that one.
                loop {
                    let Some(job) = lock(&queue).next() else { return };
                    work(&queue, job, ground, pace, begun);
                }
            });
        }
    });
    for job in timed {
        work(&queue, job, ground, pace, begun);
    }
    std::mem::take(&mut lock(&queue).left)
}

fn work<'a>(queue: &Mutex<Queue>, job: Job, ground: &dyn Fn(Job) -> Ground<'a>, pace: Pace, begun: Instant) {
    let begins = Instant::now();
    let done = if begun.elapsed() > pace.within {
        let outcome = Outcome::Inconclusive(format!("not begun within {} s", pace.within.as_secs()));
        Done { injected: 0, outcome }
    } else {
        job.play(ground)
    };
    if pace.json {
        println!("{}", job.json(&done, begins.elapsed()));
    } else {
        println!("{}", job.line(&done, begins.elapsed()));
    }
    let mut queue = lock(queue);
    queue.gives_back(job);
    if !job.is_well(&done) {
        queue.left.push(job.command(pace.seed));
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Job, Queue};
    use crate::faults::Done;
    use crate::faults::bugs::MUTANTS;
    use crate::faults::catalogue::scenario;
    use crate::faults::verdict::Outcome;
    use std::time::Duration;

    fn done(injected: u64, outcome: fn(String) -> Outcome) -> Done {
        Done { injected, outcome: outcome(String::new()) }
    }

    #[test]
    fn a_scenario_must_pass_and_a_bug_must_fail_its_own_after_the_fault() {
        let plain = Job::of(scenario("calm").unwrap());
        assert!(plain.is_well(&done(1, Outcome::Passed)));
        assert!(!plain.is_well(&done(1, Outcome::Failed)));
        assert!(!plain.is_well(&done(1, Outcome::Inconclusive)));
        assert!(plain.is_well(&done(0, Outcome::NotRun)));
        let line = plain.line(&done(0, Outcome::NotRun), Duration::ZERO);
        assert!(line.contains("not run") && !line.contains("passed"), "{line}");
        let bug = Job::with(&MUTANTS[0], scenario("writers").unwrap());
        assert!(bug.is_well(&done(1, Outcome::Failed)));
        assert!(!bug.is_well(&done(0, Outcome::Failed)));
        assert!(!bug.is_well(&done(1, Outcome::Passed)));
        assert!(!bug.is_well(&done(1, Outcome::Inconclusive)));
    }

    #[test]
    fn only_one_at_a_time_has_the_proxies_and_others_pass_it() {
        let jobs: Vec<Job> = ["commit-answer-lost", "log-commit-answer-lost", "calm"]
            .iter()
            .map(|name| Job::of(scenario(name).unwrap()))
            .collect();
        let mut queue = Queue { jobs: jobs.clone().into(), taken: Vec::new(), left: Vec::new() };
        let names: Vec<_> = std::iter::from_fn(|| queue.next()).map(|job| job.scenario.name).collect();
        assert_eq!(names, ["commit-answer-lost", "calm"]);
        queue.gives_back(jobs[0]);
        assert_eq!(queue.next().map(|job| job.scenario.name), Some("log-commit-answer-lost"));
    }
}
