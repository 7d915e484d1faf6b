//! `seamline backfill CONTRACT`: every key's current state goes through the outbox once more.

use crate::exit::{Exit, unreachable, usage};
use crate::job::follow::{Hands, exit, file, follow};
use crate::job::tell::{Far, far};
use crate::opened::contract;
use crate::site::{Where, agents, block_on, no_answer};
use crate::terminal::Writing;
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::database::Database;
use seamline_contract::contract::Contract;
use seamline_contract::id::{ContractId, ContractRef};
use seamline_flow::backfill::CHUNK_KEYS;
use seamline_flow::job::orders::{BackfillOrders, write};
use seamline_flow::job::{Job, JobKind, JobStage, NewJob};
use seamline_flow::source::Source;
use seamline_message::key::RecordKey;
use serde_json::json;

/// Publishes the current state of every key of a contract, in chunks, through the outbox of its context.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The contract: context/contract.
    contract: String,
    /// At most so many rows in a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// File the job, and do not follow it.
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Runs the command.
///
/// # Errors
/// When there is no such contract, or its context is not installed.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let site = args.place.site()?;
    let reference = contract(&site.estate, &args.contract)?;
    let context = reference.name.context.clone();
    let current = site.estate.current(&reference.name).map(Contract::reference);
    if let Some(current) = current.filter(|current| *current != reference) {
        let message =
            format!("`{reference}` is served from `{current}`, which is what its service publishes");
        return Err(usage(message, format!("backfill `{current}`")));
    }
    if site.estate.publication(&reference.name).is_none() {
        let help = "write a publication for it: where its state is read, and how it gets out";
        return Err(unreachable(format!("`{reference}` is not published by anything"), help));
    }
    let place = args.place.arguments();
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let contract = &reference.name.contract;
        let publishes =
            |agent: &Agent| agent.outlets.as_ref().is_some_and(|outlets| outlets.get(contract).is_some());
        let mut publishing = Vec::new();
        for (at, agent) in agents.iter().enumerate().filter(|(_, agent)| publishes(agent)) {
            publishing.push((at, count(&agent.database, contract).await?));
        }
        let rows: u64 = publishing.iter().map(|(_, rows)| rows).sum();
        let text = args.writing.is_text();
        if text {
            println!("{rows} rows of {reference} would be published, {CHUNK_KEYS} in a transaction");
            if let Some(rate) = args.rate {
                println!("  at most {rate} in a second: in about {} s", rows.div_ceil(rate.into()));
            }
            println!(
                "  consumers take what they have already for what it is; no reaction fires, no history changes"
            );
        }
        let agreed = args.writing.agreed("publish them?")?;
        let mut done = Vec::new();
        for (at, rows) in publishing.into_iter().filter(|_| agreed) {
            let orders = write(&BackfillOrders::new(rows, args.rate));
            let new = NewJob { kind: JobKind::Backfill, subject: reference.to_string(), orders };
            let id = file(&agents[at], &new, &place).await?;
            if args.detach {
                done.push((id, None));
            } else {
                done.push((id, Some(follow(&agents, at, id, Hands::Job, text).await?)));
            }
        }
        tell(args, &reference, rows, agreed, &done);
        Ok(done
            .iter()
            .filter_map(|(_, job)| job.as_ref())
            .map(exit)
            .find(|it| *it != Exit::Clean)
            .unwrap_or(Exit::Clean))
    })
}

/// Says what became of it, by job.
fn tell(args: &Args, reference: &ContractRef, rows: u64, agreed: bool, done: &[(u64, Option<Job>)]) {
    let (context, place) = (&reference.name.context, args.place.arguments());
    let published = |job: &Job| match far(job) {
        Far::Backfill(_, at) => at.rows,
        Far::Rehearsal(..) | Far::Redrive(..) | Far::Erasure(..) | Far::Unknown => 0,
    };
    let written: u64 = done.iter().filter_map(|(_, job)| job.as_ref()).map(published).sum();
    let names: Vec<String> = done.iter().map(|(id, _)| format!("{context}/{id}")).collect();
    if !args.writing.is_text() {
        let schema = "seamline/backfill/v1";
        let contract = reference.to_string();
        let document = json!({ "schema": schema, "contract": contract, "rows": rows, "written": written, "jobs": names });
        println!("{document}");
        return;
    }
    let over = |(_, job): &(u64, Option<Job>)| job.as_ref().is_some_and(|job| job.stage == JobStage::Done);
    if !agreed {
        println!("nothing was written; the agent of `{context}` carries on what is there");
    } else if done.iter().all(over) {
        println!("{written} rows are in the outbox; the agent of `{context}` carries on what is there");
    } else {
        println!("{written} rows are in the outbox so far; at work: {}", names.join(", "));
        println!("next: seamline job show {}{place}", names.first().map_or("", String::as_str));
        return;
    }
    println!("next: seamline agent {context} --until-idle{place}");
}

/// Returns how many rows the source view has.
async fn count(database: &Database, contract: &ContractId) -> Result<u64> {
    let mut count = 0;
    let mut after: Option<RecordKey> = None;
    loop {
        let rows = database.scan(contract, after.as_ref(), CHUNK_KEYS).await.map_err(no_answer)?;
        let Some(last) = rows.last() else { return Ok(count) };
        after = Some(last.key.clone());
        count += rows.len() as u64;
    }
}
