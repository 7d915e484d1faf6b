//! `seamline ledger show|rotate`: the digest keys under which the records of a contract are summed, and others in their place.

use crate::exit::{Exit, unreachable};
use crate::opened::contract;
use crate::site::{Where, agents, block_on, no_answer};
use crate::terminal::{Format, Writing, columns, counted};
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::clock::SystemEntropy;
use seamline_agent::site::Site;
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::ContractRef;
use seamline_flow::audit::KEY_LOOKED_AT;
use seamline_flow::clock::Entropy;
use seamline_flow::digest_key::rotate::{Plan, Standing, plan, rotate, standings};
use seamline_flow::log::Log;
use seamline_flow::outlet::Outlet;
use serde_json::{Value, json};

/// What is done with the ledger of a contract.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Show(ShowArgs),
    Rotate(RotateArgs),
}

/// Shows under which digest keys the states of a contract are summed, since when and why. No key is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The contract: context/contract.
    contract: String,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Puts another digest key in the place of that of each topic of state of a contract, of its older majors and views, too.
///
/// The auditor reads the topics back anew by itself. Until a consumer has compared with `--repair`, link 2 says inconclusive for it,
/// and nothing else changes. It may be repeated after any end: what was interrupted goes on, and what was done for the same reason
/// is not done twice.
#[derive(Debug, clap::Args)]
pub(crate) struct RotateArgs {
    /// The contract: context/contract.
    contract: String,
    /// Why. It is kept beside the key.
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Runs the command.
///
/// # Errors
/// When there is no such contract, its context is not installed, or the log does not answer.
pub(crate) fn run(verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Show(args) => show(args),
        Verb::Rotate(args) => turn(args),
    }
}

/// The topics of state of a contract, and who reads them.
struct Topics {
    names: Vec<String>,
    consumers: Vec<String>,
}

/// Finds the topics of a contract. One that several databases publish has the same topics in each.
fn topics(site: &Site, agents: &[Agent], reference: &ContractRef) -> Result<Topics> {
    let name = &reference.name.contract;
    let outlets = agents.iter().filter_map(|agent| agent.outlets.as_ref()).flat_map(|outlets| outlets.all());
    let outlets: Vec<&Outlet> = outlets.filter(|outlet| &outlet.contract.name.contract == name).collect();
    let channels = outlets.iter().flat_map(|outlet| outlet.channels_of(ChannelKind::State));
    let mut names: Vec<String> = channels.map(|channel| channel.topic.clone()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        let help = "name a contract with a state: what has none is summed by nobody";
        return Err(unreachable(format!("no state of `{reference}` is published"), help));
    }
    let reads =
        site.estate.subscriptions.iter().filter(|it| it.contract.name == reference.name && it.into.is_some());
    let consumers = reads.map(|it| it.name.to_string()).collect();
    Ok(Topics { names, consumers })
}

fn show(args: &ShowArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let reference = contract(&site.estate, &args.contract)?;
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&reference.name.context)).await?;
        let topics = topics(&site, &agents, &reference)?;
        let standings = standings(agents[0].log.as_ref(), &topics.names).await.map_err(no_answer)?;
        if args.format == Format::Json {
            let topics: Vec<Value> = standings.iter().map(document).collect();
            println!(
                "{}",
                json!({ "schema": "seamline/ledger/v1", "contract": reference.to_string(), "topics": topics })
            );
            return Ok(Exit::Clean);
        }
        let row = |it: &Standing| {
            let why = it.rotation.as_ref().map(|it| format!("since {}: {}", it.at, it.because));
            vec![it.topic.clone(), format!("epoch {}", it.epoch), why.unwrap_or_default()]
        };
        print!("{}", columns(&standings.iter().map(row).collect::<Vec<_>>()));
        println!("next: seamline ledger rotate {reference} --because TEXT{}", args.place.arguments());
        Ok(Exit::Clean)
    })
}

