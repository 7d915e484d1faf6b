//! Following a job: its bar on a terminal, lines elsewhere. Nobody who follows is needed: Ctrl-C leaves the job as it is.

use crate::exit::{Exit, unreachable};
use crate::job::tell::{self, Far, far};
use crate::site::{no_answer, release};
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::crew;
use seamline_agent::metrics::Metrics;
use seamline_agent::pulse::Pulse;
use seamline_flow::job::orders::{Phase, Rehearsing};
use seamline_flow::job::{Filed, Job, JobStage, Jobs, NewJob, job};
use seamline_flow::lease::Leases;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often it is looked how far a job is.
const LOOK: Duration = Duration::from_millis(100);

/// After how long a job that nobody took is worked by who filed it.
const PATIENCE: Duration = Duration::from_millis(700);

/// After how long a job that cannot go on is left.
const STUCK: Duration = Duration::from_secs(10);

/// How wide a bar is, in characters.
const WIDTH: u64 = 30;

/// Who works a job that no agent takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hands {
    /// The command works the job alone; its lanes are not touched.
    Job,
    /// The command runs the context, where no agent does: lanes are to be merged.
    Context,
}

/// Files a job in an agent's database. Returns its number.
///
/// # Errors
/// When its subject has a job that is not over.
pub(crate) async fn file(agent: &Agent, new: &NewJob, place: &str) -> Result<u64> {
    match Jobs::file(&agent.database, new, Timestamp::now()).await.map_err(no_answer)? {
        Filed::New(id) => Ok(id),
        Filed::Busy(id) => {
            let context = &agent.context;
            let message = format!("`{}` has a job that is not over: {context}/{id}", new.subject);
            let help = format!(
                "`seamline job show {context}/{id}{place}` tells how far it is; \
                 `seamline job abort {context}/{id}{place}` ends it"
            );
            Err(unreachable(message, help))
        }
    }
}

/// Follows a job until it is over, or cannot go on without an agent. Returns it as it is then.
///
/// # Errors
/// When a database or the log does not answer.
pub(crate) async fn follow(agents: &[Agent], at: usize, id: u64, hands: Hands, shown: bool) -> Result<Job> {
    let metrics = Metrics::new();
    let pulse = Pulse::default();
    let (tell, stop) = watch::channel(false);
    let (begin, mut begun) = watch::channel(false);
    let helping = async {
        // A sender that is gone never asks for help.
        if begun.wait_for(|begun| *begun).await.is_err() {
            return;
        }
        match hands {
            Hands::Job => crew::work_jobs(&agents[at], &metrics, stop.clone()).await,
            Hands::Context => {
                crew::run(agents, &metrics, &pulse, stop.clone()).await;
            }
        }
    };
    let watching = async {
        let moved = || metrics.done();
        let watched = watch_job(&agents[at], id, hands, &begin, moved, shown).await;
        // Nobody may help: then nobody listens.
        let _ = tell.send(true);
        drop(begin);
        watched
    };
    let ((), job) = tokio::join!(helping, watching);
    release(agents).await?;
    job
}

