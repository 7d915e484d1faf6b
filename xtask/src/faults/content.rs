//! What lies wrongly in topics and tables: drift of every kind, records that break the contract, records that come again.

use crate::faults::process::within;
use crate::faults::stage::{Stage, last_line, lines};
use crate::faults::verdict::{End, Outcome, blamed, cases, drain, settle, stop_all, stop_writers};
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

/// What is put into topics: each but the large one breaks its contract.
const POISONS: [&str; 6] = ["not-json", "null-key", "large", "large-broken", "wrong-era", "forged-headers"];

/// Records that break their contract wait in quarantine, and hold nothing else up; one that is only large arrives.
pub(crate) fn poison(ground: &Ground<'_>) -> Result<Done> {
    let injected = POISONS.len() as u64;
    let (stage, failed) = settled(ground)?;
    if let Some(outcome) = failed {
        return stage.done(0, outcome);
    }
    let topic = stage.topic("sales.order", "state");
    stage.oracle(&["configure", &topic, "max.message.bytes=8000000"])?;
    let mut poisons = Vec::new();
    for kind in POISONS {
        poisons.push(stage.oracle(&["poison", kind])?);
    }
    let agents = stage.agents()?;
    let writers = stage.writers(6)?;
    thread::sleep(Duration::from_secs(2));
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(injected, outcome);
    }
    if let Some(outcome) = drain(&stage)? {
        return stage.done(injected, outcome);
    }
    let outcome = poison_judged(&stage, &poisons)?;
    stage.done(injected, outcome)
}

fn poison_judged(stage: &Stage<'_>, poisons: &[Value]) -> Result<Outcome> {
    let listed = stage.seamline_well(&["quarantine", "list", "--format", "json"])?;
    let aside = last_line(&listed)["items"].as_array().map_or(0, Vec::len);
    if aside != poisons.len() - 1 {
        let detail = format!("{aside} records are in quarantine, not {}", poisons.len() - 1);
        return Ok(Outcome::Failed(detail));
    }
    if listed.out.contains("xxxxxxxxxx") {
        return Ok(Outcome::Failed("a list shows what is in a record".to_owned()));
    }
    let query = "SELECT coalesce(max(length(remark)), 0)::text FROM known_order";
    if stage.cell("desk", query)? != "2000000" {
        return Ok(Outcome::Failed("a large record that breaks nothing did not arrive".to_owned()));
    }
    let acts = stage.path("acts").to_string_lossy().into_owned();
    let forgive: Vec<String> = poisons.iter().map(|it| it["sequence"].to_string()).collect();
    // Records without a sequence cannot be forgiven by one: what is complete is judged by the rows.
    let words = ["judge", "--acts", &acts, "--skip", "complete", "--forgive", &forgive.join(",")];
    let said = stage.oracle_said(&words)?;
    if said.code != Some(0) {
        return Ok(Outcome::Failed(said.tail()));
    }
    Ok(Outcome::Passed(format!("{aside} in quarantine, a large one applied, all else arrived")))
}

/// How many rows break their contract: more than may go aside in a minute, and less than twice as many.
const FLOOD: u64 = 2_000;

/// A flood of rows that break their contract: the rest waits in the outbox once a thousand are aside, others flow; what went
/// aside is one issue, and is given up as one.
pub(crate) fn flood_of_poison(ground: &Ground<'_>) -> Result<Done> {
    let (stage, failed) = settled(ground)?;
    if let Some(outcome) = failed {
        return stage.done(0, outcome);
    }
    let insert = format!(
        "INSERT INTO item (site, article, level, cost, locked) SELECT 'flood', n::text, -1, 1, false FROM generate_series(1, {FLOOD}) n"
    );
    stage.oracle(&["sql", "stock", &insert])?;
    let publish = "SELECT cardinality(seamline.publish('item', 'ItemCounted', \
        (SELECT array_agg('[\"flood\",\"' || article || '\"]') FROM item WHERE site = 'flood')))";
    stage.oracle(&["sql", "stock", publish])?;
    let agents = stage.agents()?;
    let aside = || -> Result<u64> {
        Ok(stage.cell("stock", "SELECT count(*)::text FROM seamline.quarantine")?.parse()?)
    };
    let is_there = within(Duration::from_secs(20), || match aside() {
        Ok(count) if count < 1_000 => None,
        other => Some(other),
    });
    thread::sleep(Duration::from_secs(2));
    let (there, waiting) = (aside()?, stage.waiting("stock")?);
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(FLOOD, outcome);
    }
    if is_there.transpose()?.is_none() || there >= FLOOD || there + waiting != FLOOD {
        let detail = format!("{there} of {FLOOD} rows went aside, and {waiting} wait");
        return stage.done(FLOOD, Outcome::Failed(detail));
    }
    let outcome = flood_given_up(&stage)?;
    stage.done(FLOOD, outcome)
}

