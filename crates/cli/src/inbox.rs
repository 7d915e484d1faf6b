//! `seamline inbox list|retry|skip`: what services have not worked off yet, and what becomes of it.

use crate::exit::{Exit, usage};
use crate::site::{Where, agents, block_on, contexts, no_answer};
use crate::terminal::{Format, Writing, columns, counted};
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use seamline_flow::inbox::{Inbox, InboxEntry, InboxState};
use serde_json::{Value, json};

/// At most so many rows are listed of each database.
const LISTED_MAX: u32 = 1_000;

/// What is done with rows of an inbox.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Lists what is not done, in the order in which it came.
    List(ListArgs),
    /// Lets a row that failed be tried again, with its attempts counted anew.
    Retry(TreatArgs),
    /// Passes over a row: it counts as done, and the later ones of its key go on.
    Skip(TreatArgs),
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The contexts; all by default.
    contexts: Vec<String>,
    /// Only what failed.
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `retry` and `skip`.
#[derive(Debug, clap::Args)]
pub(crate) struct TreatArgs {
    /// The row: context/subscription/number, as `list` prints it.
    row: String,
    /// Why, for whoever looks at the row later.
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
/// When a context is not installed, or there is no such row.
pub(crate) fn run(verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List(args) => list(args),
        Verb::Retry(args) => treat(args, Treatment::Retry),
        Verb::Skip(args) => treat(args, Treatment::Skip),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Retry,
    Skip,
}

fn list(args: &ListArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    block_on(async {
        let mut all = Vec::new();
        for agent in subscribing(agents(&site, &contexts).await?) {
            all.extend(agent.database.entries(None, LISTED_MAX).await.map_err(no_answer)?);
        }
        all.retain(|row| !args.failed || row.state == InboxState::Failed);
        match args.format {
            Format::Json => {
                let rows: Vec<Value> = all.iter().map(document).collect();
                println!("{}", json!({ "schema": "seamline/inbox/v1", "rows": rows }));
            }
            Format::Text => text(&all, &args.place.arguments()),
        }
        Ok(Exit::Clean)
    })
}

fn subscribing(agents: Vec<Agent>) -> impl Iterator<Item = Agent> {
    agents.into_iter().filter(|agent| !agent.intakes.is_empty())
}

fn name(row: &InboxEntry) -> String {
    format!("{}/{}", row.subscription, row.number)
}

fn text(all: &[InboxEntry], place: &str) {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|row| {
            let tried = format!("tried {}", counted(row.attempts.into(), "time"));
            let why = row.why.clone().unwrap_or_default();
            vec![name(row), row.event.clone(), row.key.clone(), row.state.word().to_owned(), tried, why]
        })
        .collect();
    print!("{}", columns(&rows));
    println!("{}", counted(all.len() as u64, "row"));
    match all.iter().find(|row| row.state == InboxState::Failed) {
        Some(row) => println!("next: seamline inbox retry {} --because TEXT{place}", name(row)),
        None => println!("next: seamline status{place}"),
    }
}

/// Payloads are left out: values of rows are not printed.
fn document(row: &InboxEntry) -> Value {
    json!({
        "row": name(row),
        "subscription": row.subscription.to_string(),
        "number": row.number,
        "id": row.id,
        "key": row.key,
        "event": row.event,
        "state": row.state.word(),
        "attempts": row.attempts,
        "why": row.why,
        "receivedAt": row.received_at.to_string(),
    })
}

/// Returns context, subscription and number of a row.
fn reference(site: &Site, text: &str) -> Result<(ContextId, String, u64)> {
    let wrong = || {
        let help = "name it as `seamline inbox list` prints it: context/subscription/number";
        usage(format!("`{text}` is no row of an inbox"), help)
    };
    let (subscription, number) = text.rsplit_once('/').ok_or_else(wrong)?;
    let (context, _) = subscription.split_once('/').ok_or_else(wrong)?;
    let number = number.parse().map_err(|_| wrong())?;
    Ok((crate::opened::context(&site.estate, context)?, subscription.to_owned(), number))
}

/// Returns a row, and the agent in whose database it is.
async fn found(agents: Vec<Agent>, subscription: &str, number: u64) -> Result<(Agent, InboxEntry)> {
    for agent in subscribing(agents) {
        let row = agent.database.entry(number).await.map_err(no_answer)?;
        if let Some(row) = row.filter(|row| row.subscription.to_string() == subscription) {
            return Ok((agent, row));
        }
    }
    let help = "`seamline inbox list` lists what is not done";
    Err(usage(format!("there is no row `{subscription}/{number}`"), help))
}

fn treat(args: &TreatArgs, treatment: Treatment) -> Result<Exit> {
    let site = args.place.site()?;
    let (context, subscription, number) = reference(&site, &args.row)?;
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let (agent, row) = found(agents, &subscription, number).await?;
        may_treat(&row, treatment)?;
        if args.writing.is_text() {
            let plan = match treatment {
                Treatment::Retry => "may be claimed again",
                Treatment::Skip => {
                    "counts as done without having been worked off; later ones of its key go on"
                }
            };
            println!("{}  {}  {}: {plan}", name(&row), row.event, row.key);
            println!("because {}", args.because);
        }
        let agreed = args.writing.agreed("do it?")?;
        let written = agreed
            && match treatment {
                Treatment::Retry => agent.database.retry(number).await.map_err(no_answer)?,
                Treatment::Skip => {
                    let why = format!("passed over: {}", args.because);
                    agent.database.skip(number, &why).await.map_err(no_answer)?
                }
            };
        if agreed && !written {
            return Err(usage(
                "somebody else changed the row meanwhile",
                "list it again and see how it stands",
            ));
        }
        if args.writing.is_text() {
            println!("{}", if written { "done" } else { "nothing was written" });
            println!("next: seamline inbox list{}", args.place.arguments());
        } else {
            println!(
                "{}",
                json!({ "schema": "seamline/inbox-row/v1", "row": name(&row), "written": written })
            );
        }
        Ok(Exit::Clean)
    })
}

/// Only what failed is retried, and nothing is taken out of a worker's hands.
fn may_treat(row: &InboxEntry, treatment: Treatment) -> Result<()> {
    match (treatment, row.state) {
        (Treatment::Retry, InboxState::Failed)
        | (Treatment::Skip, InboxState::Failed | InboxState::Waiting) => Ok(()),
        (_, InboxState::Claimed) => {
            Err(usage("a worker has the row", "wait until its claim lapses, or it ends the row"))
        }
        (Treatment::Retry, InboxState::Waiting) => {
            Err(usage("the row waits already", "a worker takes it when its turn comes"))
        }
        (_, InboxState::Done) => Err(usage("the row is done", "nothing is to be done with it")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Treatment, may_treat};
    use seamline_flow::inbox::{InboxEntry, InboxState};

    fn row(state: InboxState) -> InboxEntry {
        InboxEntry {
            number: 1,
            subscription: "claims/covers".parse().unwrap(),
            id: String::new(),
            key: String::new(),
            event: String::new(),
            payload: String::new(),
            state,
            attempts: 0,
            why: None,
            received_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn nothing_is_taken_out_of_a_workers_hands() {
        for treatment in [Treatment::Retry, Treatment::Skip] {
            assert!(may_treat(&row(InboxState::Claimed), treatment).is_err());
            assert!(may_treat(&row(InboxState::Failed), treatment).is_ok());
        }
        assert!(may_treat(&row(InboxState::Waiting), Treatment::Retry).is_err());
    }
}
