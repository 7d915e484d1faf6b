//! Sets of reference data, and agents of both sides that die between the steps: the table is one whole set at every moment.

use crate::faults::process::within;
use crate::faults::stage::Stage;
use crate::faults::verdict::{Outcome, stop_all};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, Instant};

/// How many rows a set has at least: more than an agent appends at once.
const ROWS: u32 = 2_000;

/// How long something may take that comes in a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the table is watched after somebody died.
const WATCHED: Duration = Duration::from_secs(3);

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
context: sales
version: 1.0.0
status: active
meaning: What a currency is worth.
key: currency
attributes:
  currency: { type: string, meaning: 'The currency.' }
  turn: { type: integer, meaning: 'How often all rates were set anew.' }
reference: { for: [desk] }
guarantees: { reference: { freshness: 1m } }
";

const PUBLICATION: &str = "{ apiVersion: seamline/v1, kind: Publication, contract: rate, system: SYSTEM, feed: outbox, table: rate }\n";

const SUBSCRIPTION: &str = "apiVersion: seamline/v1
kind: Subscription
id: rates
context: desk
contract: sales/rate@1
purpose: service
needs: { because: 'A price is told in the currency of the caller.' }
into:
  system: SYSTEM
  table: known_rate
  columns: { currency: currency, turn: turn }
reconciliation: { every: 1h, page: 1 row }
";

const TABLES: &str = "DO $$ BEGIN
  CREATE TABLE rate (currency text PRIMARY KEY, turn bigint NOT NULL);
  CREATE TABLE rate_told (turn bigint PRIMARY KEY, rows bigint NOT NULL);
  CREATE FUNCTION next_rates() RETURNS text LANGUAGE plpgsql AS $f$
  DECLARE
    next bigint := 1 + coalesce((SELECT max(turn) FROM rate_told), 0);
    many bigint := ROWS + 37 * (next % 5);
  BEGIN
    DELETE FROM rate;
    INSERT INTO rate SELECT 'C' || n, next FROM generate_series(1, many) n;
    INSERT INTO rate_told VALUES (next, many);
    PERFORM seamline.publish_set('rate');
    RETURN next || ' ' || many;
  END $f$;
END $$";

/// What a table is: the turns of its rows, and how many rows it has.
const THERE: &str =
    "SELECT coalesce(string_agg(DISTINCT turn::text, '+'), '0') || ' ' || count(*) FROM known_rate";

/// Kills the owner's agent between the steps of sending and the consumer's between those of taking, while sets change.
pub(crate) fn killed(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    install(&stage)?;
    let mut watch = Watch { stage: &stage, told: vec!["0 0".to_owned()], looked: 0 };
    let mut injected = 0;
    let outcome = match play(&mut watch, &mut injected)? {
        Some(outcome) => outcome,
        None => Outcome::Passed(format!(
            "{} sets, {} looks, each at a whole set, the last at the newest",
            watch.told.len() - 1,
            watch.looked
        )),
    };
    stage.done(injected, outcome)
}

/// Returns the outcome, if it does not go as it must.
fn play(watch: &mut Watch<'_, '_>, injected: &mut u64) -> Result<Option<Outcome>> {
    let stage = watch.stage;
    watch.next()?;
    let sales = stage.agent("sales", None)?;
    let sent = "SELECT count(*)::text FROM seamline.set_out WHERE number IS NOT NULL";
    let is_sent = within(PATIENCE, || stage.cell("sales", sent).is_ok_and(|sent| sent == "1").then_some(()));
    if is_sent.is_none() {
        return Ok(Some(Outcome::Failed("the first set is not sent".to_owned())));
    }
    if let Some(outcome) = stop_all(vec![sales])? {
        return Ok(Some(outcome));
    }
    let agents = vec![stage.agent("desk", None)?];
    if let Some(outcome) = watch.newest()? {
        return Ok(Some(outcome));
    }
    for point in ["set-drawn:1", "set-begun:2", "set-sent:1"] {
        watch.next()?;
        if let Some(outcome) = kill(watch, "sales", point, injected)? {
            return Ok(Some(outcome));
        }
    }
    let sales = stage.agent("sales", None)?;
    if let Some(outcome) = watch.newest()? {
        return Ok(Some(outcome));
    }
    if let Some(outcome) = stop_all(agents)? {
        return Ok(Some(outcome));
    }
    for point in ["set-gathered:1", "set-taken:1"] {
        watch.next()?;
        if let Some(outcome) = kill(watch, "desk", point, injected)? {
            return Ok(Some(outcome));
        }
    }
    // Two agents on each side, and sets faster than they are taken.
    let mut agents =
        vec![sales, stage.agent("sales", None)?, stage.agent("desk", None)?, stage.agent("desk", None)?];
    for _ in 0..8 {
        watch.next()?;
        if let Some(outcome) = watch.look()? {
            return Ok(Some(outcome));
        }
    }
    agents.remove(0).kill();
    *injected += 1;
    watch.next()?;
    if let Some(outcome) = watch.newest()? {
        return Ok(Some(outcome));
    }
    if let Some(outcome) = stop_all(agents)? {
        return Ok(Some(outcome));
    }
    watch.look()
}

