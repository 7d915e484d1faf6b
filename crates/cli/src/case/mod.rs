//! `seamline case list|show|ack|repair|close`: what is broken in each context, and what was done about it.

mod tell;

use crate::case::tell::Around;
use crate::exit::{Exit, unreachable, usage};
use crate::opened::only;
use crate::reconcile;
use crate::site::{Where, agents, block_on, contexts, no_answer};
use crate::terminal::{Format, Writing, columns, counted};
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::database::Database;
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use seamline_flow::case::{Case, CaseKind, CaseStage, Cases};
use serde_json::{Value, json};

/// What is done with cases.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Lists the cases of contexts.
    List(ListArgs),
    /// Shows a case with its timeline.
    Show(ShowArgs),
    /// Says that somebody looks at a case.
    Ack(MoveArgs),
    /// Mends what a case of drift is about, by its declared authority, and compares again: that closes it.
    Repair(RepairArgs),
    /// Closes a case. One of drift is closed by a comparison that is clean, and by nothing else.
    Close(MoveArgs),
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The contexts; all by default.
    contexts: Vec<String>,
    /// Closed ones too.
    #[arg(long)]
    closed: bool,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The case: context/number.
    case: String,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `ack` and `close`.
#[derive(Debug, clap::Args)]
pub(crate) struct MoveArgs {
    /// The case: context/number.
    case: String,
    /// Why, for the timeline.
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Arguments of `repair`.
#[derive(Debug, clap::Args)]
pub(crate) struct RepairArgs {
    /// The case: context/number.
    case: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Runs the command.
///
/// # Errors
/// When a context is not installed, or there is no such case.
pub(crate) fn run(verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List(args) => list(args),
        Verb::Show(args) => show(args),
        Verb::Ack(args) => advance(args, CaseStage::Acknowledged),
        Verb::Repair(args) => repair(args),
        Verb::Close(args) => advance(args, CaseStage::Closed),
    }
}

fn list(args: &ListArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    block_on(async {
        let mut all: Vec<(ContextId, Case)> = Vec::new();
        for agent in agents(&site, &contexts).await? {
            let cases = agent.database.cases(args.closed).await.map_err(no_answer)?;
            all.extend(cases.into_iter().map(|case| (agent.context.clone(), case)));
        }
        match args.format {
            Format::Json => {
                let cases: Vec<Value> = all.iter().map(|(context, case)| document(context, case)).collect();
                println!("{}", json!({ "schema": "seamline/cases/v1", "cases": cases }));
            }
            Format::Text => text(&all, &args.place.arguments()),
        }
        Ok(Exit::Clean)
    })
}

fn text(all: &[(ContextId, Case)], place: &str) {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|(context, case)| {
            let raised = &case.raised;
            let owed = format!("{} must act", raised.owed_by);
            vec![
                format!("{context}/{}", case.id),
                raised.kind.word().to_owned(),
                case.stage.word().to_owned(),
                raised.subject.clone(),
                owed,
                raised.summary.clone(),
            ]
        })
        .collect();
    print!("{}", columns(&rows));
    println!("{}", counted(all.len() as u64, "case"));
    match all.iter().find(|(_, case)| case.stage != CaseStage::Closed) {
        Some((context, case)) => println!("next: seamline case show {context}/{}{place}", case.id),
        None => println!("next: seamline reconcile{place}"),
    }
}

fn document(context: &ContextId, case: &Case) -> Value {
    let raised = &case.raised;
    let timeline: Vec<Value> =
        case.timeline.iter().map(|(at, what)| json!({ "at": at.to_string(), "what": what })).collect();
    // What is stored is JSON, unless a hand changed it.
    let details = serde_json::from_str::<Value>(&raised.details).unwrap_or_else(|_| json!(raised.details));
    json!({
        "case": format!("{context}/{}", case.id),
        "kind": raised.kind.word(),
        "stage": case.stage.word(),
        "subject": raised.subject,
        "owedBy": raised.owed_by.to_string(),
        "summary": raised.summary,
        "details": details,
        "opened": case.opened.to_string(),
        "times": case.times,
        "timeline": timeline,
    })
}

/// Returns context and number of a case.
fn reference(site: &Site, text: &str) -> Result<(ContextId, u64)> {
    let wrong =
        || usage(format!("`{text}` is no case"), "name it as `seamline case list` prints it: context/number");
    let (context, number) = text.split_once('/').ok_or_else(wrong)?;
    let number = number.parse().map_err(|_| wrong())?;
    Ok((crate::opened::context(&site.estate, context)?, number))
}

async fn find(database: &Database, number: u64) -> Result<Option<Case>> {
    let cases = database.cases(true).await.map_err(no_answer)?;
    Ok(cases.into_iter().find(|case| case.id == number))
}

/// Returns a case and the agent in whose database it is.
async fn found<'a>(agents: &'a [Agent], context: &ContextId, number: u64) -> Result<(&'a Agent, Case)> {
    let mut all = Vec::new();
    for agent in agents {
        all.extend(find(&agent.database, number).await?.map(|case| (agent, case)));
    }
    only(all, "case", (context, number), "case list --closed")
}

