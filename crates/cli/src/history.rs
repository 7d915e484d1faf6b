//! `seamline replay SUB --yields auditState`: what happened to keys, event by event, written to a file.

use crate::exit::{Exit, unreachable, usage};
use crate::opened::subscription;
use crate::rehearse::{ReplayArgs, check_keys, key};
use crate::site::{agents, block_on, no_answer};
use crate::terminal::counted;
use anyhow::{Context, Result};
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::channel::{ChannelId, ChannelKind, Replay, generation_topic};
use seamline_contract::contract::Contract;
use seamline_contract::id::{ContractRef, Major};
use seamline_contract::subscription::Subscription;
use seamline_flow::history::{Asked, Counts, Past, Reading, What};
use seamline_flow::intake::Intake;
use seamline_flow::log::Log;
use seamline_flow::position::TopicIdentity;
use seamline_flow::sweep::Sweep;
use seamline_message::key::RecordKey;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many records are read at once.
const READ_MAX: usize = 500;

/// Runs the command.
///
/// # Errors
/// When there is no such subscription, the contract promises no history, or the file cannot be written.
pub(crate) fn history(site: &Site, args: &ReplayArgs) -> Result<Exit> {
    let found = subscription(&site.estate, &args.subscription)?;
    let into = file(args)?;
    if args.how.detach {
        let help = "leave `--detach` out: a history is read by this command, and writes to no database";
        return Err(usage("a history is no job", help));
    }
    let topic = topic(site, found, args.era.map(Major))?;
    let keys = args.keys.iter().map(|text| key(text)).collect::<Result<BTreeSet<String>>>()?;
    block_on(async {
        let agents = agents(site, std::slice::from_ref(&found.name.context)).await?;
        let reads = |agent: &Agent| agent.intakes.iter().position(|it| it.subscription == found.name);
        let Some((agent, at)) = agents.iter().find_map(|agent| Some((agent, reads(agent)?))) else {
            let message = format!("no database of `{}` keeps `{}`", found.name.context, found.name);
            return Err(unreachable(
                message,
                "look at the environment: it names the databases of the context",
            ));
        };
        let intake = &agent.intakes[at];
        check_keys(intake, &keys)?;
        check_era(intake, args.era.map(Major))?;
        let Some(identity) = agent.log.topic(&topic).await.map_err(no_answer)? else {
            let help = "nothing was published there, or the topic of an older major was removed";
            return Err(unreachable(format!("topic `{topic}` is not there"), help));
        };
        let keys = keys.iter().filter_map(|key| RecordKey::parse(key.as_bytes()).ok()).collect();
        let asked = Asked { keys, from: args.from, until: args.until, incarnation: args.incarnation };
        if args.how.writing.is_text() {
            plan(agent, &identity, args, &into).await?;
        }
        if !args.how.writing.agreed("read it?")? {
            match args.how.writing.is_text() {
                true => println!("nothing was written"),
                false => println!("{}", json!({ "schema": "seamline/history/v1", "file": null })),
            }
            return Ok(Exit::Clean);
        }
        let counts = read(agent, intake, &asked, &identity, (&into, args.how.rate)).await?;
        Ok(tell(args, &into, &counts))
    })
}

/// Returns the file to write, which must not be there.
fn file(args: &ReplayArgs) -> Result<PathBuf> {
    let Some(into) = args.into.clone() else {
        let message = "a table holds one row for each key: a history is written to a file";
        return Err(usage(message, "name it with `--into FILE`"));
    };
    if into.exists() {
        return Err(usage(format!("`{}` is there already", into.display()), "name another file"));
    }
    Ok(into)
}

/// Returns the topic whose history is asked for, where the contract promises one.
fn topic(site: &Site, found: &Subscription, era: Option<Major>) -> Result<String> {
    let reference = &found.contract;
    let contract = site.estate.contract(reference);
    let promised = contract.and_then(|it| it.guarantees.events.as_ref()).map(|events| events.replay);
    if promised < Some(Replay::AuditState) {
        let promised = promised.map_or_else(|| "nothing".to_owned(), |it| format!("`{it}`"));
        let message = format!("`{reference}` promises {promised} of a replay of its events");
        return Err(usage(message, "let the contract promise `replay: auditState` on its events"));
    }
    let has_events = |contract: &Contract| match &found.view {
        None => contract.events.is_some(),
        Some(view) => contract.view(view).is_some_and(|view| !view.events.is_empty()),
    };
    if !contract.is_some_and(has_events) {
        let message = format!("what `{}` reads has no events", found.name);
        return Err(usage(message, "ask for `--yields currentState`"));
    }
    let reference = ContractRef { name: reference.name.clone(), major: era.unwrap_or(reference.major) };
    let channel = ChannelId { view: found.view.clone(), kind: ChannelKind::Events };
    let generation = site.environment.generations_of(&reference).map_or(1, |it| it.read);
    Ok(generation_topic(&site.environment.topics, &reference, &channel, generation))
}

