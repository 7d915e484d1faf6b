//! Commands between two contexts, and agents of both that die amid them: each is heard once, and each answered.

use crate::faults::process::within;
use crate::faults::stage::Stage;
use crate::faults::verdict::{Outcome, stop_all};
use crate::faults::{Done, Ground};
use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// How many commands are sent.
const COMMANDS: u32 = 300;

/// How long something may take that comes in a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

const CONTRACT: &str = "commands:
  RecheckOrder:
    meaning: Asks Sales to go over an order again.
    for: [desk]
    outcomes:
      rechecked: { meaning: 'Sales went over it.' }
";

const SUBSCRIPTION: &str = "apiVersion: seamline/v1
kind: Subscription
id: rechecks
context: desk
contract: sales/order@1
purpose: service
sends: [RecheckOrder]
needs: { because: 'A customer asks for it.' }
into: { system: SYSTEM }
";

const HEARD: &str = "SELECT count(*) || ' heard, ' || count(DISTINCT correlation) || ' of them different' \
    FROM seamline.inbox WHERE subscription = 'sales/order-commands'";

const ENDED: &str = "SELECT (SELECT count(*) FROM seamline.command WHERE state = 'answered') || ' answered, ' \
    || (SELECT count(*) FROM seamline.inbox WHERE subscription = 'desk/rechecks') || ' told, ' \
    || (SELECT count(*) FROM seamline.letter) || ' letters'";

/// Kills the sender's agent between the log and its letters, the owner's over its inbox, and the owner's again between the log and
/// its answers.
pub(crate) fn killed(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    install(&stage)?;
    let send = format!(
        "SELECT count(seamline.send('sales/order@1', 'RecheckOrder', '[\"O-' || lpad(n::text, 6, '0') || '\"]', \
         'c-' || n))::text FROM generate_series(1, {COMMANDS}) n"
    );
    stage.cell("desk", &send)?;
    let mut injected = 0;
    if let Some(outcome) = kill(&stage, "desk", "letters-appended", &mut injected)? {
        return stage.done(injected, outcome);
    }
    let desk = stage.agent("desk", None)?;
    if let Some(outcome) = kill(&stage, "sales", "reacting", &mut injected)? {
        return stage.done(injected, outcome);
    }
    let sales = stage.agent("sales", None)?;
    let heard = format!("{COMMANDS} heard, {COMMANDS} of them different");
    if let Some(outcome) = awaited(&stage, "sales", HEARD, &heard)? {
        return stage.done(injected, outcome);
    }
    let letters = "SELECT count(*)::text FROM seamline.letter";
    if let Some(outcome) = awaited(&stage, "desk", letters, "0")? {
        return stage.done(injected, outcome);
    }
    if let Some(outcome) = stop_all(vec![sales])? {
        return stage.done(injected, outcome);
    }
    let answer = "SELECT count(seamline.answer(c.number, 'rechecked'))::text \
                  FROM seamline.claim('sales/order-commands', most => 1000) c";
    stage.cell("sales", answer)?;
    if let Some(outcome) = kill(&stage, "sales", "letters-appended", &mut injected)? {
        return stage.done(injected, outcome);
    }
    let sales = stage.agent("sales", None)?;
    let ended = format!("{COMMANDS} answered, {COMMANDS} told, 0 letters");
    if let Some(outcome) = awaited(&stage, "desk", ENDED, &ended)? {
        return stage.done(injected, outcome);
    }
    if let Some(outcome) = awaited(&stage, "sales", letters, "0")? {
        return stage.done(injected, outcome);
    }
    if let Some(outcome) = stop_all(vec![desk, sales])? {
        return stage.done(injected, outcome);
    }
    // What came twice may have come after the first look.
    for (context, query, wanted) in [("sales", HEARD, &heard), ("desk", ENDED, &ended)] {
        let there = stage.cell(context, query)?;
        if there != *wanted {
            return stage.done(injected, Outcome::Failed(format!("{context}: {there}")));
        }
    }
    stage.done(injected, Outcome::Passed(format!("{COMMANDS} commands, each heard once and answered once")))
}

/// Adds a command to the estate of the stage, and installs both contexts anew.
fn install(stage: &Stage<'_>) -> Result<()> {
    let estate = stage.path("estate");
    let contract = estate.join("sales/order.contract.yaml");
    let text = fs::read_to_string(&contract)?;
    fs::write(&contract, text + CONTRACT)?;
    let orders = fs::read_to_string(estate.join("desk/orders.subscription.yaml"))?;
    let system = orders.lines().find_map(|line| line.trim().strip_prefix("system: "));
    let system = system.context("the subscription of the estate names no system")?;
    fs::write(estate.join("desk/rechecks.subscription.yaml"), SUBSCRIPTION.replace("SYSTEM", system))?;
    for context in ["sales", "desk"] {
        stage.seamline_well(&["install", context, "--yes"])?;
    }
    Ok(())
}

/// Runs the agent of a context until it dies at a point. Returns the outcome, if it ends in another way.
fn kill(stage: &Stage<'_>, context: &str, point: &str, injected: &mut u64) -> Result<Option<Outcome>> {
    let mut victim = stage.agent(context, Some(&format!("{point}:1:KILL")))?;
    Ok(match victim.ended_within(PATIENCE)? {
        Some(said) if said.code.is_none() => {
            *injected += 1;
            None
        }
        Some(said) => Some(Outcome::Failed(format!("the agent ended by itself: {}", said.tail()))),
        None => {
            victim.kill();
            Some(Outcome::Inconclusive(format!("`{point}` of {context} was not reached")))
        }
    })
}

/// Returns whether a text begins with a number above that of the commands: waiting makes that no better.
fn is_too_many(text: &str) -> bool {
    text.split(' ').next().and_then(|number| number.parse::<u32>().ok()) > Some(COMMANDS)
}

/// Waits until a query says what it should. Returns the outcome, if it does not.
fn awaited(stage: &Stage<'_>, context: &str, query: &str, wanted: &str) -> Result<Option<Outcome>> {
    let mut last = String::new();
    let came = within(PATIENCE, || match stage.cell(context, query) {
        Ok(there) => {
            let over = there == wanted || is_too_many(&there);
            last = there;
            over.then_some(Ok(()))
        }
        Err(error) => Some(Err(error)),
    });
    came.transpose()?;
    Ok(match last == wanted {
        true => None,
        false => Some(Outcome::Failed(format!("{context}: {last}, not {wanted}"))),
    })
}
