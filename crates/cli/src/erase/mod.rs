//! `seamline erase SUBJECT`: the personal data of one subject leaves what Seamline keeps, in every context that has it.

mod affected;
mod plan;
mod show;

use crate::erase::affected::{Affected, affected};
use crate::exit::{Exit, unreachable, usage};
use crate::nearest::instead;
use crate::site::{Where, agents, block_on, no_answer};
use crate::terminal::Writing;
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::clock::SystemEntropy;
use seamline_agent::site::Site;
use seamline_contract::id::{AttributeIdentity, ContextId};
use seamline_flow::clock::Entropy;
use seamline_flow::erasure::{EraseOrders, ErasureId, Held, KEYS, Subject, find};
use seamline_flow::job::orders::{read, write};
use seamline_flow::job::{Filed, Job, JobKind, Jobs, NewJob, Part};
use seamline_flow::stop;
use seamline_message::key::RecordKey;
use std::collections::{BTreeMap, BTreeSet};

/// The keys of a subject by contract, `context/contract`, with what the source held of each.
type Keys = BTreeMap<String, BTreeMap<String, Held>>;

/// Erases the personal data of a subject in all contexts: after its services erased, and until each consumer has confirmed.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Who: a value of the attribute that contracts name as their `subject`.
    #[arg(required = true)]
    subject: Option<String>,
    /// The attribute that names the subject: context/contract.attribute. Needed where contracts name several.
    #[arg(long, value_name = "ATTRIBUTE")]
    of: Option<String>,
    /// Why, for the proof. It is kept: name nobody in it.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Who asks for it, for the proof; the user of the system by default.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// The services erased before: what their tables hold now is what stays.
    #[arg(long)]
    source_erased: bool,
    /// The name of the erasure, where it was begun in another environment.
    #[arg(long, value_name = "ERASURE")]
    id: Option<String>,
    /// Only in these contexts: others are asked by who can reach them.
    #[arg(long = "in", value_name = "CONTEXT")]
    only: Vec<String>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// What is asked of erasures.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Shows erasures, or one of them: the proof, and who has not confirmed yet.
    Show(show::Args),
}

/// Runs the command.
///
/// # Errors
/// When nothing of the subject is found, or a context cannot be reached.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    match &args.verb {
        Some(Verb::Show(args)) => show::run(args),
        None => erase(args),
    }
}

fn erase(args: &Args) -> Result<Exit> {
    let site = args.place.site()?;
    let subject = args.subject.clone().unwrap_or_default();
    let of = identity(&site, args.of.as_deref())?;
    let affected = affected(&site, &of);
    let contexts = scope(&site, &affected, &args.only)?;
    block_on(async {
        let agents = agents(&site, &contexts).await?;
        whole(&agents, &of)?;
        let id = named(&agents, &of, &subject, args.id.as_deref()).await?;
        let mut keys = keys(&agents, &of, &subject, &id).await?;
        if args.source_erased {
            keys.values_mut().flat_map(BTreeMap::values_mut).for_each(|held| held.values.clear());
        }
        let n_keys: usize = keys.values().map(BTreeMap::len).sum();
        if n_keys == 0 {
            let help = "look at how it is written; it is a value as it stands in keys and messages";
            return Err(usage(format!("nothing of this subject is found by `{of}`"), help));
        }
        let plan = plan::Plan { site: &site, of: &of, id: &id, affected: &affected, contexts: &contexts };
        if args.writing.is_text() {
            plan.print(&agents, &keys).await?;
        }
        let agreed = args.writing.agreed("begin it?")?;
        let mut jobs = Vec::new();
        if agreed {
            let user = || std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
            let by = args.by.clone().unwrap_or_else(user);
            let reason = args.reason.clone().unwrap_or_default();
            let orders = EraseOrders::new(&id, &of, &by, &reason, args.source_erased);
            for agent in &agents {
                jobs.extend(filed(agent, &orders, &subject, &keys).await?);
                stop::here("erase-filed");
            }
        }
        plan.tell(&agents, &keys, &jobs, &args.writing, &args.place.arguments()).await?;
        Ok(Exit::Clean)
    })
}

