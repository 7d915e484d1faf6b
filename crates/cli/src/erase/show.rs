//! `seamline erase show`: how far erasures are, who has not confirmed yet, and the proof.

use crate::erase::affected::{affected, subjects};
use crate::erase::orders;
use crate::exit::{Exit, usage};
use crate::site::{Where, agents, block_on, contexts, no_answer};
use crate::terminal::{Format, columns, counted};
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use seamline_flow::erasure::{CopyProof, EraseOrders, Erasing, SourceProof};
use seamline_flow::job::orders::read_progress;
use seamline_flow::job::{Job, JobKind, JobStage, Jobs};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The erasure; all by default.
    erasure: Option<String>,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// An erasure, as far as it is seen from here.
struct Erasure {
    orders: EraseOrders,
    jobs: Vec<(ContextId, Job, Erasing)>,
    /// Contexts that are concerned, and where nobody asked for it or nobody here can look.
    unseen: Vec<ContextId>,
}

impl Erasure {
    fn is_done(&self) -> bool {
        self.unseen.is_empty() && self.jobs.iter().all(|(_, job, _)| job.stage == JobStage::Done)
    }

    fn stage(&self) -> &'static str {
        let is = |stage| self.jobs.iter().any(|(_, job, _)| job.stage == stage);
        match () {
            () if is(JobStage::Failed) => "failed",
            () if is(JobStage::Aborted) => "aborted",
            () if self.is_done() => "done",
            () => "open",
        }
    }
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &[])?;
    block_on(async {
        let agents = agents(&site, &contexts).await?;
        let mut all = erasures(&site, &agents).await?;
        if let Some(name) = &args.erasure {
            all.retain(|id, _| id == name);
            if all.is_empty() {
                let help = "`seamline erase show` lists all that are seen from here";
                return Err(usage(format!("there is no erasure `{name}`"), help));
            }
        }
        match (args.format, &args.erasure) {
            (Format::Json, Some(_)) => all.values().for_each(|it| println!("{}", document(it))),
            (Format::Json, None) => {
                let all: Vec<Value> = all.values().map(document).collect();
                println!("{}", json!({ "schema": "seamline/erasures/v1", "erasures": all }));
            }
            (Format::Text, Some(_)) => all.values().for_each(|it| print(&site, it)),
            (Format::Text, None) => list(&all),
        }
        if args.format == Format::Text {
            let open = all.iter().find(|(_, it)| !it.is_done()).map(|(id, _)| id);
            let place = args.place.arguments();
            match open {
                Some(id) => println!("next: seamline erase show {id}{place}"),
                None => println!("next: seamline reconcile{place}"),
            }
        }
        Ok(if all.values().all(Erasure::is_done) { Exit::Clean } else { Exit::Inconclusive })
    })
}

/// Returns the erasures that are seen from here, by name: of each context the last job.
async fn erasures(site: &Site, agents: &[Agent]) -> Result<BTreeMap<String, Erasure>> {
    let mut all: BTreeMap<String, Erasure> = BTreeMap::new();
    for agent in agents {
        let mut last: BTreeMap<String, (EraseOrders, Job)> = BTreeMap::new();
        for job in agent.database.jobs(true).await.map_err(no_answer)? {
            if let Some(orders) = orders(&job).filter(|_| job.filed.kind == JobKind::Erase) {
                last.insert(orders.id.clone(), (orders, job));
            }
        }
        for (id, (orders, job)) in last {
            let at = read_progress::<Erasing>(&job.progress).unwrap_or_default();
            let erasure = all.entry(id);
            let erasure = erasure.or_insert_with(|| Erasure { orders, jobs: Vec::new(), unseen: Vec::new() });
            erasure.jobs.push((agent.context.clone(), job, at));
        }
    }
    let subjects = subjects(site);
    for erasure in all.values_mut() {
        let seen: BTreeSet<&ContextId> = erasure.jobs.iter().map(|(context, ..)| context).collect();
        let Some(of) = subjects.iter().find(|of| of.to_string() == erasure.orders.of) else { continue };
        let concerned = affected(site, of).contexts();
        erasure.unseen = concerned.into_iter().filter(|context| !seen.contains(context)).collect();
    }
    Ok(all)
}