/// Refuses a major whose history the subscription's contract does not read.
pub(crate) fn check_era(intake: &Intake, era: Option<Major>) -> Result<()> {
    match era {
        Some(era) if era != intake.contract.major && !intake.eras.contains_key(&era) => {
            let message = format!("`{}` has no major {era} whose history it reads", intake.contract.name);
            Err(usage(message, "an older major is read by what `serves` says under `read`"))
        }
        Some(_) | None => Ok(()),
    }
}

async fn plan(agent: &Agent, topic: &TopicIdentity, args: &ReplayArgs, into: &Path) -> Result<()> {
    let mut offsets = 0;
    for partition in 0..topic.partitions {
        let ends = agent.log.ends(topic, partition).await.map_err(no_answer)?;
        offsets += ends.map_or(0, |(start, end)| end - start);
    }
    println!(
        "replay `{}`: the history in `{}` written to `{}`",
        args.subscription,
        topic.name,
        into.display()
    );
    println!(
        "  reads up to {} in {}",
        counted(offsets, "record"),
        counted(topic.partitions.into(), "partition")
    );
    if let Some(rate) = args.how.rate {
        println!("  at most {rate} in a second: in about {} s", offsets.div_ceil(rate.into()));
    }
    println!(
        "  the file holds values as they were sent: whoever reads it needs the purposes of the subscription"
    );
    println!("  writes to no database: no reaction fires again, and no other consumer notices");
    Ok(())
}

/// Reads the history into a file beside, which gets its name once it is whole.
async fn read(
    agent: &Agent,
    intake: &Intake,
    asked: &Asked,
    topic: &TopicIdentity,
    (into, rate): (&Path, Option<u32>),
) -> Result<Counts> {
    let mut beside = into.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let shown = beside.display().to_string();
    let file = File::create(&beside).with_context(|| format!("`{shown}` cannot be written"))?;
    let mut file = BufWriter::new(file);
    let mut reading = Reading::new(intake, asked);
    let limit = rate.map_or(READ_MAX, |rate| READ_MAX.min(rate.max(1) as usize));
    for partition in 0..topic.partitions {
        let mut sweep = Sweep::begin(agent.log.as_ref(), topic, partition).await.map_err(no_answer)?;
        while let Some(records) = sweep.next(agent.log.as_ref(), limit).await.map_err(no_answer)? {
            reading.expect(&records).await.map_err(no_answer)?;
            for past in records.iter().filter_map(|record| reading.take(record)) {
                writeln!(file, "{}", line(&past)).with_context(|| format!("`{shown}` cannot be written"))?;
            }
            if let Some(rate) = rate {
                let rest = records.len() as f64 / f64::from(rate.max(1));
                tokio::time::sleep(Duration::from_secs_f64(rest)).await;
            }
        }
    }
    let file = file.into_inner().with_context(|| format!("`{shown}` cannot be written"))?;
    file.sync_all().with_context(|| format!("`{shown}` cannot be written"))?;
    std::fs::rename(&beside, into).with_context(|| format!("`{}` cannot be written", into.display()))?;
    Ok(reading.counts())
}

/// Returns what happened as one line.
fn line(past: &Past) -> Value {
    let mut line = json!({
        "key": past.key.as_str(),
        "sequence": past.sequence.0.to_string(),
        "previous": past.previous.map(|previous| previous.0.to_string()),
        "incarnation": past.sequence.incarnation(),
        "written": past.written.to_string(),
        "version": past.version.to_string(),
    });
    match &past.what {
        What::Event(event, payload) => {
            line["event"] = json!(event.as_str());
            // What was decoded is JSON.
            line["payload"] = serde_json::from_slice(payload).unwrap_or(Value::Null);
        }
        What::Void => line["void"] = json!(true),
        What::Broken(violation) => line["broken"] = json!(violation.to_string()),
    }
    line
}

fn tell(args: &ReplayArgs, into: &Path, counts: &Counts) -> Exit {
    let exit = if counts.is_whole() { Exit::Clean } else { Exit::Inconclusive };
    let file = into.display().to_string();
    if !args.how.writing.is_text() {
        let document = json!({
            "schema": "seamline/history/v1", "file": file, "whole": counts.is_whole(), "events": counts.events,
            "voids": counts.voids, "keys": counts.keys, "broken": counts.broken, "midway": counts.midway,
            "gaps": counts.gaps, "foreign": counts.foreign,
        });
        println!("{document}");
        return exit;
    }
    println!("{} of {} are in `{file}`", counted(counts.events, "event"), counted(counts.keys, "key"));
    let found = [
        (counts.voids, "void", "stands for an event that was lost or given up"),
        (counts.midway, "key", "has older events that left the topic"),
        (counts.gaps, "event", "is missing in the chain of its key"),
        (counts.broken, "event", "breaks its contract, and is there without its values"),
        (counts.foreign, "record", "is nobody's, and was passed over"),
    ];
    for (count, what, why) in found.into_iter().filter(|(count, ..)| *count > 0) {
        println!("  {}: each {why}", counted(count, what));
    }
    match exit {
        Exit::Clean => println!("the history is whole"),
        _ => println!("the history is not whole"),
    }
    println!("next: seamline status{}", args.how.place.arguments());
    exit
}