/// Returns the attribute that names the subject.
fn identity(site: &Site, said: Option<&str>) -> Result<AttributeIdentity> {
    let known = affected::subjects(site);
    let names: Vec<String> = known.iter().map(ToString::to_string).collect();
    match (said, known.as_slice()) {
        (_, []) => Err(usage(
            "no contract with personal data names its subject",
            "write `subject: ATTRIBUTE` into the contract: the attribute that says whose data a record is",
        )),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(usage(
            format!("contracts name several subjects: {}", names.join(", ")),
            "say which with `--of`",
        )),
        (Some(said), known) => known
            .iter()
            .find(|it| it.to_string() == said)
            .cloned()
            .ok_or_else(|| usage(format!("no contract has the subject `{said}`"), instead(said, &names))),
    }
}

/// Returns the contexts in which it is to be done here.
fn scope(site: &Site, affected: &Affected, only: &[String]) -> Result<Vec<ContextId>> {
    let here = affected.here(site);
    if only.is_empty() {
        return Ok(here);
    }
    let mut contexts = Vec::new();
    for name in only {
        let context = crate::opened::context(&site.estate, name)?;
        if !here.contains(&context) {
            let names: Vec<String> = here.iter().map(ToString::to_string).collect();
            return Err(usage(format!("`{context}` has nothing of it"), instead(name, &names)));
        }
        contexts.push(context);
    }
    Ok(contexts)
}

/// Refuses contracts whose rows are in several databases: none of them knows when all have erased.
fn whole(agents: &[Agent], of: &AttributeIdentity) -> Result<()> {
    let outlets = agents.iter().flat_map(|agent| agent.outlets.iter().map(move |it| (agent, it)));
    for (agent, outlet) in outlets.flat_map(|(agent, outlets)| outlets.iter().map(move |it| (agent, it))) {
        if outlet.codec.contract().subject() == Some(of) && !agent.has_all_of(&outlet.contract.name.contract)
        {
            let message = format!("`{}` is published from several databases", outlet.contract);
            let help = "erase its keys by hand, and publish them again: this version cannot follow them";
            return Err(unreachable(message, help));
        }
    }
    Ok(())
}

/// Returns the name of the erasure: that of the one which is open, else as said, else a new one.
async fn named(
    agents: &[Agent],
    of: &AttributeIdentity,
    subject: &str,
    said: Option<&str>,
) -> Result<ErasureId> {
    if let Some(said) = said {
        let id: ErasureId = said.parse().map_err(|error| {
            usage(format!("`{said}` is {error}"), "copy it from `seamline erase show`, where it was begun")
        })?;
        if !id.is_of(of, subject) {
            let message = format!("`{said}` is the erasure of another subject");
            return Err(usage(message, "look at how the subject is written"));
        }
        return Ok(id);
    }
    for agent in agents {
        for job in agent.jobs().await.map_err(no_answer)? {
            let open = orders(&job).and_then(|orders| orders.id.parse::<ErasureId>().ok());
            if let Some(id) = open.filter(|id| id.is_of(of, subject)) {
                return Ok(id);
            }
        }
    }
    Ok(ErasureId::new(of, subject, SystemEntropy.bytes()))
}

/// Returns the orders of an erasure; none where a job is none.
fn orders(job: &Job) -> Option<EraseOrders> {
    (job.filed.kind == JobKind::Erase).then(|| read(&job.filed.orders).ok())?
}

