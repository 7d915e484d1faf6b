//! Load that finds what comes in the wrong order: many writers, a writing transaction elsewhere, one of very many rows.

use crate::faults::process::within;
use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::Result;
use serde_json::Value;
use std::thread;
use std::time::Duration;

/// How long the outbox may take to become empty when nobody writes any more.
const EMPTIED: Duration = Duration::from_secs(60);

/// 64 writers over few keys: aborts, savepoints, deadlocks, every isolation level, ids that commit out of order.
pub(crate) fn writers(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers_with(64, &["--keys", "40", "--pause", "0.05"])?;
    thread::sleep(Duration::from_secs(ground.options.seconds));
    let done = stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(1, outcome);
    }
    let count = |name: &str| done[name].as_u64().unwrap_or(0);
    let injected = count("aborted") + count("refused");
    if count("aborted") == 0 || count("refused") == 0 {
        return stage.done(injected, Outcome::Inconclusive(format!("nobody crossed anybody: {done}")));
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(injected, outcome)
}

/// A writing transaction held open in another database: nothing here waits for it.
pub(crate) fn foreign_transaction(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let hold = ground.options.hold_seconds;
    let held = stage.hold_transaction(hold + 120)?;
    let writers = stage.writers(8)?;
    thread::sleep(Duration::from_secs(hold));
    stop_writers(writers)?;
    // While it is open still, all must leave the outbox.
    let left = within(EMPTIED, || {
        match stage.waiting("sales").and_then(|sales| Ok(sales + stage.waiting("stock")?)) {
            Ok(0) => Some(Ok(())),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    });
    let open = stage.cell(
        "stock",
        "SELECT count(*)::text FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND datname = 'postgres'",
    )?;
    held.kill();
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(1, outcome);
    }
    if open == "0" {
        return stage.done(0, Outcome::Inconclusive("the transaction was not open".to_owned()));
    }
    match left {
        Some(done) => done?,
        None => {
            return stage
                .done(1, Outcome::Failed("rows wait for a transaction of another database".to_owned()));
        }
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(1, outcome)
}

/// One transaction that publishes very many rows.
pub(crate) fn one_big_transaction(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let rows = ground.options.rows.to_string();
    let acts = stage.path("acts").to_string_lossy().into_owned();
    let flood: Value = stage.oracle(&["flood", "--rows", &rows, "--acts", &acts])?;
    let injected = flood["rows"].as_u64().unwrap_or(0);
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(injected, outcome);
    }
    let outcome = settle(&stage, End::default())?;
    let outcome = match outcome {
        Outcome::Passed(detail) => Outcome::Passed(format!("committed in {} s; {detail}", flood["seconds"])),
        other => other,
    };
    stage.done(injected, outcome)
}
