//! What a change costs an agent with many contracts and many partitions, beside one with one of each.

use crate::agent::{CONSUMER, Estate, Shape};
use crate::cpu::{Cpu, Meter};
use crate::figure::{Better, Figure, Pair, Side};
use crate::peers::{connect, run};
use crate::site::{Addresses, Site};
use anyhow::{Context, Result};

const CONTRACTS: [usize; 3] = [1, 10, 100];
const PARTITIONS: [u32; 3] = [1, 3, 12];

/// Rounds over all keys before the one that counts.
const WARM: usize = 2;

/// What a change may cost of that with one contract and one partition.
const GROWTH_MAX: f64 = 1.3;

/// Measures and prints all shapes with about so many changes each, spread evenly.
pub(crate) async fn measure(addresses: &Addresses, changes: usize, as_json: bool) -> Result<()> {
    let mut one: Option<Side> = None;
    for contracts in CONTRACTS {
        for partitions in PARTITIONS {
            let shape = Shape { contracts, partitions };
            let mut site = Site::new(addresses, &format!("scale{contracts}x{partitions}"));
            let cost = cost(&mut site, changes / contracts, shape).await;
            site.remove().await?;
            let cost = cost?;
            let ours = Side { value: cost.own, cpu: Some(cost) };
            let theirs = *one.get_or_insert(ours);
            let figure = Figure {
                bench: format!(
                    "cost of a change, contracts: {contracts}, partitions of each topic: {partitions}"
                ),
                peer: "one contract, one partition".to_owned(),
                unit: "microseconds of CPU",
                goal: Some(GROWTH_MAX),
                better: Better::Lower,
            };
            figure.print(vec![Pair { ours, theirs }], as_json);
        }
    }
    Ok(())
}

/// Returns the CPU time a change from the outbox to the row, of changes that all wait when the agent goes on.
async fn cost(site: &mut Site, policies: usize, shape: Shape) -> Result<Cpu> {
    let estate = Estate::shaped(site, policies, shape).await?;
    let mut agent = estate.start(&[&estate.producer, CONSUMER])?;
    let mut cost = None;
    for round in 0..=WARM {
        let is_bound = round.is_multiple_of(2);
        let (event, status) =
            if is_bound { ("PolicyBound", "eligible") } else { ("PolicySuspended", "ineligible") };
        agent.signal("STOP")?;
        estate.publish(event, status, policies).await?;
        run(&mut connect(&estate.source_url).await?, "CHECKPOINT").await?;
        let meter = Meter::start(&site.addresses.servers, &[agent.pid()]);
        agent.signal("CONT")?;
        estate.projected(&mut agent, is_bound, policies).await?;
        estate.drained(&mut agent).await?;
        cost = Some(meter.stop(policies * shape.contracts));
    }
    agent.end()?;
    cost.context("there is a round")
}
