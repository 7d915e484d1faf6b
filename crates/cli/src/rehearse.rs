//! `seamline rehearse|bootstrap|replay SUB`: a projection derived anew from the log, compared, and merged where that is asked.

use crate::exit::{Exit, unreachable, usage};
use crate::history::{check_era, history};
use crate::job::follow::{Hands, exit, file, follow, left};
use crate::job::tell;
use crate::opened::subscription;
use crate::site::{Where, agents, block_on, no_answer};
use crate::terminal::{Writing, counted};
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::channel::Replay;
use seamline_contract::id::{Major, SubscriptionRef};
use seamline_contract::subscription::Role;
use seamline_flow::intake::{Intake, StateLane};
use seamline_flow::job::orders::{RehearseOrders, write};
use seamline_flow::job::{JobKind, Jobs, NewJob};
use seamline_flow::log::{Fetched, Log};
use seamline_flow::store::Store;
use seamline_message::key::RecordKey;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How many records are read to estimate what all of them take.
const SAMPLE: usize = 512;

/// Derives a projection anew from the log, beside the one in use, and compares the two.
///
/// Without `--merge` nothing of the projection is written. What differs exits 3; what could not be concluded, 6.
#[derive(Debug, clap::Args)]
pub(crate) struct RehearseArgs {
    /// The subscription: context/subscription.
    subscription: String,
    /// Merge what differs. Keys that change meanwhile stay as they are.
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    how: How,
}

/// Brings a consumer to what the log says: a new one, or one whose position is gone or in another topic.
///
/// Readers go on reading its table, which is never empty. No reaction fires again.
#[derive(Debug, clap::Args)]
pub(crate) struct BootstrapArgs {
    /// The subscription: context/subscription.
    subscription: String,
    #[command(flatten)]
    how: How,
}

/// Derives some keys of a projection anew from the log, and merges them; with `--yields auditState` writes their history to a file.
///
/// No reaction fires again, and no other consumer notices.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// The subscription: context/subscription.
    pub(crate) subscription: String,
    /// A key, as its text, or as JSON such as `["P-1","2"]` where it has parts; may be repeated.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Only keys whose last record was written at this moment or later; of a history only what was.
    #[arg(long, value_name = "MOMENT")]
    pub(crate) from: Option<jiff::Timestamp>,
    /// Only keys whose last record was written before this moment; of a history only what was.
    #[arg(long, value_name = "MOMENT")]
    pub(crate) until: Option<jiff::Timestamp>,
    /// Only keys whose last record was written under this major; of a history, the topic of this major.
    #[arg(long, value_name = "MAJOR")]
    pub(crate) era: Option<u32>,
    /// Of a history: only what was written in this incarnation of its source.
    #[arg(long, value_name = "N")]
    pub(crate) incarnation: Option<u16>,
    /// Of a history: the file that it is written to, a line for each event.
    #[arg(long, value_name = "FILE")]
    pub(crate) into: Option<std::path::PathBuf>,
    /// What it must yield; refused where the contract promises less.
    #[arg(long, value_enum, default_value = "currentState")]
    yields: Yields,
    #[command(flatten)]
    pub(crate) how: How,
}

/// What a replay is to yield.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Yields {
    /// Each key as it was at each change.
    #[value(name = "auditState")]
    AuditState,
    /// Each key as it is now.
    #[value(name = "currentState")]
    CurrentState,
    /// Whatever is left.
    #[value(name = "bestEffort")]
    BestEffort,
}

/// How a job is done.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
    /// At most so many records and rows in a second; merging, of each partition.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// File the job, and do not follow it.
    #[arg(long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) place: Where,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// Runs `rehearse`.
///
/// # Errors
/// When there is no such subscription, or its context is not installed.
pub(crate) fn rehearse(args: &RehearseArgs) -> Result<Exit> {
    let site = args.how.place.site()?;
    let name = projected(&site, &args.subscription)?;
    run(&site, &name, JobKind::Rehearse, &args.how, |intake| {
        Ok(RehearseOrders::all(&intake.translation, args.merge, args.how.rate))
    })
}

