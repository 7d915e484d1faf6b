//! What others do to the tables that agents read and write: rights are revoked, a unique key is added, a table is renamed.

use crate::faults::process::{Said, run, within};
use crate::faults::stage::{Stage, last_line};
use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::thread;
use std::time::Duration;

/// How long all work undisturbed before and after.
const CALM: Duration = Duration::from_secs(1);

/// How long what must not move is watched.
const WATCHED: Duration = Duration::from_millis(1500);

/// How long work may take to stand still, and to go on.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks the doctor of a context, as a role. Returns what is ill, each check with what it says and what mends it.
fn ill(stage: &Stage<'_>, context: &str, role: &str) -> Result<Vec<Value>> {
    let mut command = stage.command(&["doctor", context, "--format", "json"]);
    stage.as_role(&mut command, role);
    let said = run(&mut command, stage.folder.path(), &format!("doctor-{context}"), PATIENCE)?;
    let report = last_line(&said);
    let checks = report["checks"].as_array().with_context(|| format!("the doctor says {}", said.tail()))?;
    Ok(checks.iter().filter(|check| check["health"] != "well").cloned().collect())
}

/// Returns the mend of the check that names a text; none where no check does.
fn mend_of<'v>(ill: &'v [Value], text: &str) -> Option<&'v str> {
    ill.iter().find(|check| check["says"].as_str().is_some_and(|says| says.contains(text)))?["mend"].as_str()
}

/// Returns a failure, unless something is so.
fn must(is_so: bool, otherwise: impl FnOnce() -> String) -> std::result::Result<(), Outcome> {
    if is_so { Ok(()) } else { Err(Outcome::Failed(otherwise())) }
}

/// How far the items of the desk were read.
const READ: &str =
    "SELECT coalesce(sum(\"offset\"), 0)::text FROM seamline.lane WHERE subscription = 'desk/items'";

/// What left the outbox of the stock.
const REMOVED: &str = "SELECT batch::text FROM seamline.lease WHERE name = 'outbox'";

/// Returns whether a number stays what it is while others write.
fn stands(stage: &Stage<'_>, context: &str, query: &str) -> Result<bool> {
    let before = stage.cell(context, query)?;
    thread::sleep(WATCHED);
    Ok(before == stage.cell(context, query)?)
}

/// Makes a role that may do what `install --print` grants to an agent's, in each context. Returns its name.
fn role(stage: &Stage<'_>) -> Result<String> {
    let name = stage.name("agent");
    stage.oracle(&["sql", "stock", &format!("CREATE ROLE {name} LOGIN")])?;
    for context in ["stock", "desk"] {
        let words = ["install", context, "--print", "--agent-role", &name, "--service-role", &name];
        let said = stage.seamline_well(&words)?;
        let grants: Vec<&str> = said
            .out
            .lines()
            .filter(|line| line.starts_with("GRANT ") || line.starts_with("REVOKE "))
            .collect();
        ensure!(!grants.is_empty(), "`install --print` grants nothing: {}", said.tail());
        stage.oracle(&["sql", context, &grants.join("\n")])?;
    }
    Ok(name)
}

/// What is revoked: where, what, by what the doctor names it, and what must stand still.
const REVOKED: [(&str, &str, &str, &str, &str); 2] = [
    ("desk", "INSERT, UPDATE", "known_item", "INSERT ON", READ),
    (
        "stock",
        "DELETE",
        "seamline.outbox_0, seamline.outbox_1, seamline.outbox_2",
        "DELETE ON seamline.outbox_0",
        REMOVED,
    ),
];