fn show(args: &ShowArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let (context, number) = reference(&site, &args.case)?;
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let (agent, case) = found(&agents, &context, number).await?;
        let around = Around::of(agent, &case).await?;
        if args.format == Format::Json {
            let mut document = document(&context, &case);
            document["schema"] = json!("seamline/case/v1");
            around.add_to(&mut document);
            println!("{document}");
        } else {
            tell::print(&context, &case, &around, &args.place.arguments());
        }
        Ok(Exit::Clean)
    })
}

/// Reconciles the subject of a case, and repairs it.
fn repair(args: &RepairArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let (context, number) = reference(&site, &args.case)?;
    let mut subject = String::new();
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let (_, case) = found(&agents, &context, number).await?;
        may_repair(&case)?;
        subject = case.raised.subject;
        Ok(Exit::Clean)
    })?;
    reconcile::run(&reconcile::Args::repairing(subject, args.place.clone(), args.writing.clone()))
}

/// What a comparison finds a repair mends; all else has other ways.
fn may_repair(case: &Case) -> Result<()> {
    let kind = case.raised.kind;
    if case.stage == CaseStage::Closed {
        return Err(usage("the case is closed already", "`seamline case show` has its timeline"));
    }
    match kind {
        CaseKind::Drift | CaseKind::Chain | CaseKind::Accounting => Ok(()),
        CaseKind::Quarantine => Err(usage(
            "what waits in quarantine is mended item by item",
            "`seamline quarantine list` shows it, and what can be done",
        )),
        CaseKind::Conflict | CaseKind::Rewound | CaseKind::Topic | CaseKind::Promise => Err(usage(
            format!("a case of {} has no repair: people must act", kind.word()),
            "`seamline case show` says what is known; `seamline case close` notes what was done",
        )),
    }
}

fn advance(args: &MoveArgs, stage: CaseStage) -> Result<Exit> {
    let site = args.place.site()?;
    let (context, number) = reference(&site, &args.case)?;
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let (agent, case) = found(&agents, &context, number).await?;
        let database = &agent.database;
        may_advance(&case, stage)?;
        if args.writing.is_text() {
            println!("{context}/{number}: {} → {}: {}", case.stage.word(), stage.word(), args.because);
        }
        let agreed = args.writing.agreed("note it?")?;
        if agreed {
            database.advance(number, stage, &args.because, Timestamp::now()).await.map_err(no_answer)?;
        }
        if args.writing.is_text() {
            println!("{}", if agreed { "noted" } else { "nothing was written" });
            println!("next: seamline case list{}", args.place.arguments());
        } else {
            let (_, case) = found(&agents, &context, number).await?;
            let mut document = document(&context, &case);
            document["schema"] = json!("seamline/case/v1");
            println!("{document}");
        }
        Ok(Exit::Clean)
    })
}

/// Stages are gone through in order, and only a comparison knows that drift is over.
fn may_advance(case: &Case, stage: CaseStage) -> Result<()> {
    if case.stage >= stage {
        let message = format!("the case is {} already", case.stage.word());
        return Err(usage(message, "`seamline case show` has its timeline"));
    }
    let compared = matches!(case.raised.kind, CaseKind::Drift | CaseKind::Chain | CaseKind::Accounting);
    if stage == CaseStage::Closed && compared {
        let message = format!(
            "a case of {} is closed by a comparison that is clean, and by nobody's word",
            case.raised.kind.word()
        );
        return Err(unreachable(message, "run `seamline reconcile --repair`"));
    }
    Ok(())
}

/// Notes in the open cases of a subject what was done with its quarantine.
///
/// # Errors
/// The database's.
pub(crate) async fn note_quarantine(database: &Database, subject: &str, note: &str) -> Result<()> {
    for case in database.cases(false).await.map_err(no_answer)? {
        if case.raised.kind == CaseKind::Quarantine && case.raised.subject == subject {
            database.advance(case.id, case.stage, note, Timestamp::now()).await.map_err(no_answer)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{may_advance, may_repair};
    use seamline_flow::case::{Case, CaseKind, CaseStage, NewCase};

    fn case(kind: CaseKind, stage: CaseStage) -> Case {
        let raised = NewCase {
            kind,
            fingerprint: String::new(),
            subject: String::new(),
            owed_by: "claims".parse().unwrap(),
            summary: String::new(),
            details: "{}".to_owned(),
        };
        Case { id: 1, raised, stage, opened: jiff::Timestamp::UNIX_EPOCH, times: 1, timeline: Vec::new() }
    }

    #[test]
    fn only_a_comparison_closes_drift() {
        assert!(may_advance(&case(CaseKind::Drift, CaseStage::Open), CaseStage::Closed).is_err());
        assert!(may_advance(&case(CaseKind::Topic, CaseStage::Open), CaseStage::Closed).is_ok());
    }

    #[test]
    fn only_what_a_comparison_finds_is_repaired() {
        assert!(may_repair(&case(CaseKind::Drift, CaseStage::Acknowledged)).is_ok());
        assert!(may_repair(&case(CaseKind::Drift, CaseStage::Closed)).is_err());
        assert!(may_repair(&case(CaseKind::Quarantine, CaseStage::Open)).is_err());
    }

    #[test]
    fn no_stage_is_gone_back_to() {
        assert!(may_advance(&case(CaseKind::Drift, CaseStage::Open), CaseStage::Acknowledged).is_ok());
        assert!(may_advance(&case(CaseKind::Drift, CaseStage::Repairing), CaseStage::Acknowledged).is_err());
    }
}