/// Returns the keys of the subject in each contract. Those that are published from here are asked of their sources and of what
/// the log still holds, others of the log alone.
async fn keys(agents: &[Agent], of: &AttributeIdentity, subject: &str, id: &ErasureId) -> Result<Keys> {
    let mut keys = Keys::new();
    for agent in agents {
        for outlet in agent.outlets.iter().flat_map(|outlets| outlets.iter()) {
            let contract = outlet.codec.contract();
            let Some(name) = contract.contract.subject.as_ref().filter(|_| contract.subject() == Some(of))
            else {
                continue;
            };
            let mut found = match find::key_itself(contract, subject) {
                Some(key) => BTreeSet::from([key]),
                None => find::at_source(&agent.database, outlet, subject).await.map_err(no_answer)?,
            };
            for channel in outlet.channels.iter().filter(|_| find::key_itself(contract, subject).is_none()) {
                let log = agent.log.as_ref();
                let logged = find::in_log(log, &channel.topic, name, subject).await.map_err(no_answer)?;
                found.extend(logged);
            }
            let held = find::held(&agent.database, outlet, id, &found).await.map_err(no_answer)?;
            keys.insert(outlet.contract.name.to_string(), held);
        }
    }
    let published: BTreeSet<String> = keys.keys().cloned().collect();
    for agent in agents {
        for intake in &agent.intakes {
            let (contract, name) = (intake.codec.contract(), intake.contract.name.to_string());
            let Some(of) = contract.contract.subject.as_ref().filter(|_| contract.subject() == Some(of))
            else {
                continue;
            };
            if published.contains(&name) {
                continue;
            }
            let mut found: BTreeSet<RecordKey> = find::key_itself(contract, subject).into_iter().collect();
            let state = intake.state.as_ref().map(|state| &state.topic);
            let events = intake.events.as_ref().map(|events| &events.topic);
            for topic in state.into_iter().chain(events) {
                let log = agent.log.as_ref();
                found.extend(find::in_log(log, topic, of, subject).await.map_err(no_answer)?);
            }
            let found = found.into_iter().map(|key| (key.as_str().to_owned(), Held::default()));
            keys.entry(name).or_default().extend(found);
        }
    }
    Ok(keys)
}

/// Files the erasure in one database, with the keys that concern it. Returns what it is called there; none where nothing concerns it.
async fn filed(agent: &Agent, orders: &EraseOrders, subject: &str, keys: &Keys) -> Result<Option<String>> {
    let outlets = agent.outlets.iter().flat_map(|outlets| outlets.iter());
    let published = outlets.filter(|it| orders.is_for_outlet(it)).map(|it| it.contract.name.to_string());
    let kept = agent.intakes.iter().filter(|it| orders.is_for_intake(it));
    let names: BTreeSet<String> = published.chain(kept.map(|it| it.contract.name.to_string())).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let ours = keys.iter().filter(|(name, _)| names.contains(*name));
    let subject = Subject::of(subject, ours.map(|(name, keys)| (name.clone(), keys.clone())).collect());
    let new =
        NewJob { kind: JobKind::Erase, subject: format!("erasure/{}", orders.id), orders: write(orders) };
    let filed = Jobs::file(&agent.database, &new, Timestamp::now()).await.map_err(no_answer)?;
    let (Filed::New(id) | Filed::Busy(id)) = filed;
    stop::here("erase-numbered");
    // Where it was filed before, perhaps by a command that was ended before it said which keys: the first word counts.
    let part = Part { part: KEYS, turn: 0, progress: write(&subject) };
    agent.database.change_part(id, &part).await.map_err(no_answer)?;
    Ok(Some(format!("{}/{id}", agent.context)))
}

/// Forgets the keys of an erasure that was ended.
///
/// # Errors
/// The database's.
pub(crate) async fn forget(agent: &Agent, job: &Job) -> Result<()> {
    let parts = agent.database.parts(job.id).await.map_err(no_answer)?;
    for part in parts.into_iter().filter(|part| part.part == KEYS) {
        let empty = Part { progress: String::new(), ..part };
        agent.database.change_part(job.id, &empty).await.map_err(no_answer)?;
    }
    Ok(())
}
