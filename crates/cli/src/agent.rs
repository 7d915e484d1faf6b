//! `seamline agent CONTEXT…`: relay, projectors and reactors of contexts, until told to stop.

use crate::account::{Left, left};
use crate::exit::{Exit, usage};
use crate::site::{Where, agents, block_on, contexts, refused, release};
use anyhow::Result;
use seamline_agent::agent::{Agent, AgentError, Workers};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a worker sleeps when there was nothing to do.
const NAP: Duration = Duration::from_millis(15);

/// How long an agent rests after a database or the log gave no answer.
const REST: Duration = Duration::from_millis(500);

/// How often in a row that may happen before the agent gives up.
const FAILURES_MAX: u32 = 20;

/// How often a terminal is told how far it is.
const TOLD: Duration = Duration::from_secs(1);

/// Runs contexts: publishes what their outboxes hold, and keeps their projections and inboxes.
///
/// Stopping it at any instant loses nothing. It may run several times: what one holds, the others leave alone.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The contexts.
    #[arg(required_unless_present = "all")]
    contexts: Vec<String>,
    /// All contexts that publish or subscribe.
    #[arg(long, conflicts_with = "contexts")]
    all: bool,
    /// Work off what is there, and end.
    #[arg(long)]
    until_idle: bool,
    /// After how many seconds others may take over from one that died.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,
    #[command(flatten)]
    place: Where,
}

/// Runs the command.
///
/// # Errors
/// When a context cannot be run, or a worker must not go on.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    if contexts.is_empty() {
        return Err(usage(
            "no context publishes or subscribes",
            "write a publication or a subscription first",
        ));
    }
    block_on(async {
        let mut agents = agents(&site, &contexts).await?;
        for agent in &mut agents {
            agent.lease = Duration::from_secs(args.lease);
        }
        let stop = stop_flag()?;
        let worked = work(&agents, args.until_idle, &stop).await;
        let released = release(&agents).await;
        let (moved, left) = worked?;
        released?;
        println!("{moved} records moved");
        let exit = if left == Left::default() || !args.until_idle {
            Exit::Clean
        } else {
            println!(
                "left: {} outbox rows, {} offsets not read: another agent holds them, or a case is open",
                left.rows, left.behind
            );
            Exit::Inconclusive
        };
        let next = if exit == Exit::Clean { "reconcile" } else { "case list" };
        println!("next: seamline {next}{}", args.place.arguments());
        Ok(exit)
    })
}

/// Returns a flag that is set once the process is told to stop.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let flag = Arc::new(AtomicBool::new(false));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let set = Arc::clone(&flag);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        set.store(true, Ordering::Relaxed);
    });
    Ok(flag)
}

/// Works off what is there in contexts that were just changed. Returns how much moved and what is left.
///
/// # Errors
/// When a worker must not go on.
pub(crate) async fn until_idle(agents: &[Agent]) -> Result<(u64, Left)> {
    work(agents, true, &AtomicBool::new(false)).await
}

/// Works until told to stop, or until nothing is left. A round under way is finished: what was taken is durable then.
/// Returns how much moved and what is left.
async fn work(agents: &[Agent], until_idle: bool, stop: &AtomicBool) -> Result<(u64, Left)> {
    let mut workers: Vec<Workers<'_>> = agents.iter().map(Agent::workers).collect();
    let mut failures = 0;
    let patience = agents.iter().map(|agent| agent.lease).max().unwrap_or_default() + Duration::from_secs(2);
    let mut progress = Progress::new();
    let mut moved_last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let moved = match round(&mut workers).await {
            Ok(moved) => moved,
            // It may have happened or not; who begins anew from what is durable need not know.
            Err(AgentError::Port(error)) if failures < FAILURES_MAX => {
                eprintln!("warning: {error}; trying again");
                failures += 1;
                workers = agents.iter().map(Agent::workers).collect();
                tokio::time::sleep(REST).await;
                continue;
            }
            Err(error) => return Err(refused(error)),
        };
        failures = 0;
        progress.add(moved);
        if moved > 0 {
            moved_last = Instant::now();
            // Lets the task run that waits for signals.
            tokio::task::yield_now().await;
            continue;
        }
        if until_idle {
            let left = all_left(agents).await?;
            // A lease of one that died ends by itself; beyond that, waiting longer changes nothing.
            if left == Left::default() || moved_last.elapsed() > patience {
                return Ok((progress.moved, left));
            }
        }
        tokio::time::sleep(NAP).await;
    }
    Ok((progress.moved, all_left(agents).await?))
}

async fn round(workers: &mut [Workers<'_>]) -> Result<u64, AgentError> {
    let mut moved = 0;
    for worker in workers {
        moved += worker.round().await?;
    }
    Ok(moved)
}

async fn all_left(agents: &[Agent]) -> Result<Left> {
    let mut all = Left::default();
    for agent in agents {
        let left = left(agent).await?;
        all.rows += left.rows;
        all.behind += left.behind;
    }
    Ok(all)
}

/// One line a second on a terminal.
struct Progress {
    shown: bool,
    moved: u64,
    before: u64,
    told: Instant,
}

impl Progress {
    fn new() -> Self {
        Progress { shown: std::io::stderr().is_terminal(), moved: 0, before: 0, told: Instant::now() }
    }

    fn add(&mut self, moved: u64) {
        self.moved += moved;
        if !self.shown || self.told.elapsed() < TOLD {
            return;
        }
        eprint!("\r\x1b[K{} records moved, {} in the last second", self.moved, self.moved - self.before);
        // What cannot be shown is no reason to stop.
        let _ = std::io::stderr().flush();
        self.before = self.moved;
        self.told = Instant::now();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && self.before > 0 {
            eprintln!();
        }
    }
}