fn document(standing: &Standing) -> Value {
    let rotation = standing.rotation.as_ref();
    json!({
        "topic": standing.topic,
        "epoch": standing.epoch,
        "since": rotation.map(|it| it.at.to_string()),
        "because": rotation.map(|it| it.because.clone()),
    })
}

fn turn(args: &RotateArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let reference = contract(&site.estate, &args.contract)?;
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&reference.name.context)).await?;
        let topics = topics(&site, &agents, &reference)?;
        let log = agents[0].log.as_ref();
        let before = standings(log, &topics.names).await.map_err(no_answer)?;
        let id: String = SystemEntropy.bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let plan = plan(&before, &id, &args.because, Timestamp::now());
        let text = args.writing.is_text();
        if text {
            for topic in &plan.left {
                println!("{}", said(topic, &plan, records(log, topic).await?));
            }
            print!("{}", around(&plan, &topics.consumers));
        }
        let agreed = !plan.left.is_empty() && args.writing.agreed("rotate?")?;
        if agreed {
            rotate(log, &SystemEntropy, &plan).await.map_err(no_answer)?;
        }
        let after = standings(log, &topics.names).await.map_err(no_answer)?;
        tell(args, &reference, &plan, &after, agreed, &topics.consumers);
        Ok(Exit::Clean)
    })
}

/// Returns how many offsets of a topic are read back anew at most.
async fn records<L: Log>(log: &L, topic: &str) -> Result<u64> {
    let mut records = 0;
    if let Some(topic) = log.topic(topic).await.map_err(no_answer)? {
        for partition in 0..topic.partitions {
            let ends = log.ends(&topic, partition).await.map_err(no_answer)?;
            records += ends.map_or(0, |(start, end)| end - start);
        }
    }
    Ok(records)
}

fn said(topic: &str, plan: &Plan, records: u64) -> String {
    let from = plan.rotation.from.get(topic).copied().unwrap_or_default();
    format!(
        "{topic}: epoch {from} → {}; its auditor notices within {} s and reads back at most {}",
        from + 1,
        KEY_LOOKED_AT.as_secs(),
        counted(records, "record")
    )
}

/// Says what is around a plan: why it is not a new one, and what becomes of consumers.
fn around(plan: &Plan, consumers: &[String]) -> String {
    let (at, because) = (plan.rotation.at, &plan.rotation.because);
    if plan.left.is_empty() {
        return format!("this was done at {at} for this reason: {because}\n");
    }
    let mut text = String::new();
    if plan.resumes {
        text += &format!("  this is what is left of a rotation that began at {at}: {because}\n");
    }
    for consumer in consumers {
        text += &format!(
            "  link 2 of {consumer} says inconclusive, from the first point under the new key until `seamline reconcile {consumer} --repair`\n"
        );
    }
    text += "  consumers in other estates do the same; rows, events and reactions stay as they are\n";
    text
}

fn tell(
    args: &RotateArgs,
    reference: &ContractRef,
    plan: &Plan,
    after: &[Standing],
    agreed: bool,
    consumers: &[String],
) {
    if !args.writing.is_text() {
        let topics: Vec<Value> = after.iter().map(document).collect();
        let document = json!({
            "schema": "seamline/rotation/v1",
            "contract": reference.to_string(),
            "because": plan.rotation.because,
            "resumes": plan.resumes,
            "planned": plan.left,
            "rotated": agreed,
            "topics": topics,
            "inconclusive": consumers,
        });
        println!("{document}");
        return;
    }
    let place = args.place.arguments();
    if agreed {
        println!("{} under another digest key", counted(plan.left.len() as u64, "topic"));
    } else {
        println!("nothing was written");
    }
    match consumers.first() {
        Some(consumer) if agreed => println!("next: seamline reconcile {consumer} --repair{place}"),
        _ => println!("next: seamline ledger show {reference}{place}"),
    }
}
