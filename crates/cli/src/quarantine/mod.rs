//! `seamline quarantine list|show|redrive|discard`: what broke its contract and waits, at sources and at consumers, by issue.

mod item;
mod redrive;
mod treat;

use crate::exit::{Exit, usage};
use crate::quarantine::item::{Item, Walk, sample};
use crate::quarantine::redrive::{RedriveArgs, redrive};
use crate::quarantine::treat::{TreatArgs, Wish, treat};
use crate::site::{Where, agents, block_on, contexts, no_answer};
use crate::terminal::{Format, columns, counted};
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use seamline_flow::issue::{Issue, Issues};
use seamline_flow::source::Source;
use seamline_flow::store::{Lane, Store};
use seamline_message::sequence::Sequence;
use serde_json::{Value, json};

/// What is done with what waits.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Lists what waits in contexts, grouped into issues: one for each version, rule and place that was broken.
    List(ListArgs),
    /// Shows an issue or one item, values above `internal` masked.
    Show(ShowArgs),
    /// Tries an item again, at a source all rows of its key in their order; all items of an issue, or of a subject, as a job.
    Redrive(RedriveArgs),
    /// Gives an item up, of an issue all its items; what waits behind them at a source is tried again.
    Discard(TreatArgs),
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The contexts; all by default.
    contexts: Vec<String>,
    /// List the items one by one; with `--format json` they are there besides.
    #[arg(long)]
    items: bool,
    /// With items: only those of an issue.
    #[arg(long, value_name = "ISSUE")]
    issue: Option<String>,
    /// With items: at most so many.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The item or the issue, as `list` prints it.
    item: String,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// When a context is not installed, there is no such item, or it cannot be treated.
pub(crate) fn run(verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List(args) => list(args),
        Verb::Show(args) => show(args),
        Verb::Redrive(args) => redrive(args),
        Verb::Discard(args) => treat(args, Wish::Discard),
    }
}

/// What waits in some databases: its issues, and its first items.
struct Listed {
    issues: Vec<Issue>,
    items: Vec<(ContextId, Item)>,
    n_items: u64,
}

/// Walks over all that waits, and keeps at most `limit` items of it.
async fn listed(agents: &[Agent], issue: Option<&str>, limit: usize) -> Result<Listed> {
    let (mut issues, mut items, mut n_items) = (Issues::default(), Vec::new(), 0);
    for agent in agents {
        let context = &agent.context;
        let mut walk = Walk::default();
        loop {
            let page = walk.next(agent).await?;
            if page.is_empty() {
                break;
            }
            for it in page {
                n_items += 1;
                match &it {
                    Item::Row(row) => issues.row(&it.subject(context), row, || it.name(context)),
                    Item::Record(record) => issues.record(record, || it.name(context)),
                }
                let is_asked = issue.is_none_or(|issue| it.issue(context).as_deref() == Some(issue));
                if is_asked && items.len() < limit {
                    items.push((context.clone(), it));
                }
            }
        }
    }
    Ok(Listed { issues: issues.into_sorted(), items, n_items })
}

fn list(args: &ListArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    block_on(async {
        let agents = agents(&site, &contexts).await?;
        let Listed { issues, items, n_items } = listed(&agents, args.issue.as_deref(), args.limit).await?;
        if args.format == Format::Json {
            let items: Vec<Value> = items.iter().map(|(context, item)| item.document(context)).collect();
            let issues: Vec<Value> = issues.iter().map(document).collect();
            let schema = "seamline/quarantine/v1";
            println!("{}", json!({ "schema": schema, "total": n_items, "issues": issues, "items": items }));
            return Ok(Exit::Clean);
        }
        let rows: Vec<Vec<String>> = if args.items || args.issue.is_some() {
            let row = |(context, item): &(ContextId, Item)| {
                vec![item.name(context), item.subject(context), item.key(), item.reason()]
            };
            items.iter().map(row).collect()
        } else {
            table(&issues)
        };
        print!("{}", columns(&rows));
        println!("{} in quarantine", counted(n_items, "item"));
        let place = args.place.arguments();
        match (issues.first(), items.first()) {
            (Some(issue), _) => println!("next: seamline quarantine show {}{place}", issue.id),
            (None, Some((context, item))) => {
                println!("next: seamline quarantine show {}{place}", item.name(context));
            }
            (None, None) => println!("next: seamline status{place}"),
        }
        Ok(Exit::Clean)
    })
}

