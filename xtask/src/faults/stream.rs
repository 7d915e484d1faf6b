//! Records that go astray between the log and a consumer, under load: link 2 names their keys in seconds, without a scan.

use crate::faults::process::{Running, within};
use crate::faults::stage::{Stage, last_line};
use crate::faults::verdict::{Outcome, blamed, drain, stop_all};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::thread;
use std::time::Duration;

/// As many as a topic has where no environment says otherwise.
const PARTITIONS: u32 = 12;

/// How many changes a second are aimed at, one load after the other.
const RATES: [u32; 2] = [5_000, 1];

/// Sites whose records are lost, and altered; what lies at the third arrives as it is, and shows how busy the machine is.
const LOST: &str = "gone-astray";
const ALTERED: &str = "bent-astray";
const CANARY: &str = "canary";

/// How long after its commit a lost record is named.
const NAMED_WITHIN: f64 = 10.0;

/// What arrives later than this, although little is ahead of it, says that the machine does much else.
const ARRIVES_WITHIN: f64 = 3.0;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a load goes on before records go astray.
const STEADY: Duration = Duration::from_secs(3);

/// How many lanes compared equal with the last point that they were held against.
const WATCHED: &str = "SELECT count(*)::text FROM seamline.compared \
    WHERE subscription = 'desk/items' AND topic LIKE '%.state' AND outcome = 'clean'";

/// A record is lost and another altered at the desk: at each rate both are named in time, mended, and nothing else is named.
pub(crate) fn drift(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage_of(PARTITIONS)?;
    let agents = vec![stage.agent("stock", None)?, stage.agent_astray("desk", (LOST, ALTERED))?];
    let (mut told, mut injected) = (Vec::new(), 0);
    for rate in RATES {
        let load = stage.busy(rate)?;
        let round = at_a_rate(&stage, rate, &mut injected)?;
        let reached = ended(load)?;
        let at = |detail: String| format!("{detail}, at {reached} changes/s");
        match round {
            Outcome::Passed(detail) => told.push(at(detail)),
            Outcome::Failed(detail) => return stage.done(injected, Outcome::Failed(at(detail))),
            other => return stage.done(injected, other),
        }
    }
    if let Some(outcome) = stop_all(agents)?.map_or_else(|| drain(&stage), |outcome| Ok(Some(outcome)))? {
        return stage.done(injected, outcome);
    }
    let outcome = match blamed(&stage, &[])? {
        Some(outcome) => outcome,
        None => Outcome::Passed(told.join("; ")),
    };
    stage.done(injected, outcome)
}

/// Ends a load. Returns how many changes a second it reached.
fn ended(load: Running) -> Result<String> {
    let said = load.stop()?;
    let done = last_line(&said);
    let (changes, seconds) = (done["changes"].as_f64(), done["seconds"].as_f64());
    let (changes, seconds) =
        changes.zip(seconds).with_context(|| format!("the load failed: {}", said.tail()))?;
    ensure!(seconds > 0.0, "the load took no time: {}", said.tail());
    Ok(format!("{:.1}", changes / seconds))
}

/// What is seen at one moment.
struct Seen {
    /// Seconds since the epoch, by the database's clock.
    at: f64,
    canary: bool,
    /// The open case that names both keys.
    case: Option<String>,
    /// Of which partitions nothing can be said, and why; empty where all is well.
    doubts: String,
}

fn seen(stage: &Stage<'_>, number: u32) -> Result<Seen> {
    let query = format!(
        "SELECT concat_ws('|', extract(epoch FROM clock_timestamp()), \
         (SELECT count(*) FROM known_item WHERE site = '{CANARY}' AND article = '{number}'), \
         (SELECT coalesce(string_agg(partition || ': ' || reason, '; '), '') FROM seamline.compared \
          WHERE subscription = 'desk/items' AND outcome = 'inconclusive'), \
         (SELECT id FROM seamline.cases WHERE kind = 'drift' AND stage <> 'closed' AND subject = 'desk/items' \
          AND details LIKE '%{LOST}%' AND details LIKE '%{ALTERED}%'))"
    );
    let cell = stage.cell("desk", &query)?;
    let mut words = cell.split('|');
    let at = words.next().context("it has a time")?.parse()?;
    let canary = words.next() == Some("1");
    let doubts = words.next().unwrap_or_default().to_owned();
    Ok(Seen { at, canary, doubts, case: words.next().map(|id| format!("desk/{id}")) })
}

