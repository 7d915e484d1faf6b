//! `seamline quarantine redrive` of an issue, or of all that waits of a subject: a job, filed and followed.

use super::item::{Item, Walk};
use super::treat::{TreatArgs, Wish, job_subject, treat};
use super::{context_of, is_issue};
use crate::case::note_quarantine;
use crate::exit::{Exit, unreachable, usage};
use crate::job::follow::{Hands, exit, file, follow, left};
use crate::job::tell;
use crate::opened::{Named, named};
use crate::site::{agents, block_on, contexts};
use crate::terminal::counted;
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_flow::job::orders::{RedriveOrders, write};
use seamline_flow::job::{JobKind, NewJob};
use serde_json::json;

/// Arguments of `redrive`.
#[derive(Debug, clap::Args)]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    treat: TreatArgs,
    /// Of an issue or a subject: at most so many messages in a second; at a consumer, of each partition.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Of an issue or a subject: file the job, and do not follow it.
    #[arg(long)]
    detach: bool,
}

/// What is to be tried again.
enum Target {
    Issue(String),
    /// By the printed name of a subscription or a contract with its major.
    Subject(String),
}

impl Target {
    fn asks_for(&self, agent: &Agent, item: &Item) -> bool {
        match self {
            Target::Issue(issue) => item.issue(&agent.context).as_ref() == Some(issue),
            Target::Subject(subject) => job_subject(agent, item) == *subject,
        }
    }
}

/// What waits in one database.
struct Waiting {
    at: usize,
    subject: String,
    items: u64,
    behind: u64,
    reason: String,
    hands: Hands,
}

/// Runs the command.
///
/// # Errors
/// When nothing of that name waits, or it cannot be treated.
pub(super) fn redrive(args: &RedriveArgs) -> Result<Exit> {
    let site = args.treat.place.site()?;
    let Some(target) = target(&site, &args.treat.item)? else {
        if args.rate.is_some() || args.detach {
            let help = "leave `--rate` and `--detach` out: one message is tried again at once";
            return Err(usage(format!("`{}` is one message", args.treat.item), help));
        }
        return treat(&args.treat, Wish::Redrive);
    };
    let of = match &target {
        Target::Issue(_) => contexts(&site, &[])?,
        Target::Subject(_) => vec![context_of(&site, &args.treat.item)?],
    };
    block_on(async {
        let mut agents = agents(&site, &of).await?;
        let found = waiting(&agents, &target).await?;
        let Some(context) = found.first().map(|it| agents[it.at].context.clone()) else {
            let help = "`seamline quarantine list` prints what waits";
            return Err(usage(format!("nothing of `{}` is in quarantine", args.treat.item), help));
        };
        plan(args, &found);
        if !args.treat.writing.agreed("redrive it?")? {
            match args.treat.writing.is_text() {
                true => println!("nothing was written"),
                false => println!("{}", json!({ "schema": "seamline/job/v1", "job": null })),
            }
            return Ok(Exit::Clean);
        }
        // An issue is of one context; agents of others are none of its business.
        let kept: Vec<usize> = (0..agents.len()).filter(|at| agents[*at].context == context).collect();
        agents.retain(|agent| agent.context == context);
        let mut worst = Exit::Clean;
        for it in &found {
            let at = kept.iter().position(|kept| *kept == it.at).unwrap_or_default();
            let done = file_and_follow(&agents, at, it, &target, args).await?;
            worst = if done == Exit::Clean { worst } else { done };
        }
        Ok(worst)
    })
}

/// Returns what is meant, where it is more than one message.
fn target(site: &Site, text: &str) -> Result<Option<Target>> {
    if is_issue(text) {
        return Ok(Some(Target::Issue(text.to_owned())));
    }
    let is_item = match text.split('/').collect::<Vec<_>>()[..] {
        [_, last] => last.bytes().all(|byte| byte.is_ascii_digit()),
        _ => true,
    };
    if is_item {
        return Ok(None);
    }
    Ok(Some(Target::Subject(match named(&site.estate, text)? {
        Named::Contract(reference) => reference.to_string(),
        Named::Subscription(subscription) => subscription.name.to_string(),
    })))
}

/// Counts what waits, by database. It keeps counts, and nothing of a key.
async fn waiting(agents: &[Agent], target: &Target) -> Result<Vec<Waiting>> {
    let mut all: Vec<Waiting> = Vec::new();
    for (at, agent) in agents.iter().enumerate() {
        let (mut walk, mut found) = (Walk::default(), None);
        loop {
            let page = walk.next(agent).await?;
            if page.is_empty() {
                break;
            }
            for item in page.iter().filter(|item| target.asks_for(agent, item)) {
                let hands = match item {
                    Item::Row(_) => Hands::Job,
                    Item::Record(_) => Hands::Context,
                };
                let waiting = found.get_or_insert_with(|| Waiting {
                    at,
                    subject: job_subject(agent, item),
                    items: 0,
                    behind: 0,
                    reason: item.reason(),
                    hands,
                });
                match item.issue(&agent.context) {
                    Some(_) => waiting.items += 1,
                    None => waiting.behind += 1,
                }
            }
        }
        all.extend(found);
    }
    Ok(all)
}

fn plan(args: &RedriveArgs, found: &[Waiting]) {
    if !args.treat.writing.is_text() {
        return;
    }
    for it in found {
        let behind = if it.behind > 0 { format!(", {} behind", it.behind) } else { String::new() };
        println!("redrive {} of {}{behind}; the first: {}", counted(it.items, "item"), it.subject, it.reason);
        match it.hands {
            Hands::Job => println!(
                "  all rows of their keys go back to the outbox in their order; what is still broken comes back here"
            ),
            Hands::Context => println!(
                "  each is applied as if it were read now, by whoever holds its partition; what is still broken stays"
            ),
        }
        if let Some(rate) = args.rate {
            println!("  at most {rate} in a second: in about {} s", it.items.div_ceil(rate.into()));
        }
    }
}

async fn file_and_follow(
    agents: &[Agent],
    at: usize,
    it: &Waiting,
    target: &Target,
    args: &RedriveArgs,
) -> Result<Exit> {
    let (agent, place) = (&agents[at], args.treat.place.arguments());
    if !agent.deals_with(&it.subject) {
        let message = format!("`{}` is not run from this estate any more", it.subject);
        return Err(unreachable(message, "discard what waits, with a reason"));
    }
    let issue = match target {
        Target::Issue(issue) => Some(issue.clone()),
        Target::Subject(_) => None,
    };
    let orders = write(&RedriveOrders::new(issue, it.items, args.rate));
    let new = NewJob { kind: JobKind::Redrive, subject: it.subject.clone(), orders };
    let id = file(agent, &new, &place).await?;
    let note = format!("redrive {}: {}", args.treat.item, args.treat.because);
    note_quarantine(&agent.database, &it.subject, &note).await?;
    let (context, text) = (&agent.context, args.treat.writing.is_text());
    let shown = format!("{context}/{id}");
    if text {
        println!("job {shown} is filed; Ctrl-C leaves it at work");
    }
    if args.detach {
        match text {
            true => println!("next: seamline job show {shown}{place}"),
            false => println!("{}", json!({ "schema": "seamline/job/v1", "job": shown })),
        }
        return Ok(Exit::Clean);
    }
    let job = follow(agents, at, id, it.hands, text).await?;
    match (text, job.stage.is_over()) {
        (false, _) => println!("{}", tell::whole_document(context, &job)),
        (true, true) => tell::print(context, &job, &place),
        (true, false) => left(&job, &shown, context.as_str(), &place),
    }
    Ok(exit(&job))
}
