//! `seamline reconcile [SUB|CONTRACT…]`: three links compared, who must act, and the mend by the declared authority.

use crate::agent::until_idle;
use crate::differences::{Subject, document, print_plan, print_subjects};
use crate::exit::Exit;
use crate::opened::{Named, named};
use crate::signed::Signer;
use crate::site::{Where, agents, block_on, contexts, no_answer, refused, release};
use crate::terminal::{Writing, counted};
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::custody::Compared;
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use seamline_flow::drift::Conclusion;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Compares source, log and projections, and says who must act on what differs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Subscriptions (context/subscription) and contracts (context/contract); all by default.
    subjects: Vec<String>,
    /// Mend what differs, by its declared authority, and compare again.
    #[arg(long)]
    repair: bool,
    /// Write what was found into a file, too, signed with the key in `SEAMLINE_REPORT_KEY`, or in the file that
    /// `SEAMLINE_REPORT_KEY_FILE` names.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

impl Args {
    /// Returns the arguments that repair one subject.
    pub(crate) fn repairing(subject: String, place: Where, writing: Writing) -> Args {
        Args { subjects: vec![subject], repair: true, report: None, place, writing }
    }
}

/// What is to be compared, by context.
type Wanted = BTreeMap<ContextId, BTreeSet<String>>;

/// Runs the command.
///
/// # Errors
/// When a subject is not there, or a context is not installed or cannot be read.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    // Whoever wants it signed is told before the work that it cannot be.
    let signer = args.report.as_ref().map(|_| Signer::from_environment()).transpose()?;
    let site = args.place.site()?;
    let wanted = wanted(&site, &args.subjects)?;
    let contexts: Vec<ContextId> = wanted.keys().cloned().collect();
    block_on(async {
        let agents = agents(&site, &contexts).await?;
        let done = reconcile(args, &agents, &wanted, signer).await;
        let released = release(&agents).await;
        let exit = done?;
        released?;
        Ok(exit)
    })
}

/// Returns the subjects by context: the named ones, or all there are.
fn wanted(site: &Site, subjects: &[String]) -> Result<Wanted> {
    let estate = &site.estate;
    let mut wanted = Wanted::new();
    for text in subjects {
        let (context, name) = match named(estate, text)? {
            Named::Subscription(it) => (it.name.context.clone(), it.name.to_string()),
            Named::Contract(reference) => (reference.name.context.clone(), reference.to_string()),
        };
        wanted.entry(context).or_default().insert(name);
    }
    if !subjects.is_empty() {
        return Ok(wanted);
    }
    for context in contexts(site, &[])? {
        let published = estate.publications.iter().filter(|it| it.contract.context == context);
        let published =
            published.filter_map(|it| Some(estate.current(&it.contract)?.reference().to_string()));
        let subscribed = estate.subscriptions.iter().filter(|it| it.name.context == context);
        let names = published.chain(subscribed.map(|it| it.name.to_string())).collect();
        wanted.insert(context, names);
    }
    Ok(wanted)
}

/// A context with what was compared in it.
type Pass<'a> = Vec<(&'a Agent, Compared)>;

async fn compare<'a>(agents: &'a [Agent], wanted: &Wanted) -> Result<Pass<'a>> {
    let mut pass = Vec::new();
    for agent in agents {
        let names = &wanted[&agent.context];
        let compared = agent.compare(|name| names.contains(name)).await.map_err(refused)?;
        pass.push((agent, compared));
    }
    Ok(pass)
}

fn subjects(pass: &Pass<'_>, wanted: &Wanted) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for (at, (agent, compared)) in pass.iter().enumerate() {
        let same = |(other, _): &&(&Agent, Compared)| other.context == agent.context;
        let first = !pass[..at].iter().any(|it| same(&it));
        let nobodys = |name: &String| !pass.iter().filter(same).any(|(other, _)| other.deals_with(name));
        let names = wanted[&agent.context].iter();
        let names = names.filter(|name| agent.deals_with(name) || (first && nobodys(name)));
        subjects.extend(Subject::of(agent, compared, &names.cloned().collect()));
    }
    subjects
}

/// Closes the cases of what compared clean. Only this closes a case of drift.
async fn close(pass: &Pass<'_>) -> Result<u64> {
    let mut closed = 0;
    for (agent, compared) in pass {
        closed += agent.close_mended(compared).await.map_err(no_answer)?;
    }
    Ok(closed)
}

async fn reconcile(args: &Args, agents: &[Agent], wanted: &Wanted, signer: Option<Signer>) -> Result<Exit> {
    let text = args.writing.is_text();
    let mut pass = compare(agents, wanted).await?;
    let mut found = subjects(&pass, wanted);
    let plans = pass.iter().any(|(_, compared)| needs_mending(compared));
    let mut first = None;
    if text {
        print_subjects(&found);
    }
    let mut repaired = false;
    if args.repair && !plans && text {
        println!("nothing to repair");
    }
    if args.repair && plans {
        if text {
            println!("\nplan:");
            pass.iter().for_each(|(agent, compared)| print_plan(agent, compared));
        }
        if args.writing.agreed("repair it?")? {
            repaired = true;
            for (agent, compared) in &pass {
                agent.mend(compared).await.map_err(refused)?;
            }
            until_idle(agents).await?;
            pass = compare(agents, wanted).await?;
            first = Some(std::mem::replace(&mut found, subjects(&pass, wanted)));
            if text {
                println!("\nrepaired, and compared again:");
                print_subjects(&found);
            }
        } else if text {
            println!("nothing was written");
        }
    }
    let closed = close(&pass).await?;
    let worst = found.iter().map(Subject::conclusion).max().unwrap_or(Conclusion::Clean);
    let before = first.as_deref().map(document);
    let mut document = json!({
        "schema": "seamline/reconcile/v1",
        "conclusion": worst.word(),
        "subjects": document(&found),
        "before": before,
        "repaired": repaired,
        "casesClosed": closed,
    });
    if text {
        conclude(args, worst, plans && !repaired, closed);
    } else {
        println!("{document}");
    }
    if let Some((path, signer)) = args.report.as_ref().zip(signer) {
        document["schema"] = json!("seamline/report/v1");
        document["made"] = json!(Timestamp::now().to_string());
        document["by"] = json!(agents.iter().map(Agent::holder).collect::<Vec<_>>());
        signer.write(path, &document)?;
    }
    Ok(match worst {
        Conclusion::Clean => Exit::Clean,
        Conclusion::Drift => Exit::Drift,
        Conclusion::Inconclusive => Exit::Inconclusive,
    })
}

fn needs_mending(compared: &Compared) -> bool {
    !compared.source_plans().is_empty() || compared.consumer_plans().next().is_some()
}

fn conclude(args: &Args, worst: Conclusion, mendable: bool, closed: u64) {
    if closed > 0 {
        println!("closed {}: what was wrong compares clean", counted(closed, "case"));
    }
    println!("conclusion: {}", worst.word());
    let place = args.place.arguments();
    let names: String = args.subjects.iter().map(|name| format!(" {name}")).collect();
    println!(
        "next: {}",
        match worst {
            Conclusion::Clean => format!("seamline status{place}"),
            Conclusion::Drift if mendable => format!("seamline reconcile{names} --repair{place}"),
            Conclusion::Drift => format!("seamline case list{place}"),
            Conclusion::Inconclusive => {
                format!("seamline quarantine list{place}, then seamline agent --all --until-idle{place}")
            }
        }
    );
}
