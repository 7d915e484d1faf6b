//! Clocks of agents that step by hours, forward and back.

use crate::faults::process::{Running, within};
use crate::faults::stage::{CONTEXTS, LEASE, Stage};
use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// How long a clock stands where it stepped to: longer than a lease.
const STEP: Duration = Duration::from_millis(2500);

/// The steps: each is the difference from the right time.
const STEPS: [&str; 3] = ["-5h", "+0", "+3h"];

/// How long those whose clock is right may take to take over.
const TAKEN: Duration = Duration::from_secs(30);

/// Returns the library that answers for the clock.
fn library() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.is_file()).context("`faketime` is not installed")
}

/// Starts an agent whose clock reads as a file says.
fn agent(stage: &Stage<'_>, context: &str, clock: &str) -> Result<Running> {
    let lease = LEASE.to_string();
    let mut command = stage.command(&["agent", context, "--lease", &lease]);
    command.env("LD_PRELOAD", library()?).env("FAKETIME_TIMESTAMP_FILE", stage.path(clock));
    // A clock that steps is that of the calendar: what measures how long something takes goes on as ever.
    command
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    Running::start(&mut command, stage.folder.path(), &format!("clock-agent-{context}"))
}

/// One of two agents of each context has a clock that steps back and forward by hours; alone and ahead it gets SIGKILL, with leases
/// that end in hours: the others take over all the same.
pub(crate) fn steps(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    fs::write(stage.path("clock"), "+0\n")?;
    let stepping =
        CONTEXTS.iter().map(|context| agent(&stage, context, "clock")).collect::<Result<Vec<_>>>()?;
    let writers = stage.writers(6)?;
    thread::sleep(STEP);
    let right = stage.agents()?;
    for step in STEPS {
        fs::write(stage.path("clock"), format!("{step}\n"))?;
        thread::sleep(STEP);
    }
    // Beside others that are at work its leases do not last: it must be alone for a while.
    if let Some(outcome) = stop_all(right)? {
        return stage.done(4, outcome);
    }
    let leases = "SELECT count(*)::text FROM seamline.lease WHERE until > now() + interval '1 hour'";
    let ahead = within(TAKEN, || match stage.cell("stock", leases) {
        Ok(count) => (count != "0").then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    let ahead = ahead.transpose()?.is_some();
    stepping.into_iter().for_each(Running::kill);
    let right = stage.agents()?;
    let batch = "SELECT batch::text FROM seamline.lease WHERE name = 'outbox'";
    let mut still = Vec::new();
    for context in ["sales", "stock"] {
        let before = stage.cell(context, batch)?;
        let moved = within(TAKEN, || match stage.cell(context, batch) {
            Ok(now) => (now != before).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        if moved.transpose()?.is_none() {
            still.push(context);
        }
    }
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(right)? {
        return stage.done(4, outcome);
    }
    if !still.is_empty() {
        return stage
            .done(4, Outcome::Failed(format!("nobody takes over from a clock that ran ahead: {still:?}")));
    }
    if !ahead {
        return stage.done(0, Outcome::Inconclusive("no lease was given out by a clock ahead".to_owned()));
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(4, outcome)
}
