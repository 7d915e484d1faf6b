//! `seamline backfill CONTRACT`: every key's current state goes through the outbox once more.

use crate::exit::{Exit, unreachable, usage};
use crate::opened::contract;
use crate::site::{Where, agents, block_on, no_answer};
use crate::terminal::Writing;
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::database::Database;
use seamline_contract::contract::Contract;
use seamline_contract::id::ContractId;
use seamline_flow::backfill::{CHUNK_KEYS, Progress, backfill};
use seamline_flow::source::Source;
use seamline_message::key::RecordKey;
use serde_json::json;

/// Publishes the current state of every key of a contract, in chunks, through the outbox of its context.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The contract: context/contract.
    contract: String,
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
            |agent: &&Agent| agent.outlets.as_ref().is_some_and(|outlets| outlets.get(contract).is_some());
        let publishing: Vec<&Agent> = agents.iter().filter(publishes).collect();
        let mut rows = 0;
        for agent in &publishing {
            rows += count(&agent.database, contract).await?;
        }
        let text = args.writing.is_text();
        if text {
            println!("{rows} rows of {reference} would be published, {CHUNK_KEYS} in a transaction");
        }
        let agreed = args.writing.agreed("publish them?")?;
        let mut written = 0;
        for agent in publishing.iter().filter(|_| agreed) {
            written += publish(&agent.database, contract).await?;
        }
        if text {
            let said = if agreed {
                format!("{written} rows are in the outbox")
            } else {
                "nothing was written".to_owned()
            };
            println!("{said}; the agent of `{context}` carries on what is there");
            println!("next: seamline agent {context} --until-idle{place}");
        } else {
            let schema = "seamline/backfill/v1";
            let document = json!({ "schema": schema, "contract": reference.to_string(), "rows": rows, "written": written });
            println!("{document}");
        }
        Ok(Exit::Clean)
    })
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

/// Publishes all there is. Returns how many outbox rows were written.
async fn publish(database: &Database, contract: &ContractId) -> Result<u64> {
    let mut progress = Progress::default();
    while !progress.done {
        progress = backfill(database, contract, &progress).await.map_err(no_answer)?;
    }
    Ok(progress.rows)
}