/// Runs `bootstrap`.
///
/// # Errors
/// As for `rehearse`.
pub(crate) fn bootstrap(args: &BootstrapArgs) -> Result<Exit> {
    let site = args.how.place.site()?;
    let name = projected(&site, &args.subscription)?;
    run(&site, &name, JobKind::Bootstrap, &args.how, |intake| {
        Ok(RehearseOrders::all(&intake.translation, true, args.how.rate))
    })
}

/// Runs `replay`.
///
/// # Errors
/// As for `rehearse`, and when the contract promises less than is asked for.
pub(crate) fn replay(args: &ReplayArgs) -> Result<Exit> {
    let site = args.how.place.site()?;
    if args.from.zip(args.until).is_some_and(|(from, until)| from >= until) {
        return Err(usage("no moment lies between `--from` and `--until`", "name the earlier one first"));
    }
    if args.yields == Yields::AuditState {
        return history(&site, args);
    }
    if args.into.is_some() || args.incarnation.is_some() {
        let help = "add `--yields auditState`, or leave `--into` and `--incarnation` out";
        return Err(usage("`--into` and `--incarnation` are of a history", help));
    }
    let name = projected(&site, &args.subscription)?;
    if args.keys.is_empty() && args.from.is_none() && args.until.is_none() && args.era.is_none() {
        let help = format!(
            "add `--key`, `--from`, `--until` or `--era`; all keys: `seamline rehearse {name} --merge`"
        );
        return Err(usage("it is not said what is to be replayed", help));
    }
    check_yields(&site, &name, args.yields)?;
    let keys = args.keys.iter().map(|text| key(text)).collect::<Result<BTreeSet<String>>>()?;
    run(&site, &name, JobKind::Replay, &args.how, |intake| {
        check_keys(intake, &keys)?;
        check_era(intake, args.era.map(Major))?;
        let orders = RehearseOrders::all(&intake.translation, true, args.how.rate);
        Ok(orders.narrowed(keys, args.from, args.until).of_era(args.era))
    })
}

/// Refuses keys that are none of the contract's.
pub(crate) fn check_keys(intake: &Intake, keys: &BTreeSet<String>) -> Result<()> {
    for key in keys.iter().filter_map(|key| RecordKey::parse(key.as_bytes()).ok()) {
        intake.codec.key_values(&key).map_err(|violation| {
            let message = format!("{key} is no key of `{}`: {violation}", intake.contract);
            usage(message, "write a key with parts as JSON, such as `[\"P-1\",\"2\"]`")
        })?;
    }
    Ok(())
}

/// Returns the canonical text of a key as it is given.
pub(crate) fn key(text: &str) -> Result<String> {
    if !text.starts_with('[') {
        return Ok(RecordKey::from_texts(&[text.to_owned()]).as_str().to_owned());
    }
    let key = RecordKey::parse(text.as_bytes());
    let help = "write it as `seamline reconcile` prints it, such as `[\"P-1\",\"2\"]`";
    Ok(key.map_err(|_| usage(format!("`{text}` is no key"), help))?.as_str().to_owned())
}

/// Returns a subscription that keeps a table which the log alone decides.
fn projected(site: &Site, text: &str) -> Result<SubscriptionRef> {
    let found = subscription(&site.estate, text)?;
    let name = found.name.clone();
    if found.projection().is_none() {
        let help = "it only reacts: what it reacted to is in its inbox, and never fires again";
        return Err(usage(format!("`{name}` keeps no table"), help));
    }
    match found.role {
        Role::Projection | Role::Derived => Ok(name),
        Role::Cache | Role::Interpretation => {
            let message = format!("the rows of `{name}` are its own: the log does not decide what they hold");
            Err(usage(message, "let the service that owns them write them anew"))
        }
    }
}