async fn watch_job(
    agent: &Agent,
    id: u64,
    hands: Hands,
    begin: &watch::Sender<bool>,
    moved: impl Fn() -> u64,
    shown: bool,
) -> Result<Job> {
    let mut bar = Bar::new(shown);
    let mut turned = ((0, 0), Instant::now());
    let mut helped = false;
    loop {
        let found = job(&agent.database, id).await.map_err(no_answer)?;
        let Some(job) = found else {
            return Err(unreachable(format!("job {id} is not there any more"), "run the command again"));
        };
        bar.tell(&job);
        if job.stage.is_over() || job.stage == JobStage::Paused {
            bar.end();
            return Ok(job);
        }
        // One that waits writes that it waits: that is no progress. What this command itself reads is.
        let now = (if job.note.is_empty() { job.turn } else { turned.0.0 }, moved());
        if turned.0 != now {
            turned = (now, Instant::now());
        }
        let idle = turned.1.elapsed();
        let free = job.holder.as_ref().is_none_or(|(_, until)| *until <= Timestamp::now());
        if !helped && free && may_help(agent, hands, idle).await? {
            helped = true;
            begin.send_replace(true);
        }
        let is_others = job.holder.as_ref().is_some_and(|(holder, _)| holder != agent.holder());
        if idle >= STUCK && !is_others {
            bar.end();
            return Ok(job);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether this command may do what no agent does. Agents at work are given time to take the job, and their lanes are theirs.
async fn may_help(agent: &Agent, hands: Hands, idle: Duration) -> Result<bool> {
    let now = Timestamp::now();
    let there = agent.database.attend(agent.holder(), now, Duration::ZERO).await.map_err(no_answer)?;
    let alone = there.iter().all(|holder| holder == agent.holder());
    Ok(alone || (hands == Hands::Job && idle >= PATIENCE))
}

/// Says why a job that is not over was left.
pub(crate) fn left(job: &Job, id: &str, context: &str, place: &str) {
    let why = if job.note.is_empty() {
        "no agent took it; those at work, if any, run another translation and are to be replaced".to_owned()
    } else {
        job.note.clone()
    };
    match job.stage {
        JobStage::Paused => println!("job {id} is paused"),
        _ => println!("job {id} waits: {why}"),
    }
    println!("it goes on by itself once it can; nobody needs to watch");
    if job.stage != JobStage::Paused {
        println!("next: seamline agent {context}{place}");
    }
}

/// Returns how a command exits with a job that it followed.
pub(crate) fn exit(job: &Job) -> Exit {
    if job.stage.is_over() { tell::exit(job) } else { Exit::Inconclusive }
}

/// A bar on a terminal, a line for each phase elsewhere; nothing where a program reads along.
struct Bar {
    shown: bool,
    terminal: bool,
    drawn: bool,
    last: String,
}

impl Bar {
    fn new(shown: bool) -> Bar {
        Bar { shown, terminal: std::io::stderr().is_terminal(), drawn: false, last: String::new() }
    }

    fn tell(&mut self, job: &Job) {
        if !self.shown {
            return;
        }
        if self.terminal {
            eprint!("\r\x1b[K{}", line(job));
            // What cannot be shown is no reason to stop.
            let _ = std::io::stderr().flush();
            self.drawn = true;
            return;
        }
        let phase = phase(job);
        if phase != self.last && !phase.is_empty() {
            eprintln!("{phase}");
            self.last = phase;
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            eprint!("\r\x1b[K");
        }
    }
}

fn phase(job: &Job) -> String {
    match far(job) {
        Far::Rehearsal(_, at) if at.phase != Phase::Begin => at.phase.word().to_owned(),
        Far::Backfill(..) => "publishes".to_owned(),
        Far::Redrive(..) => "tries again".to_owned(),
        Far::Rehearsal(..) | Far::Erasure(..) | Far::Unknown => String::new(),
    }
}

/// Returns the line of a terminal: a bar with rate and expected end where the end is known.
fn line(job: &Job) -> String {
    match far(job) {
        Far::Rehearsal(_, at) if at.phase == Phase::Read => reading(&at),
        Far::Backfill(orders, at) => {
            let began = at.began.unwrap_or(job.since);
            bar("publishes", (at.rows, orders.rows.max(at.rows)), "rows", began)
        }
        Far::Redrive(orders, at) => {
            let (done, began) = (at.moved + at.stayed, at.began.unwrap_or(job.since));
            bar("tries again", (done, orders.items.max(done)), "messages", began)
        }
        Far::Rehearsal(..) | Far::Erasure(..) | Far::Unknown => tell::doing(job),
    }
}

fn reading(at: &Rehearsing) -> String {
    let Some(began) = at.began else { return "begins".to_owned() };
    bar("reads", at.offsets(), "offsets", began)
}

fn bar(what: &str, (done, all): (u64, u64), unit: &str, began: Timestamp) -> String {
    let took = Duration::try_from(Timestamp::now().duration_since(began)).unwrap_or_default();
    let full = (done * WIDTH).checked_div(all).unwrap_or(WIDTH);
    let bar: String = (0..WIDTH).map(|at| if at < full { '█' } else { '░' }).collect();
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    let left = if done == 0 {
        String::new()
    } else {
        format!(", {:.0} s left", (all - done) as f64 / rate.max(0.001))
    };
    format!("{what} {bar} {done}/{all} {unit}, {rate:.0}/s{left}")
}

#[cfg(test)]
mod tests {
    use super::{WIDTH, bar};
    use jiff::Timestamp;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let now = Timestamp::now();
        let full = |done, all| bar("reads", (done, all), "offsets", now).matches('█').count() as u64;
        assert_eq!((full(0, 10), full(5, 10), full(10, 10), full(0, 0)), (0, WIDTH / 2, WIDTH, WIDTH));
        assert!(bar("reads", (5, 10), "offsets", now).contains("5/10 offsets"));
    }
}
