//! `cargo x bench flow`: the data plane on PostgreSQL and Kafka beside named peers, all in one run.

mod agent;
mod cpu;
mod debezium;
mod figure;
mod latency;
mod memory;
mod model;
mod peers;
mod plane;
mod publish;
mod reconcile;
mod scale;
mod site;

use anyhow::{Context, Result, bail};
use figure::{Better, Figure, Pair};
use plane::Measured;
use site::Addresses;
use std::process::ExitCode;
use std::time::Duration;

/// As the program has it.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: cargo x bench flow [PART ...] [--json] [--quick] [--rounds N] [--hold SECONDS]

  plane      relay, bootstrap and projector, each in one process, beside the limits of what they do
  rehearsal  a rehearsal of a million keys beside reading their topic raw
  publish    publishing from 48 connections beside a plain insert; many publishes in one transaction
  latency    commit to log and to the consumer's row, with transactions held open, beside a raw round trip
  memory     the agent's peak with a million rows waiting, beside the limit
  scale      the CPU time of a change with many contracts and partitions beside one of each
  reconcile  what link 2 and the auditor cost, and passes of links 3 and 1 beside COPY
  debezium   the agent beside Debezium's connectors with the same changes

  --json     one object a line
  --quick    small sizes: shows that all runs, and measures nothing
  --rounds   how often plane, publish and reconcile are measured; five times unless said
  --hold     how long transactions are held open; ten minutes unless said";

const PARTS: [&str; 8] =
    ["plane", "rehearsal", "publish", "latency", "memory", "scale", "reconcile", "debezium"];

/// How long transactions are held open.
const HOLD: Duration = Duration::from_secs(600);

/// What is asked for.
struct Ask {
    parts: Vec<String>,
    as_json: bool,
    quick: bool,
    rounds: Option<usize>,
    hold: Duration,
}

impl Ask {
    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|asked| asked == part)
    }

    fn size(&self, full: usize) -> usize {
        if self.quick { full / 20 } else { full }
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }
}

fn main() -> ExitCode {
    let done = ask().and_then(|ask| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(&ask))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ask() -> Result<Ask> {
    let mut ask = Ask { parts: Vec::new(), as_json: false, quick: false, rounds: None, hold: HOLD };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => ask.as_json = true,
            "--quick" => ask.quick = true,
            "--rounds" => {
                let rounds = args.next().and_then(|rounds| rounds.parse().ok()).filter(|rounds| *rounds > 0);
                ask.rounds = Some(rounds.context("`--rounds` takes a number")?);
            }
            "--hold" => {
                let seconds = args.next().and_then(|seconds| seconds.parse().ok());
                ask.hold = Duration::from_secs(seconds.context("`--hold` takes a number of seconds")?);
            }
            part if PARTS.contains(&part) => ask.parts.push(arg),
            other => bail!("no part or flag `{other}`\n\n{USAGE}"),
        }
    }
    Ok(ask)
}

async fn run(ask: &Ask) -> Result<()> {
    let addresses = Addresses::find().await?;
    if ask.wants("plane") {
        // A broker that was just started compiles what it finds busy, at the cost of whoever comes first.
        plane::round(&addresses, ask.size(200_000), 0).await?;
        let mut rounds = Vec::new();
        for round in 1..=ask.rounds() {
            rounds.push(plane::round(&addresses, ask.size(200_000), round).await?);
        }
        print_plane(&rounds, ask.as_json);
    }
    if ask.wants("rehearsal") {
        let figure = Figure {
            bench: "rehearsal".to_owned(),
            peer: "reading the topic raw".to_owned(),
            unit: "keys a second",
            goal: Some(0.5),
            better: Better::Higher,
        };
        figure.print(vec![plane::rehearsal(&addresses, ask.size(1_000_000)).await?], ask.as_json);
    }
    if ask.wants("publish") {
        let length = Duration::from_secs(if ask.quick { 1 } else { 10 });
        publish::at_each_level(&addresses, ask.size(100_000), ask.rounds(), length, ask.as_json).await?;
        publish::in_one_transaction(&addresses, ask.size(200_000), ask.as_json).await?;
    }
    if ask.wants("latency") {
        let (length, hold) = if ask.quick { (3, Duration::from_secs(3)) } else { (60, ask.hold) };
        latency::measure(&addresses, Duration::from_secs(length), hold, ask.as_json).await?;
    }
    if ask.wants("memory") {
        memory::measure(&addresses, ask.size(1_000_000), ask.as_json).await?;
    }
    if ask.wants("scale") {
        scale::measure(&addresses, ask.size(100_000), ask.as_json).await?;
    }
    if ask.wants("reconcile") {
        let mut rounds = Vec::new();
        for round in 1..=ask.rounds() {
            rounds.push(reconcile::round(&addresses, ask.size(200_000), round).await?);
        }
        reconcile::print(&rounds, ask.as_json);
    }
    if ask.wants("debezium") {
        let rounds = ask.rounds().min(3);
        debezium::measure(&addresses, ask.size(100_000), rounds, ask.as_json).await?;
    }
    Ok(())
}

fn print_plane(rounds: &[Measured], as_json: bool) {
    let figure = |bench: &str, peer: &str, goal| Figure {
        bench: bench.to_owned(),
        peer: peer.to_owned(),
        unit: "rows a second",
        goal: Some(goal),
        better: Better::Higher,
    };
    let pairs = |of: fn(&Measured) -> Pair| rounds.iter().map(of).collect();
    let limit = rounds.first().map_or("", |round| round.relay.1);
    figure("relay", limit, 0.5).print(pairs(|round| round.relay.0), as_json);
    figure("bootstrap", "COPY-in of the same rows with markers", 0.5)
        .print(pairs(|round| round.bootstrap), as_json);
    figure("projector", "upsert of the same rows with markers inside the server", 0.6)
        .print(pairs(|round| round.projector), as_json);
}