/// Rights of the agents' role on a projection, then on the outbox, are revoked under load: work stands still, the log and the
/// doctor name what is missing, the doctor's own words mend it, and all goes on by itself.
pub(crate) fn revoked(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let role = role(&stage)?;
    let agents = vec![
        stage.agent("sales", None)?,
        stage.agent("dispatch", None)?,
        stage.agent_as("stock", &role)?,
        stage.agent_as("desk", &role)?,
    ];
    let mut injected = 0;
    for (context, rights, tables, named, query) in REVOKED {
        let writers = stage.writers_with(6, &["--salt", &injected.to_string()])?;
        thread::sleep(CALM);
        stage.oracle(&["sql", context, &format!("REVOKE {rights} ON {tables} FROM {role}")])?;
        injected += 1;
        let denied = tables.split([',', '.']).find(|name| name.contains('_')).unwrap_or(tables);
        let told = stage.has_logged(&format!("permission denied for table {denied}"), PATIENCE);
        let stood = stands(&stage, context, query)?;
        // What was written last waits here: nothing that comes later hides that it was lost.
        stop_writers(writers)?;
        let ill = ill(&stage, context, &role)?;
        let judged = must(told, || "no log says that a table is denied".to_owned())
            .and_then(|()| must(stood, || format!("{context} went on without its rights")))
            .and_then(|()| {
                let mend = mend_of(&ill, named).map(str::to_owned);
                mend.ok_or_else(|| Outcome::Failed(format!("the doctor does not name `{named}`: {ill:?}")))
            });
        let mend = match judged {
            Ok(mend) => mend,
            Err(outcome) => return stage.done(injected, outcome),
        };
        let before = stage.cell(context, query)?;
        stage.oracle(&["sql", context, &mend])?;
        let moved = within(PATIENCE, || match stage.cell(context, query) {
            Ok(now) => (now != before).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        if moved.transpose()?.is_none() {
            let detail = format!("{context} does not go on with its rights");
            return stage.done(injected, Outcome::Failed(detail));
        }
    }
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(injected, outcome);
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(injected, outcome)
}

/// Two items of one partition, or of two, exchange their costs: each by way of one that nobody has, in one transaction.
const EXCHANGE: &str = "WITH pairs AS (SELECT site, article, cost, lead(cost) OVER w AS next, lag(cost) OVER w AS last \
    FROM item WHERE site = 'bulk' WINDOW w AS (PARTITION BY (right(article, -1)::int - 1) / 2 ORDER BY right(article, -1)::int)) \
    UPDATE item i SET cost = coalesce(b.next, b.last) FROM pairs b WHERE (i.site, i.article) = (b.site, b.article)";

/// A unique key beside that of the contract, on a value that rows pass on to each other: the table cannot be filled key by key.
pub(crate) fn second_key(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    flood(&stage, "item", 40)?;
    let there = "SELECT count(*)::text FROM known_item WHERE site = 'bulk'";
    if !comes(&stage, there, "40")? {
        return stage.done(0, Outcome::Inconclusive("the rows did not arrive".to_owned()));
    }
    stage.oracle(&["sql", "desk", "CREATE UNIQUE INDEX one_cost ON known_item (cost)"])?;
    stage.oracle(&["sql", "stock", EXCHANGE])?;
    flood(&stage, "item", 40)?;
    let told = stage.has_logged("refuses a row by its constraint `one_cost`", PATIENCE);
    let ill = ill(&stage, "desk", "postgres")?;
    let refused = stage.seamline(&["install", "desk", "--yes"])?;
    let judged = must(told, || "no log names the key by which rows are refused".to_owned())
        .and_then(|()| {
            must(mend_of(&ill, "`one_cost`").is_some(), || format!("the doctor is silent: {ill:?}"))
        })
        .and_then(|()| must(names(&refused, "`one_cost`"), || format!("installed: {}", refused.tail())));
    if let Err(outcome) = judged {
        return stage.done(1, outcome);
    }
    let writers = stage.writers(6)?;
    thread::sleep(CALM);
    stop_writers(writers)?;
    stage.oracle(&["sql", "desk", "DROP INDEX one_cost"])?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(1, outcome);
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(1, outcome)
}

/// Returns whether a command refused to do it, and named a thing.
fn names(said: &Said, thing: &str) -> bool {
    said.code != Some(0) && format!("{}{}", said.out, said.err).contains(thing)
}

/// Publishes rows of the stock out of one table, in one transaction that is noted.
fn flood(stage: &Stage<'_>, table: &str, rows: u32) -> Result<()> {
    let acts = stage.path("acts").to_string_lossy().into_owned();
    stage.oracle(&["flood", "--rows", &rows.to_string(), "--table", table, "--acts", &acts])?;
    Ok(())
}

/// Waits until a cell of the desk is what it must be.
fn comes(stage: &Stage<'_>, query: &str, wanted: &str) -> Result<bool> {
    let came = within(PATIENCE, || match stage.cell("desk", query) {
        Ok(there) => (there == wanted).then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    Ok(came.transpose()?.is_some())
}

/// A producer's table gets another name under load: what was installed follows it; installing refuses the old name, and the
/// doctor names both. Then another table takes the old name, which only the doctor can tell.
pub(crate) fn renamed(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers(6)?;
    thread::sleep(CALM);
    let before = ill(&stage, "stock", "postgres")?;
    stage.oracle(&["sql", "stock", "ALTER TABLE item RENAME TO shelf"])?;
    flood(&stage, "shelf", 50)?;
    let arrived = comes(&stage, "SELECT count(*)::text FROM known_item WHERE site = 'bulk'", "50")?;
    let refused = stage.seamline(&["install", "stock", "--yes"])?;
    let gone = ill(&stage, "stock", "postgres")?;
    // One that looks the same takes the name, while the rows are in the other: whoever wrote there now would publish those.
    stop_writers(writers)?;
    stage.oracle(&["sql", "stock", "CREATE TABLE item (LIKE shelf INCLUDING ALL)"])?;
    let replaced = ill(&stage, "stock", "postgres")?;
    stage.oracle(&["sql", "stock", "DROP TABLE item"])?;
    let judged = must(mend_of(&before, "shelf").is_none(), || format!("ill before: {before:?}"))
        .and_then(|()| must(arrived, || "what is published from the table is lost".to_owned()))
        .and_then(|()| must(names(&refused, "`item`"), || format!("installed: {}", refused.tail())))
        .and_then(|()| must(mend_of(&gone, "`shelf`").is_some(), || format!("not named: {gone:?}")))
        .and_then(|()| must(mend_of(&replaced, "`shelf`").is_some(), || format!("not named: {replaced:?}")));
    if let Err(outcome) = judged {
        return stage.done(1, outcome);
    }
    // The publication follows, and goes back with the table.
    let publication = stage.path("estate").join("stock/item.publication.yaml");
    let text = fs::read_to_string(&publication)?;
    fs::write(&publication, text.replace("table: item", "table: shelf"))?;
    stage.seamline_well(&["install", "stock", "--yes"])?;
    let healed = ill(&stage, "stock", "postgres")?;
    flood(&stage, "shelf", 60)?;
    stage.oracle(&["sql", "stock", "ALTER TABLE shelf RENAME TO item"])?;
    fs::write(&publication, text)?;
    stage.seamline_well(&["install", "stock", "--yes"])?;
    let writers = stage.writers_with(6, &["--salt", "1"])?;
    thread::sleep(CALM);
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(2, outcome);
    }
    if mend_of(&healed, "shelf").is_some() {
        return stage.done(2, Outcome::Failed(format!("mended, and ill still: {healed:?}")));
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(2, outcome)
}