fn list(all: &BTreeMap<String, Erasure>) {
    let row = |(id, it): (&String, &Erasure)| {
        let since = it.jobs.iter().map(|(_, job, _)| job.since).min();
        let since = since.map(|since| since.to_string()).unwrap_or_default();
        vec![id.clone(), it.stage().to_owned(), since, it.orders.of.clone(), it.orders.reason.clone()]
    };
    print!("{}", columns(&all.iter().map(row).collect::<Vec<_>>()));
    println!("{}", counted(all.len() as u64, "erasure"));
}

fn print(site: &Site, it: &Erasure) {
    println!("erasure {}: {}", it.orders.id, it.stage());
    println!("  of one subject by {}, asked for by {}: {}", it.orders.of, it.orders.by, it.orders.reason);
    for (context, job, at) in &it.jobs {
        println!("  {context}/{}: {}, begun {}", job.id, job.stage.word(), job.since);
        for (contract, proof) in &at.sources {
            println!("    {contract}: {}", source(proof));
            for (topic, at) in &proof.topics {
                let leaves = match at.leaves {
                    _ if at.sealed => {
                        let when = proof.unsealable.map(|at| at.to_string()).unwrap_or_default();
                        format!("what is personal in it is nobody's to read since {when}")
                    }
                    Some(_) | None if site.is_embedded() => {
                        "the embedded log removes nothing by itself".to_owned()
                    }
                    Some(by) => format!("what was written before has left it by {by}"),
                    None => "what was written before stays in it".to_owned(),
                };
                println!("      {topic} up to {}: {leaves}", positions(&at.ends));
            }
        }
        for (subscription, proof) in &at.copies {
            println!("    {subscription}: {}", copy(proof));
        }
        for why in job.note.split("; ").filter(|why| !why.is_empty()) {
            println!("    waits: {why}");
        }
    }
    for context in &it.unseen {
        println!("  {context}: not seen from here; `seamline erase SUBJECT --id {}` asks it", it.orders.id);
    }
}

fn source(proof: &SourceProof) -> String {
    let keys = counted(proof.keys, "key");
    let given_up = counted(proof.quarantine, "row");
    match (proof.done, proof.after) {
        (Some(done), _) => format!("{keys} published once more, {given_up} given up in quarantine, {done}"),
        (None, Some(_)) => format!("{keys} on their way to the log"),
        (None, None) => format!("{keys} not erased at the source yet"),
    }
}

fn copy(proof: &CopyProof) -> String {
    let Some(done) = proof.done else { return "has not confirmed".to_owned() };
    let read: Vec<String> =
        proof.positions.iter().map(|(topic, at)| format!("{topic} up to {}", positions(at))).collect();
    let (aside, inbox) = (counted(proof.quarantine, "record"), counted(proof.inbox, "row"));
    format!(
        "confirmed {done}, having read {}; {aside} gone from quarantine, {inbox} from the inbox",
        read.join(", ")
    )
}

/// Returns positions as `partition:offset`.
fn positions(at: &BTreeMap<u32, u64>) -> String {
    let at = at.iter().filter(|(_, offset)| **offset > 0);
    let at: Vec<String> = at.map(|(partition, offset)| format!("{partition}:{offset}")).collect();
    if at.is_empty() { "its beginning".to_owned() } else { at.join(" ") }
}

fn document(it: &Erasure) -> Value {
    let jobs: Vec<Value> = it
        .jobs
        .iter()
        .map(|(context, job, at)| {
            json!({
                "job": format!("{context}/{}", job.id),
                "stage": job.stage.word(),
                "since": job.since.to_string(),
                "changed": job.changed.to_string(),
                "waits": job.note,
                "sources": at.sources,
                "copies": at.copies,
            })
        })
        .collect();
    let unseen: Vec<String> = it.unseen.iter().map(ToString::to_string).collect();
    json!({
        "schema": "seamline/erasure/v1",
        "erasure": it.orders.id,
        "stage": it.stage(),
        "of": it.orders.of,
        "by": it.orders.by,
        "reason": it.orders.reason,
        "jobs": jobs,
        "unseen": unseen,
    })
}
