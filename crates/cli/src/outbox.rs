//! `seamline outbox rebase`: after a restore, the next incarnation of an outbox begins, and every key is published in it.

use crate::exit::{Exit, Refusal, unreachable};
use crate::opened::context;
use crate::site::{Where, agents, block_on, no_answer, release};
use crate::terminal::{Writing, counted};
use anyhow::Result;
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_agent::clock::SystemClock;
use seamline_agent::database::Database;
use seamline_contract::id::ContextId;
use seamline_flow::case::{CaseKind, CaseStage, Cases};
use seamline_flow::outlet::OutletSet;
use seamline_flow::rebase::{Filled, INCARNATION_MAX, Plan, Rebased, plan, rebase};
use seamline_flow::relay::{FIRST_ROWS, RelayPorts};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// What is done to an outbox as a whole.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Rebase(RebaseArgs),
}

/// Begins the next incarnation of a context's outboxes: after a restore of its database, a failover that lost commits, or a log
/// that lost its end; and when keys move here from another database or from a feed of changes.
///
/// Rows that wait get new sequences, rows that are in the log already leave, every key is published again, and keys that only
/// the log has end. Consumers take it as newer than all before. It needs the outbox for itself: stop its agents. It may be
/// repeated after any end.
#[derive(Debug, clap::Args)]
pub(crate) struct RebaseArgs {
    /// The context.
    context: String,
    /// After how many seconds others may take over from one that died.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Runs the command.
///
/// # Errors
/// When the context is not installed, somebody else holds its outbox, or a port does not answer.
pub(crate) fn run(verb: &Verb) -> Result<Exit> {
    let Verb::Rebase(args) = verb;
    let site = args.place.site()?;
    let context = context(&site.estate, &args.context)?;
    let place = args.place.arguments();
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let publishing: Vec<(&Agent, &OutletSet)> =
            agents.iter().filter_map(|agent| Some((agent, agent.outlets.as_ref()?))).collect();
        if publishing.is_empty() {
            return Err(unreachable(
                format!("context `{context}` publishes nothing"),
                "name the context whose database was restored",
            ));
        }
        let mut plans = Vec::new();
        for (agent, outlets) in &publishing {
            plans.push(plan(&agent.database, agent.log.as_ref(), outlets).await.map_err(no_answer)?);
        }
        let text = args.writing.is_text();
        if text {
            plans.iter().for_each(|plan| print!("{}", said(plan)));
        }
        let agreed = args.writing.agreed("open it?")?;
        let mut done = Vec::new();
        for (agent, outlets) in publishing.iter().filter(|_| agreed) {
            done.push(one(agent, outlets, Duration::from_secs(args.lease), text).await?);
        }
        if agreed {
            release(&agents).await?;
        }
        tell(args, &context, &place, &plans, &done);
        Ok(Exit::Clean)
    })
}

fn tell(args: &RebaseArgs, context: &ContextId, place: &str, plans: &[Plan], done: &[Filled]) {
    if !args.writing.is_text() {
        let plans: Vec<Value> = plans.iter().map(document).collect();
        let done: Vec<Value> =
            done.iter().map(|it| json!({ "published": it.keys, "ended": it.ended })).collect();
        println!("{}", json!({ "schema": "seamline/rebase/v1", "plans": plans, "done": done }));
        return;
    }
    for filled in done {
        println!(
            "{} published again, {} ended that only the log had",
            counted(filled.keys, "key"),
            counted(filled.ended, "key")
        );
    }
    if done.is_empty() {
        println!("nothing was written\nnext: seamline outbox rebase {context}{place}");
    } else {
        println!("the agent of `{context}` carries on what is there; then compare");
        println!("next: seamline agent {context} --until-idle{place}");
    }
}

async fn one(agent: &Agent, outlets: &OutletSet, ttl: Duration, text: bool) -> Result<Filled> {
    let ports = RelayPorts {
        source: &agent.database,
        log: agent.log.as_ref(),
        clock: &SystemClock,
        holder: agent.holder(),
        ttl,
        first_rows: FIRST_ROWS,
    };
    let shows = text && std::io::stderr().is_terminal();
    let mut told = |rows: u64| {
        if shows {
            eprint!("\r{} written", counted(rows, "row"));
            let _ = std::io::stderr().flush();
        }
    };
    let rebased = rebase(ports, outlets, &mut told).await.map_err(no_answer)?;
    if shows {
        eprintln!();
    }
    match rebased {
        Rebased::Done(filled) => {
            close(&agent.database, &outlets.source_name()).await?;
            Ok(filled)
        }
        Rebased::Busy { until } => Err(unreachable(
            format!("another holds the outbox of `{}` until {until}", outlets.source_name()),
            "stop the agents of this context, and run it again: what was done is not done twice",
        )),
        Rebased::Exhausted => Err(Refusal {
            exit: Exit::Internal,
            message: format!("`{}` has had {INCARNATION_MAX} incarnations", outlets.source_name()),
            help: "there is no sequence above the last one: a new major begins its history anew".to_owned(),
        }
        .into()),
    }
}

/// Closes the case of the history that ended.
async fn close(database: &Database, source: &str) -> Result<()> {
    for case in database.cases(false).await.map_err(no_answer)? {
        if case.raised.kind == CaseKind::Rewound && case.raised.subject == source {
            let note = "rebased: the next incarnation is open and filled";
            let now = Timestamp::now();
            database.advance(case.id, CaseStage::Closed, note, now).await.map_err(no_answer)?;
        }
    }
    Ok(())
}

fn document(plan: &Plan) -> Value {
    json!({
        "source": plan.source,
        "why": plan.why,
        "from": plan.from,
        "to": plan.to,
        "resumes": plan.resumes,
        "waiting": plan.waiting,
        "inTheLog": plan.published.len(),
    })
}

fn said(plan: &Plan) -> String {
    let history = match plan.why {
        Some(why) => format!("is not of one history with the log: {why}"),
        None => "is of one history with the log".to_owned(),
    };
    let mut text = format!("`{}` {history}\n", plan.source);
    if plan.resumes {
        text.push_str(&format!("  incarnation {} is open, and is filled from where it was left\n", plan.to));
    } else {
        text.push_str(&format!("  incarnation {} → {}\n", plan.from, plan.to));
        let (waiting, there) = (plan.waiting, plan.published.len());
        text.push_str(&format!(
            "  rows that wait: {waiting} get new sequences, {there} are in the log already and leave\n"
        ));
    }
    text.push_str("  every key is published again; keys that only the log has end\n");
    text.push_str("  events of before are not sent again: what was lost with the old history stays lost\n");
    text
}