/// Refuses what the contract does not promise of its state.
fn check_yields(site: &Site, name: &SubscriptionRef, yields: Yields) -> Result<()> {
    let Some(subscription) = site.estate.subscription(name) else { return Ok(()) };
    let contract = site.estate.contract(&subscription.contract);
    let promised = contract.and_then(|it| it.guarantees.state.as_ref()).map(|state| state.replay);
    match yields {
        Yields::BestEffort => Ok(()),
        Yields::CurrentState if promised >= Some(Replay::CurrentState) => Ok(()),
        Yields::CurrentState => {
            let promised = promised.map_or_else(|| "nothing".to_owned(), |it| format!("`{it}`"));
            let message = format!("`{}` promises {promised} of a replay of its state", subscription.contract);
            Err(usage(message, "ask for `--yields bestEffort`, or let the contract promise more"))
        }
        Yields::AuditState => Ok(()),
    }
}

fn run(
    site: &Site,
    name: &SubscriptionRef,
    kind: JobKind,
    how: &How,
    orders: impl FnOnce(&Intake) -> Result<RehearseOrders>,
) -> Result<Exit> {
    let place = how.place.arguments();
    block_on(async {
        let agents = agents(site, std::slice::from_ref(&name.context)).await?;
        let found = agents.iter().enumerate().find_map(|(at, agent)| {
            Some((at, agent.intakes.iter().find(|intake| &intake.subscription == name)?))
        });
        let Some((at, intake)) = found else {
            let help = "look at the environment: it names the databases of the context";
            return Err(unreachable(format!("no database of `{}` keeps `{name}`", name.context), help));
        };
        let orders = orders(intake)?;
        let Some(state) = &intake.state else { return Ok(Exit::Clean) };
        check_places(site, &agents[at], state, name, &place).await?;
        if how.writing.is_text() {
            plan(&agents[at], intake, state, kind, &orders).await?;
        }
        // One that only compares writes nothing that anybody reads.
        let agreed = if orders.merge { how.writing.agreed("do it?")? } else { !how.writing.dry_run };
        if !agreed {
            match how.writing.is_text() {
                true => println!("nothing was written"),
                false => println!(
                    "{}",
                    json!({ "schema": "seamline/job/v1", "job": null, "orders": write(&orders) })
                ),
            }
            return Ok(Exit::Clean);
        }
        let new = NewJob { kind, subject: name.to_string(), orders: write(&orders) };
        let id = file(&agents[at], &new, &place).await?;
        follow_to_its_end(&agents, at, id, orders.merge, how).await
    })
}

/// Refuses a job that could not be worked: its topic is not there, or the table is another than the estate's.
///
/// # Errors
/// With what mends it.
async fn check_places(
    site: &Site,
    agent: &Agent,
    state: &StateLane,
    name: &SubscriptionRef,
    place: &str,
) -> Result<()> {
    if agent.log.topic(&state.topic).await.map_err(no_answer)?.is_none() {
        let owner = site.estate.subscription(name).map(|it| it.contract.name.context.to_string());
        let owner = owner.unwrap_or_else(|| "OWNER".to_owned());
        let help = format!(
            "its owner makes it: `seamline install {owner}{place}`, and an agent of `{owner}` fills it"
        );
        return Err(unreachable(format!("the topic `{}` is not there", state.topic), help));
    }
    if let Err(error) = agent.database.rows(&state.projection, None, 1).await {
        let message = format!("`{}` cannot be read as `{name}` says: {error}", state.projection.table);
        let help = format!(
            "a column that is new is made by `seamline install {}{place}`; who reads the table goes on",
            name.context
        );
        return Err(unreachable(message, help));
    }
    Ok(())
}

async fn follow_to_its_end(agents: &[Agent], at: usize, id: u64, merge: bool, how: &How) -> Result<Exit> {
    let (context, place) = (&agents[at].context, how.place.arguments());
    let shown = format!("{context}/{id}");
    let text = how.writing.is_text();
    if text {
        println!("job {shown} is filed; Ctrl-C leaves it at work");
    }
    if how.detach {
        match text {
            true => println!("next: seamline job show {shown}{place}"),
            false => println!("{}", json!({ "schema": "seamline/job/v1", "job": shown })),
        }
        return Ok(Exit::Clean);
    }
    let hands = if merge { Hands::Context } else { Hands::Job };
    let job = follow(agents, at, id, hands, text).await?;
    match (text, job.stage.is_over()) {
        (false, _) => println!("{}", tell::whole_document(context, &job)),
        (true, true) => tell::print(context, &job, &place),
        (true, false) => left(&job, &shown, context.as_str(), &place),
    }
    Ok(exit(&job))
}

