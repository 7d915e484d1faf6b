//! A log that lost its end: its broker was killed, and what it wrote last is not on its disk.

use crate::faults::process::within;
use crate::faults::stage::Stage;
use crate::faults::verdict::{End, Outcome, blamed, cases, drain, judged_by_oracle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How long all work before, and how much of it is lost.
const CALM: Duration = Duration::from_millis(1500);
const LOST: Duration = Duration::from_secs(1);

/// How long a case may take to be raised.
const RAISED: Duration = Duration::from_secs(60);

const PRODUCERS: [&str; 2] = ["sales", "stock"];

/// Returns the newest segment of each partition of the stage's topics, and how long it is.
pub(crate) fn segments(data: &Path, stage: &Stage<'_>) -> Result<BTreeMap<PathBuf, u64>> {
    let mut found = BTreeMap::new();
    for partition in fs::read_dir(data).with_context(|| data.display().to_string())? {
        let partition = partition?;
        if !stage.has_partition(&partition.file_name().to_string_lossy()) {
            continue;
        }
        let files =
            fs::read_dir(partition.path())?.collect::<Result<Vec<_>, _>>()?.into_iter().map(|it| it.path());
        let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
        if let Some(newest) = logs.max() {
            let length = fs::metadata(&newest)?.len();
            found.insert(newest, length);
        }
    }
    Ok(found)
}

/// Cuts segments back to what they were. Returns how many were longer.
fn cut(segments: &BTreeMap<PathBuf, u64>) -> Result<u64> {
    let mut shorter = 0;
    for (path, length) in segments {
        let file = File::options().write(true).open(path)?;
        if file.metadata()?.len() > *length {
            file.set_len(*length)?;
            shorter += 1;
        }
    }
    Ok(shorter)
}

/// The broker gets SIGKILL under load, and the last second of each topic is gone when it comes back: the batch records tell, a case
/// is raised for each producer, and the rebase of the outboxes mends all copies.
pub(crate) fn lost(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers_with(6, &["--pause", "0.05"])?;
    thread::sleep(CALM);
    let shorter = {
        let mut servers = ground.servers();
        let then = segments(&servers.kafka.data(), &stage)?;
        thread::sleep(LOST);
        servers.kafka.kill9()?;
        let shorter = cut(&then)?;
        servers.kafka.restart()?;
        shorter
    };
    if shorter == 0 {
        stop_writers(writers)?;
        return stage.done(0, Outcome::Inconclusive("nothing was written in the last second".to_owned()));
    }
    let raised =
        within(RAISED, || missing_cases(&stage).map(|missing| missing.is_empty().then_some(())).transpose());
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(shorter, outcome);
    }
    if raised.transpose()?.is_none() {
        let detail = format!("nobody said that the log lost its end: {:?}", missing_cases(&stage)?);
        return stage.done(shorter, Outcome::Failed(detail));
    }
    for context in PRODUCERS {
        stage.seamline_well(&["outbox", "rebase", context, "--yes", "--lease", "1"])?;
    }
    if let Some(outcome) = drain(&stage)? {
        return stage.done(shorter, outcome);
    }
    // The log lacks what it lost, and holds two histories: rows are of the newer one.
    let skip = "complete,order,chains,content,batches,books,inbox,commits";
    let outcome = match judged_by_oracle(&stage, End { skip, any_sequence: true, ..End::default() })? {
        Some(outcome) => outcome,
        None => match blamed(&stage, &[])? {
            Some(outcome) => outcome,
            None => Outcome::Passed(format!(
                "{shorter} partitions cut, noticed, rebased, every copy as the source"
            )),
        },
    };
    stage.done(shorter, outcome)
}

/// Returns the producers that no case of another history is raised for.
fn missing_cases(stage: &Stage<'_>) -> Result<Vec<&'static str>> {
    let cases = cases(stage)?;
    let told = |context: &&&str| {
        let mut mine = cases.iter().filter(|case| case["kind"] == "rewound");
        mine.any(|case| case["case"].as_str().is_some_and(|name| name.starts_with(**context)))
    };
    Ok(PRODUCERS.iter().filter(|context| !told(context)).copied().collect())
}
