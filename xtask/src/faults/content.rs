//! What lies wrongly in topics and tables: drift of every kind, records that break the contract, records that come again.

use crate::faults::stage::{Stage, lines};
use crate::faults::verdict::{End, Outcome, blamed, drain, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::Result;
use serde_json::Value;
use std::thread;
use std::time::Duration;

const KINDS: [&str; 10] = [
    "edit",
    "edit",
    "delete",
    "delete",
    "insert",
    "unpublished",
    "unpublished",
    "removed",
    "added",
    "forged",
];

/// Returns a stage on which something was written and arrived.
fn settled<'a>(ground: &'a Ground<'_>) -> Result<(Stage<'a>, Option<Outcome>)> {
    let stage = ground.stage()?;
    let writers = stage.writers_with(12, &["--pause", "0"])?;
    thread::sleep(Duration::from_secs(2));
    stop_writers(writers)?;
    let failed = drain(&stage)?;
    Ok((stage, failed))
}

/// Divergence injected at each link: all is named with link, kind, key and owner, nothing else is, and all is mended.
pub(crate) fn drift(ground: &Ground<'_>) -> Result<Done> {
    let (stage, failed) = settled(ground)?;
    if let Some(outcome) = failed {
        return stage.done(0, outcome);
    }
    let mut words = vec!["inject"];
    words.extend(KINDS);
    let answers = lines(&stage.oracle_well(&words)?);
    let injected = answers.len() as u64;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(injected, outcome);
    }
    if let Some(outcome) = blamed(&stage, &answers)? {
        return stage.done(injected, outcome);
    }
    let said = stage.seamline(&["reconcile", "--repair", "--yes", "--format", "json"])?;
    if said.code != Some(0) {
        return stage
            .done(injected, Outcome::Failed(format!("not mended: exit {:?}: {}", said.code, said.tail())));
    }
    let outcome = match blamed(&stage, &[])? {
        Some(outcome) => outcome,
        None => Outcome::Passed(format!("{injected} named rightly, mended, clean")),
    };
    stage.done(injected, outcome)
}

/// Records that break their contract wait in quarantine, hold nothing else up, and can be discarded.
pub(crate) fn poison(ground: &Ground<'_>) -> Result<Done> {
    let (stage, failed) = settled(ground)?;
    if let Some(outcome) = failed {
        return stage.done(0, outcome);
    }
    let topic = stage.topic("sales.order", "state");
    stage.oracle(&["configure", &topic, "max.message.bytes=8000000"])?;
    let kinds = ["not-json", "null-key", "large", "wrong-era", "forged-headers"];
    let mut sequences = Vec::new();
    for kind in kinds {
        sequences.push(stage.oracle(&["poison", kind])?);
    }
    let agents = stage.agents()?;
    let writers = stage.writers(6)?;
    thread::sleep(Duration::from_secs(2));
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(kinds.len() as u64, outcome);
    }
    // The idle end is not clean while records wait in quarantine: what was written must have arrived nevertheless.
    stage.seamline(&["agent", "--all", "--until-idle"])?;
    stage.oracle(&["work"])?;
    let mut aside = 0;
    for context in ["desk", "dispatch"] {
        aside += stage.cell(context, "SELECT count(*)::text FROM seamline.aside")?.parse::<usize>()?;
    }
    if aside != kinds.len() {
        let detail = format!("{aside} of {} broken records are in quarantine", kinds.len());
        return stage.done(kinds.len() as u64, Outcome::Failed(detail));
    }
    let outcome = poison_judged(&stage, &sequences)?;
    stage.done(kinds.len() as u64, outcome)
}

fn poison_judged(stage: &Stage<'_>, poisons: &[Value]) -> Result<Outcome> {
    let acts = stage.path("acts").to_string_lossy().into_owned();
    let forgive: Vec<String> = poisons.iter().map(|it| it["sequence"].to_string()).collect();
    // Records without a sequence cannot be forgiven by one: what is complete is judged by the rows.
    let words = ["judge", "--acts", &acts, "--skip", "complete", "--forgive", &forgive.join(",")];
    let said = stage.oracle_said(&words)?;
    if said.code != Some(0) {
        return Ok(Outcome::Failed(said.tail()));
    }
    let listed = stage.seamline_well(&["quarantine", "list", "--format", "json"])?;
    for kind in ["not-json", "large"] {
        if listed.out.contains("xxxxxxxxxx") {
            return Ok(Outcome::Failed(format!("a list shows the content of `{kind}`")));
        }
    }
    Ok(Outcome::Passed(format!("{} in quarantine, all else arrived", poisons.len())))
}

/// Records of old come once more, at the end of the log, those of ended keys among them: nothing changes.
pub(crate) fn repeated(ground: &Ground<'_>) -> Result<Done> {
    let (stage, failed) = settled(ground)?;
    if let Some(outcome) = failed {
        return stage.done(0, outcome);
    }
    let copied = stage.oracle(&["repeat"])?;
    let injected = copied["copied"].as_u64().unwrap_or(0);
    if injected == 0 || copied["ended"].as_u64().unwrap_or(0) == 0 {
        return stage
            .done(injected, Outcome::Inconclusive(format!("no old records of ended keys: {copied}")));
    }
    if let Some(outcome) = drain(&stage)? {
        return stage.done(injected, outcome);
    }
    let acts = stage.path("acts").to_string_lossy().into_owned();
    let skip = "complete,order,chains,content,batches,books,inbox";
    let rows = stage.oracle_said(&["judge", "--acts", &acts, "--skip", skip])?;
    if rows.code != Some(0) {
        return stage.done(injected, Outcome::Failed(rows.tail()));
    }
    // The log now ends with old records of some keys: that is named, and mended by its producer, under sequences that no
    // writer knows.
    let said = stage.seamline(&["reconcile", "--repair", "--yes", "--format", "json"])?;
    if said.code != Some(0) {
        return stage
            .done(injected, Outcome::Failed(format!("not mended: exit {:?}: {}", said.code, said.tail())));
    }
    let rows = stage.oracle_said(&["judge", "--acts", &acts, "--skip", skip, "--any-sequence"])?;
    let outcome = match rows.code {
        Some(0) => Outcome::Passed(format!("{copied} changed no row")),
        _ => Outcome::Failed(rows.tail()),
    };
    stage.done(injected, outcome)
}

/// A small run without a fault: what all others are held against.
pub(crate) fn calm(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers(6)?;
    thread::sleep(Duration::from_secs(3));
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(1, outcome);
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(1, outcome)
}
