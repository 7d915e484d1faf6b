//! The peak memory of an agent that finds a million rows waiting, and of one that fills its projection from them.

use crate::agent::{CONSUMER, Estate};
use crate::cpu::peak_mebibytes;
use crate::figure::{Better, Figure, Pair, Side};
use crate::site::{Addresses, Site};
use anyhow::Result;

/// What either may take.
const LIMIT_MEBIBYTES: f64 = 128.0;

/// Each policy is published so often.
const TIMES: usize = 10;

/// Measures and prints it.
pub(crate) async fn measure(addresses: &Addresses, rows: usize, as_json: bool) -> Result<()> {
    let mut site = Site::new(addresses, "memory");
    let peaks = peaks(&mut site, rows / TIMES).await;
    site.remove().await?;
    let peaks = peaks?;
    for (what, peak) in ["relay and auditor", "projector"].into_iter().zip(peaks) {
        let figure = Figure {
            bench: format!("memory of the agent, {what}, {rows} rows"),
            peer: "the limit".to_owned(),
            unit: "mebibytes at the peak",
            goal: Some(1.0),
            better: Better::Lower,
        };
        figure.print(vec![Pair { ours: Side::of(peak), theirs: Side::of(LIMIT_MEBIBYTES) }], as_json);
    }
    Ok(())
}

async fn peaks(site: &mut Site, policies: usize) -> Result<[f64; 2]> {
    let estate = Estate::install(site, policies).await?;
    for _ in 0..TIMES {
        estate.publish("PolicyBound", "eligible", policies).await?;
    }
    let mut agent = estate.start(&[&estate.producer])?;
    estate.drained(&mut agent).await?;
    let relay = peak_mebibytes(agent.pid());
    agent.end()?;
    let mut agent = estate.start(&[CONSUMER])?;
    estate.projected(&mut agent, true, policies).await?;
    let projector = peak_mebibytes(agent.pid());
    agent.end()?;
    Ok([relay, projector])
}