fn flood_given_up(stage: &Stage<'_>) -> Result<Outcome> {
    if let Some(outcome) = drain(stage)? {
        return Ok(outcome);
    }
    let listed = last_line(&stage.seamline_well(&["quarantine", "list", "--format", "json"])?);
    let issue = &listed["issues"][0];
    if listed["issues"].as_array().map_or(0, Vec::len) != 1 || issue["items"] != FLOOD {
        return Ok(Outcome::Failed(format!("not one issue of {FLOOD} rows: {}", listed["issues"])));
    }
    let name = issue["issue"].as_str().unwrap_or_default();
    stage.oracle(&["sql", "stock", "DELETE FROM item WHERE site = 'flood'"])?;
    stage.seamline_well(&["quarantine", "discard", name, "--because", "made by a fault", "--yes"])?;
    if let Some(outcome) = drain(stage)? {
        return Ok(outcome);
    }
    let listed = last_line(&stage.seamline_well(&["quarantine", "list", "--format", "json"])?);
    if listed["total"] != 0 {
        return Ok(Outcome::Failed(format!("something still waits: {}", listed["issues"])));
    }
    Ok(match blamed(stage, &[])? {
        Some(outcome) => outcome,
        None => Outcome::Passed("the rest waited; one issue, given up as one".to_owned()),
    })
}

/// Records of old come once more, at the end of the log, those of ended keys among them: nothing changes.
pub(crate) fn repeated(ground: &Ground<'_>) -> Result<Done> {
    // What should not have arrived here shows at the end.
    let (stage, _) = settled(ground)?;
    let copied = stage.oracle(&["repeat"])?;
    let injected = copied["copied"].as_u64().unwrap_or(0);
    if injected == 0 || copied["ended"].as_u64().unwrap_or(0) == 0 {
        return stage
            .done(injected, Outcome::Inconclusive(format!("no old records of ended keys: {copied}")));
    }
    let left = drain(&stage)?;
    let acts = stage.path("acts").to_string_lossy().into_owned();
    let skip = "complete,order,chains,content,batches,books,inbox";
    let rows = stage.oracle_said(&["judge", "--acts", &acts, "--skip", skip])?;
    if rows.code != Some(0) {
        return stage.done(injected, Outcome::Failed(rows.tail()));
    }
    if let Some(outcome) = left {
        return stage.done(injected, outcome);
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

/// A sequence comes with another content, under the same id, twice: the first stays at the consumer, and a case names it.
pub(crate) fn contradicted(ground: &Ground<'_>) -> Result<Done> {
    let (stage, failed) = settled(ground)?;
    if let Some(outcome) = failed {
        return stage.done(0, outcome);
    }
    let told = stage.oracle(&["contradict"])?;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(1, outcome);
    }
    let acts = stage.path("acts").to_string_lossy().into_owned();
    // What the log holds twice is judged by the rows.
    let skip = "complete,order,chains,content,batches";
    let rows = stage.oracle_said(&["judge", "--acts", &acts, "--skip", skip])?;
    if rows.code != Some(0) {
        return stage.done(1, Outcome::Failed(rows.tail()));
    }
    let counted = stage.cell("desk", "SELECT coalesce(sum(conflicts), 0)::text FROM seamline.lane")?;
    let cases = cases(&stage)?;
    let key = told["key"].as_str().unwrap_or_default();
    // The producer's auditor may have seen it, too, and says so in a case of its own.
    let at_the_consumer = |case: &&Value| case["case"].as_str().is_some_and(|case| case.starts_with("desk/"));
    let named = cases.iter().filter(at_the_consumer);
    let named = named.filter(|case| case["kind"] == "conflict" && case.to_string().contains("two contents"));
    let outcome = match (counted.as_str(), named.count()) {
        ("2", 1) => Outcome::Passed(format!("the first content of {key} stays; one case")),
        (counted, named) => {
            Outcome::Failed(format!("{counted} conflicts are counted, {named} cases name one: {cases:?}"))
        }
    };
    stage.done(1, outcome)
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
