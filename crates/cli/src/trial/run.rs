//! The run of a trial: changes and faults in an order that the seed decides, workers stepped between them.

use crate::proving::crew::carry_on;
use crate::proving::fault::FaultKind;
use crate::proving::inject::Injector;
use crate::proving::scene::Scene;
use crate::proving::story::Story;
use crate::trial::trade::Trade;
use anyhow::Result;
use seamline_agent::workers::Workers;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many changes are written between two rounds of the workers.
const CHANGES_A_ROUND: usize = 8;

/// How many faults of each kind are injected.
const TIMES: usize = 2;

/// How many rounds faults may still wait for a moment to strike, after the last change.
const OVERTIME_ROUNDS: usize = 60;

/// How often a change is looked for before its turn is passed over.
const TURNS: usize = 20;

/// Reads to the ends of empty topics, so that reactions begin before the first change.
const FIRST_ROUNDS: usize = 2;

/// Plays the services and lets faults strike. Returns what was injected.
///
/// # Errors
/// When a database or the log does not do its part.
pub(crate) async fn run(
    scene: &Scene,
    story: &Story,
    trade: &mut Trade,
    changes: usize,
    kinds: &[FaultKind],
) -> Result<Injector> {
    let mut injector = Injector::new(scene, kinds, TIMES, changes as f64, trade);
    let mut workers: BTreeMap<&str, Workers<'_>> =
        scene.agents.iter().map(|(context, agent)| (context.as_str(), agent.workers())).collect();
    for _ in 0..FIRST_ROUNDS {
        round(&mut workers).await?;
    }
    let mut written = 0;
    while written < changes {
        for _ in 0..CHANGES_A_ROUND.min(changes - written) {
            for _ in 0..TURNS {
                if trade.change(scene).await? {
                    break;
                }
            }
            written += 1;
        }
        step(scene, story, trade, &mut injector, &mut workers, written as f64).await?;
    }
    for _ in 0..OVERTIME_ROUNDS {
        if injector.is_done() {
            break;
        }
        step(scene, story, trade, &mut injector, &mut workers, f64::MAX).await?;
    }
    drop(workers);
    carry_on(scene).await?;
    Ok(injector)
}

async fn step<'s>(
    scene: &'s Scene,
    story: &Story,
    trade: &mut Trade,
    injector: &mut Injector,
    workers: &mut BTreeMap<&'s str, Workers<'s>>,
    at: f64,
) -> Result<()> {
    round(workers).await?;
    while let Some(context) = injector.tick(at, scene, trade).await? {
        if let Some((context, agent)) = scene.agents.get_key_value(&context) {
            // What they had in hand is dropped; the next ones take their lanes anew.
            workers.insert(context, agent.workers());
        }
    }
    injector.tell(story);
    // Whoever serves the files has threads of its own.
    tokio::time::sleep(Duration::ZERO).await;
    Ok(())
}

async fn round(workers: &mut BTreeMap<&str, Workers<'_>>) -> Result<()> {
    for workers in workers.values_mut() {
        workers.round().await?;
    }
    Ok(())
}
