//! A new major under load: the producer goes first while an agent of the old estate is still at work; then the consumer moves.

use crate::faults::stage::{Stage, last_line};
use crate::faults::verdict::{End, Outcome, blamed, drain, judged_by_oracle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result};
use std::fs;
use std::thread;
use std::time::Duration;

const WRITING: Duration = Duration::from_secs(1);

const SERVES: &str = "serves:
  - version: 1
    until: 2099-12-31
    read: { pieces: level }
    write: { level: pieces }
    events: { ItemCounted: ItemTallied }
changes:
  - { version: 2.0.0, renamed: { level: pieces, ItemCounted: ItemTallied }, because: 'Levels are of fluids.' }
";

/// Edits a file of the estate; each text must be there.
fn edit(stage: &Stage<'_>, file: &str, edits: &[(&str, &str)]) -> Result<()> {
    let path = stage.path("estate").join(file);
    let mut text = fs::read_to_string(&path)?;
    for (old, new) in edits {
        anyhow::ensure!(text.contains(old), "`{file}` does not say `{old}`");
        text = text.replace(old, new);
    }
    Ok(fs::write(path, text)?)
}

/// Writes the second major of the stock's contract; the first one lives on.
fn write_second(stage: &Stage<'_>) -> Result<()> {
    let folder = stage.path("estate/stock");
    fs::copy(folder.join("item.contract.yaml"), folder.join("item@1.contract.yaml"))
        .context("no contract")?;
    edit(
        stage,
        "stock/item.contract.yaml",
        &[
            ("version: 1.0.0", "version: 2.0.0"),
            ("  level: {", "  pieces: {"),
            ("sets: [level, countedAt]", "sets: [pieces, countedAt]"),
            ("  ItemCounted:", "  ItemTallied:"),
            ("guarantees:", &format!("{SERVES}guarantees:")),
        ],
    )?;
    edit(
        stage,
        "stock/item.publication.yaml",
        &[("table: item }", "table: item, columns: { pieces: level } }")],
    )
}

/// Two majors from one outbox row, while writers write and agents of both estates are at work.
pub(crate) fn rolled_out(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let older = stage.agents()?;
    let writers = stage.writers(6)?;
    thread::sleep(WRITING);
    write_second(&stage)?;
    // The events of the newer text have other names: a service that says the older ones is refused from here on, so that it
    // and the outbox go together.
    stop_writers(writers)?;
    stage.seamline_well(&["install", "stock", "--yes"])?;
    let newer = stage.agent("stock", None)?;
    stage.cell("stock", TALLIED)?;
    thread::sleep(WRITING);
    if let Some(outcome) = stop_all(older)? {
        return stage.done(1, outcome);
    }
    if let Some(outcome) = stop_all(vec![newer])? {
        return stage.done(1, outcome);
    }
    if let Some(outcome) = drain(&stage)? {
        return stage.done(1, outcome);
    }
    let outcome = finished(&stage)?;
    stage.done(1, outcome)
}

/// Tells of a few rows again under the newer text, as its service would.
const TALLIED: &str = "SELECT count(seamline.publish('item', 'ItemTallied', \
    '[' || to_json(site)::text || ',' || to_json(article)::text || ']'))::text \
    FROM (SELECT site, article FROM item ORDER BY site, article LIMIT 20) few";

/// What no writer noted breaks these checks; its chains are judged, and the order of the log by the reconciliation.
const BY_HAND: &str = "complete,order,batches,books";

fn finished(stage: &Stage<'_>) -> Result<Outcome> {
    let listed = last_line(&stage.seamline_well(&["quarantine", "list", "--format", "json"])?);
    if listed["total"] != 0 {
        return Ok(Outcome::Failed(format!("something waits in quarantine: {}", listed["issues"])));
    }
    if let Some(outcome) =
        judged_by_oracle(stage, End { skip: BY_HAND, any_sequence: true, ..End::default() })?
    {
        return Ok(outcome);
    }
    stage.seamline_well(&["backfill", "stock/item@2", "--yes"])?;
    if let Some(outcome) = drain(stage)? {
        return Ok(outcome);
    }
    if let Some(outcome) = blamed(stage, &[])? {
        return Ok(outcome);
    }
    edit(
        stage,
        "desk/items.subscription.yaml",
        &[("stock/item@1", "stock/item@2"), ("    level: level", "    level: pieces")],
    )?;
    stage.accept("desk/items")?;
    stage.seamline_well(&["install", "desk", "--yes"])?;
    if let Some(outcome) = drain(stage)? {
        return Ok(outcome);
    }
    let said = stage.seamline(&["reconcile", "--repair", "--yes", "--format", "json"])?;
    if said.code != Some(0) {
        return Ok(Outcome::Failed(format!(
            "the consumer does not move: exit {:?}: {}",
            said.code,
            said.tail()
        )));
    }
    let rows = "SELECT coalesce(md5(string_agg(concat_ws('|', site, article, level, cost, locked), ',' \
        ORDER BY site, article)), '') FROM";
    let (source, copy) =
        (stage.cell("stock", &format!("{rows} item"))?, stage.cell("desk", &format!("{rows} known_item"))?);
    Ok(if source == copy {
        Outcome::Passed("the older major unbroken, the newer filled, its consumer moved".to_owned())
    } else {
        Outcome::Failed("the consumer that moved holds other rows than the source".to_owned())
    })
}