/// Says what would be done, whom it touches, and what it will not do.
async fn plan(
    agent: &Agent,
    intake: &Intake,
    state: &StateLane,
    kind: JobKind,
    orders: &RehearseOrders,
) -> Result<()> {
    let (name, table) = (&intake.subscription, &state.projection.table);
    println!("{} `{name}`: `{}` read anew into table `{table}`", kind.word(), state.topic);
    let Some(size) = size(agent, state).await? else { return Ok(()) };
    let took = match orders.rate {
        Some(rate) => size.offsets as f64 / f64::from(rate),
        None => size.seconds,
    };
    println!(
        "  reads up to {} records in {}, about {} KiB, in about {:.0} s",
        size.offsets,
        counted(size.partitions, "partition"),
        size.bytes / 1024,
        took.ceil()
    );
    let known = agent.database.translation(&name.to_string()).await.map_err(no_answer)?;
    if known.as_ref().is_some_and(|known| *known != intake.translation) {
        print_translation(&known.unwrap_or_default(), &intake.translation);
    }
    if orders.is_partial() {
        println!("  only the keys and the time that were asked for; all others stay as they are");
    }
    if orders.merge {
        println!(
            "  touches the readers of `{table}`: rows that differ change, are added or removed; it is never empty"
        );
        println!("  keys that change meanwhile stay as they are; live reading goes on");
    } else {
        println!("  touches nobody: no row of `{table}` is written");
    }
    println!("  no reaction fires again, and no other consumer notices");
    Ok(())
}

/// Says which columns are made otherwise than those of the rows that are there.
fn print_translation(known: &str, wanted: &str) {
    println!("  the translation is another than that of the rows:");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let (known, wanted) = (lines(known), lines(wanted));
    known.difference(&wanted).for_each(|line| println!("    - {line}"));
    wanted.difference(&known).for_each(|line| println!("    + {line}"));
}

/// How much there is to read.
struct Size {
    offsets: u64,
    partitions: u64,
    bytes: u64,
    seconds: f64,
}

/// Estimates from some records what all of them take.
async fn size(agent: &Agent, state: &StateLane) -> Result<Option<Size>> {
    let Some(topic) = agent.log.topic(&state.topic).await.map_err(no_answer)? else { return Ok(None) };
    let mut size = Size { offsets: 0, partitions: topic.partitions.into(), bytes: 0, seconds: 0.0 };
    let (mut sampled, mut bytes, mut took) = (0_u64, 0_usize, Duration::ZERO);
    for partition in 0..topic.partitions {
        let found = agent.log.ends(&topic, partition).await.map_err(no_answer)?;
        let Some((start, end)) = found else { continue };
        size.offsets += end - start;
        if sampled >= SAMPLE as u64 {
            continue;
        }
        let began = Instant::now();
        let fetched = agent.log.fetch(&topic, partition, start, SAMPLE).await.map_err(no_answer)?;
        if let Fetched::Records(fetch) = fetched {
            took += began.elapsed();
            sampled += fetch.records.len() as u64;
            let weigh = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
            bytes += fetch.records.iter().map(|it| weigh(&it.key) + weigh(&it.value)).sum::<usize>();
        }
    }
    /// Reading is the smaller part: rows are decoded, written and compared beside.
    const TIMES: f64 = 4.0;
    if sampled > 0 {
        let share = size.offsets as f64 / sampled as f64;
        size.bytes = (bytes as f64 * share) as u64;
        size.seconds = took.as_secs_f64() * share * TIMES;
    }
    Ok(Some(size))
}