/// Lets two records go astray while a load goes on, and has them mended.
fn at_a_rate(stage: &Stage<'_>, number: u32, injected: &mut u64) -> Result<Outcome> {
    let watched = within(PATIENCE, || match stage.cell("desk", WATCHED) {
        Ok(count) if count != PARTITIONS.to_string() => None,
        other => Some(other.map(|_| ())),
    });
    if watched.transpose()?.is_none() {
        return Ok(Outcome::Inconclusive("not all lanes compare with points in time".to_owned()));
    }
    thread::sleep(STEADY);
    let committed = astray(stage, number)?;
    *injected += 2;
    let (mut arrived, mut doubts) = (None, String::new());
    let named = within(PATIENCE, || match seen(stage, number) {
        Ok(seen) => {
            arrived = arrived.or(seen.canary.then_some(seen.at - committed));
            if !seen.doubts.is_empty() {
                doubts = format!("; {:.1} s after it in doubt: {}", seen.at - committed, seen.doubts);
            }
            seen.case.map(|case| Ok((case, seen.at - committed)))
        }
        Err(error) => Some(Err(error)),
    });
    let is_busy = arrived.is_none_or(|arrived| arrived > ARRIVES_WITHIN);
    let arrives = arrived.map_or("not".to_owned(), |arrived| format!("after {arrived:.1} s"));
    let Some((case, after)) = named.transpose()? else {
        let detail =
            format!("no case names what went astray; what else was published then arrived {arrives}{doubts}");
        return Ok(if arrived.is_none() { Outcome::Inconclusive(detail) } else { Outcome::Failed(detail) });
    };
    if after > NAMED_WITHIN {
        let detail = format!(
            "named {after:.1} s after the commit; what else was published then arrived {arrives}{doubts}"
        );
        return Ok(if is_busy { Outcome::Inconclusive(detail) } else { Outcome::Failed(detail) });
    }
    if let Some(wrong) = wrongly_named(stage, &case, number)? {
        return Ok(wrong);
    }
    if let Some(left) = unmended(stage, &case, number)? {
        return Ok(left);
    }
    Ok(Outcome::Passed(format!("named {after:.1} s after the commit and mended")))
}

/// Publishes one item at each of the three sites in one transaction. Returns when that was, just before it was committed.
fn astray(stage: &Stage<'_>, number: u32) -> Result<f64> {
    let sites = [LOST, ALTERED, CANARY];
    let rows = sites.map(|site| format!("('{site}', '{number}', 7, 1, NULL, false)"));
    stage.oracle(&["sql", "stock", &format!("INSERT INTO item VALUES {}", rows.join(", "))])?;
    let keys = sites.map(|site| format!("'[\"{site}\",\"{number}\"]'"));
    let publish = format!(
        "SELECT extract(epoch FROM clock_timestamp())::text, \
         cardinality(seamline.publish('item', 'ItemCounted', ARRAY[{}]))::text",
        keys.join(", ")
    );
    Ok(stage.cell("stock", &publish)?.parse()?)
}

/// Holds a case against what went astray. Returns what it names wrongly.
fn wrongly_named(stage: &Stage<'_>, case: &str, number: u32) -> Result<Option<Outcome>> {
    let shown = last_line(&stage.seamline_well(&["case", "show", case, "--format", "json"])?);
    let mut named: Vec<(String, String)> = Vec::new();
    for pattern in shown["details"]["patterns"].as_array().into_iter().flatten() {
        let kind = pattern["kind"].as_str().unwrap_or_default();
        for key in pattern["keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            named.push((kind.to_owned(), key.to_owned()));
        }
    }
    named.sort();
    let answer = [("corrupt", ALTERED), ("missing", LOST)]
        .map(|(kind, site)| (kind.to_owned(), format!("[\"{site}\",\"{number}\"]")));
    let is_right = named == answer && shown["details"]["link"] == "stream" && shown["owedBy"] == "desk";
    Ok((!is_right).then(|| Outcome::Failed(format!("the case names something else: {shown}"))))
}

/// Repairs a case while all goes on. Returns what is not as it should be afterwards.
fn unmended(stage: &Stage<'_>, case: &str, number: u32) -> Result<Option<Outcome>> {
    let said = stage.seamline(&["case", "repair", case, "--yes", "--format", "json"])?;
    let shown = last_line(&stage.seamline_well(&["case", "show", case, "--format", "json"])?);
    if shown["stage"] != "closed" {
        let detail =
            format!("a repair does not close the case: exit {:?}: {} {shown}", said.code, said.tail());
        return Ok(Some(Outcome::Failed(detail)));
    }
    let query = format!(
        "SELECT count(*)::text FROM known_item WHERE article = '{number}' AND site IN ('{LOST}', '{ALTERED}') \
         AND level = 7 AND NOT locked AND cost = 1"
    );
    let right = stage.cell("desk", &query)?;
    Ok((right != "2").then(|| Outcome::Failed(format!("{right} of 2 rows are as they were published"))))
}