fn table(issues: &[Issue]) -> Vec<Vec<String>> {
    let head = ["issue", "subject", "version", "broke", "items", "behind", "first", "last"];
    let mut rows = if issues.is_empty() { Vec::new() } else { vec![head.map(str::to_owned).to_vec()] };
    rows.extend(issues.iter().map(|it| {
        let (broken, behind) = (it.broken.to_string(), it.behind.to_string());
        let broke = format!("{} at `{}`", it.rule, it.path);
        let (first, last) = (it.first.to_string(), it.last.to_string());
        vec![it.id.clone(), it.subject.clone(), it.version.clone(), broke, broken, behind, first, last]
    }));
    rows
}

fn document(issue: &Issue) -> Value {
    json!({
        "issue": issue.id,
        "subject": issue.subject,
        "version": issue.version,
        "rule": issue.rule,
        "path": issue.path,
        "message": issue.message,
        "items": issue.broken,
        "behind": issue.behind,
        "first": issue.first.to_string(),
        "last": issue.last.to_string(),
        "sample": issue.sample,
    })
}

/// Returns the context that the name of an item begins with.
fn context_of(site: &Site, text: &str) -> Result<ContextId> {
    let Some((context, _)) = text.split_once('/') else {
        let help = "name an item or an issue as `seamline quarantine list` prints it";
        return Err(usage(format!("`{text}` is no item"), help));
    };
    crate::opened::context(&site.estate, context)
}

/// Returns whether a text is the name of an issue.
fn is_issue(text: &str) -> bool {
    text.starts_with("q-") && !text.contains('/')
}

/// Returns an item by its name, however many wait besides.
async fn found<'a>(agents: &'a [Agent], text: &str) -> Result<(&'a Agent, Item)> {
    let mut all = Vec::new();
    for agent in agents {
        let item = match text.split('/').collect::<Vec<_>>()[..] {
            [_, sequence] if agent.outlets.is_some() => {
                let Ok(sequence) = sequence.parse::<u64>() else { continue };
                let after = sequence.checked_sub(1).map(Sequence);
                let rows = Source::aside_after(&agent.database, after, 1).await.map_err(no_answer)?;
                rows.into_iter().map(Item::Row).next()
            }
            [context, subscription, topic, partition, offset] => {
                let name = format!("{context}/{subscription}").parse();
                let (Ok(subscription), Ok(partition), Ok(offset)) = (name, partition.parse(), offset.parse())
                else {
                    continue;
                };
                let lane = Lane { subscription, topic: topic.to_owned(), partition };
                let record = Store::aside_at(&agent.database, &lane, offset).await.map_err(no_answer)?;
                record.map(Item::Record)
            }
            _ => None,
        };
        all.extend(item.filter(|item| item.name(&agent.context) == text).map(|item| (agent, item)));
    }
    if all.len() > 1 {
        let message = format!("`{text}` is in quarantine in {} databases of the context", all.len());
        return Err(usage(message, "treat it with SQL in the database that is meant"));
    }
    let help = "`seamline quarantine list` prints what waits";
    all.pop().ok_or_else(|| usage(format!("there is no item `{text}` in quarantine"), help))
}

/// Returns an issue by its name.
async fn issue_of(agents: &[Agent], id: &str) -> Result<Issue> {
    let Listed { issues, .. } = listed(agents, Some(id), 0).await?;
    let help = "`seamline quarantine list` prints what waits";
    let found = issues.into_iter().find(|issue| issue.id == id);
    found.ok_or_else(|| usage(format!("there is no issue `{id}` in quarantine"), help))
}

fn show(args: &ShowArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let is_issue = is_issue(&args.item);
    let contexts = if is_issue { contexts(&site, &[])? } else { vec![context_of(&site, &args.item)?] };
    block_on(async {
        let agents = agents(&site, &contexts).await?;
        let (mut document, name) = if is_issue {
            let issue = issue_of(&agents, &args.item).await?;
            (document(&issue), issue.sample)
        } else {
            (json!({}), args.item.clone())
        };
        let (agent, item) = found(&agents, &name).await?;
        if !is_issue {
            document = item.document(&agent.context);
        }
        document["values"] = sample(agent, &item).await?.unwrap_or(Value::Null);
        if args.format == Format::Json {
            document["schema"] = json!("seamline/quarantine-item/v1");
            println!("{document}");
            return Ok(Exit::Clean);
        }
        for (name, value) in document.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
        {
            println!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        println!("values above `internal` are masked; they are in the context's own database");
        println!("next: seamline quarantine redrive {} --because TEXT{}", args.item, args.place.arguments());
        Ok(Exit::Clean)
    })
}