/// Who reads the consumer's table as its service does, and knows what the owner's service wrote.
struct Watch<'w, 'a> {
    stage: &'w Stage<'a>,
    /// The turns with their rows, in order.
    told: Vec<String>,
    looked: u64,
}

impl Watch<'_, '_> {
    /// Sets all rates anew in one transaction, and asks for a set.
    fn next(&mut self) -> Result<()> {
        let told = self.stage.cell("sales", "SELECT next_rates()")?;
        self.told.push(told);
        Ok(())
    }

    /// Returns the outcome, if the table is not what one transaction left.
    fn look(&mut self) -> Result<Option<Outcome>> {
        let there = self.stage.cell("desk", THERE)?;
        self.looked += 1;
        Ok(match self.told.contains(&there) {
            true => None,
            false => Some(Outcome::Failed(format!("the table is `{there}`, which no set was"))),
        })
    }

    /// Looks until the table is the newest set. Returns the outcome, if it does not become that.
    fn newest(&mut self) -> Result<Option<Outcome>> {
        let newest = self.told.last().context("there was one before the first")?.clone();
        let mut last = String::new();
        let found = within(PATIENCE, || {
            let there = match self.stage.cell("desk", THERE) {
                Ok(there) => there,
                Err(error) => return Some(Err(error)),
            };
            self.looked += 1;
            let over = there == newest || !self.told.contains(&there);
            last = there;
            over.then_some(Ok(()))
        });
        found.transpose()?;
        Ok((last != newest)
            .then(|| Outcome::Failed(format!("the table is `{last}`, and should be `{newest}`"))))
    }
}

/// Runs the agent of a context until it dies at a point; then the table is watched for a while.
fn kill(
    watch: &mut Watch<'_, '_>,
    context: &str,
    point: &str,
    injected: &mut u64,
) -> Result<Option<Outcome>> {
    let mut victim = watch.stage.agent(context, Some(&format!("{point}:KILL")))?;
    match victim.ended_within(PATIENCE)? {
        Some(said) if said.code.is_none() => *injected += 1,
        Some(said) => {
            return Ok(Some(Outcome::Failed(format!("the agent ended by itself: {}", said.tail()))));
        }
        None => {
            victim.kill();
            return Ok(Some(Outcome::Inconclusive(format!("`{point}` of {context} was not reached"))));
        }
    }
    let until = Instant::now() + WATCHED;
    while Instant::now() < until {
        if let Some(outcome) = watch.look()? {
            return Ok(Some(outcome));
        }
    }
    Ok(None)
}

/// Adds a contract with reference data to the estate of the stage, and installs both contexts anew.
fn install(stage: &Stage<'_>) -> Result<()> {
    let estate = stage.path("estate");
    let system = |file: &str| -> Result<String> {
        let text = fs::read_to_string(estate.join(file))?;
        let behind = text.split("system: ").nth(1).context("the document names no system")?;
        Ok(behind.split([',', '\n', ' ']).next().unwrap_or_default().to_owned())
    };
    let publication = PUBLICATION.replace("SYSTEM", &system("sales/order.publication.yaml")?);
    let subscription = SUBSCRIPTION.replace("SYSTEM", &system("desk/orders.subscription.yaml")?);
    fs::write(estate.join("sales/rate.contract.yaml"), CONTRACT)?;
    fs::write(estate.join("sales/rate.publication.yaml"), publication)?;
    fs::write(estate.join("desk/rates.subscription.yaml"), subscription)?;
    let tables = TABLES.replace("ROWS", &ROWS.to_string());
    // The statement returns nothing: what is made is looked for.
    stage.oracle(&["sql", "sales", &tables])?;
    for context in ["sales", "desk"] {
        stage.seamline_well(&["install", context, "--yes"])?;
    }
    Ok(())
}
