//! What becomes of items in quarantine: one tried again, one or all of an issue given up with a reason.

use super::item::{Item, Walk};
use super::{context_of, found, is_issue, issue_of};
use crate::case::note_quarantine;
use crate::exit::{Exit, unreachable};
use crate::site::{Where, agents, block_on, contexts, no_answer, release};
use crate::terminal::{Writing, counted};
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_contract::id::{ContextId, ContractId};
use seamline_flow::digest_key;
use seamline_flow::hold::DigestEpoch;
use seamline_flow::intake::Intake;
use seamline_flow::quarantine::{Treated, discard, redrive};
use seamline_flow::source::{AsideRow, Source};
use seamline_flow::store::AsideRecord;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Arguments of `redrive` and `discard`.
#[derive(Debug, clap::Args)]
pub(crate) struct TreatArgs {
    /// The item or the issue, as `list` prints it; to redrive also a contract or a subscription.
    pub(super) item: String,
    /// Why, for the timeline of its case.
    #[arg(long, value_name = "TEXT")]
    pub(super) because: String,
    #[command(flatten)]
    pub(super) place: Where,
    #[command(flatten)]
    pub(super) writing: Writing,
}

/// What is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Tried again.
    Redrive,
    /// Given up.
    Discard,
}

/// Treats an item, or gives up all items of an issue.
///
/// # Errors
/// When there is none, or it cannot be treated.
pub(super) fn treat(args: &TreatArgs, wish: Wish) -> Result<Exit> {
    let site = args.place.site()?;
    let whole = is_issue(&args.item);
    let contexts = if whole { contexts(&site, &[])? } else { vec![context_of(&site, &args.item)?] };
    let verb = wish.verb();
    block_on(async {
        let agents = agents(&site, &contexts).await?;
        let text = args.writing.is_text();
        let plan = if whole {
            let issue = issue_of(&agents, &args.item).await?;
            let (broken, behind) = (counted(issue.broken, "item"), issue.behind);
            format!("{broken} of {}, {behind} behind: {} at `{}`", issue.subject, issue.rule, issue.path)
        } else {
            let (agent, item) = found(&agents, &args.item).await?;
            format!("{} of {}: {}", args.item, item.subject(&agent.context), item.reason())
        };
        if text {
            println!("{verb} {plan}");
        }
        if !args.writing.agreed(&format!("{verb} it?"))? {
            if text {
                println!("nothing was written\nnext: seamline quarantine list{}", args.place.arguments());
            } else {
                println!("{}", result(args, verb, "nothing was written"));
            }
            return Ok(Exit::Clean);
        }
        let treated = if whole { all(&agents, args).await } else { one(&agents, args, wish).await };
        let released = release(&agents).await;
        let (context, said) = treated?;
        released?;
        if text {
            println!("{said}\nnext: seamline agent {context} --until-idle{}", args.place.arguments());
        } else {
            println!("{}", result(args, verb, &said));
        }
        Ok(Exit::Clean)
    })
}

impl Wish {
    fn verb(self) -> &'static str {
        match self {
            Wish::Redrive => "redrive",
            Wish::Discard => "discard",
        }
    }
}

async fn one(agents: &[Agent], args: &TreatArgs, wish: Wish) -> Result<(ContextId, String)> {
    let (agent, item) = found(agents, &args.item).await?;
    let said = match &item {
        Item::Row(row) => treat_row(agent, row, wish).await?,
        Item::Record(record) => treat_record(agent, record, wish).await?,
    };
    note(agent, &item, args, wish).await?;
    Ok((agent.context.clone(), said))
}

/// Says in the timeline of its case what was done, and why.
async fn note(agent: &Agent, item: &Item, args: &TreatArgs, wish: Wish) -> Result<()> {
    let note = format!("{} {}: {}", wish.verb(), args.item, args.because);
    note_quarantine(&agent.database, &job_subject(agent, item), &note).await
}

/// Gives up all items of an issue, page by page. What cannot be given up stays and is counted.
async fn all(agents: &[Agent], args: &TreatArgs) -> Result<(ContextId, String)> {
    let (mut treated, mut stayed, mut told) = (0, 0, None);
    for agent in agents {
        let (mut walk, mut noted) = (Walk::default(), false);
        loop {
            let page = walk.next(agent).await?;
            if page.is_empty() {
                break;
            }
            let is_asked = |it: &Item| it.issue(&agent.context).as_deref() == Some(&args.item);
            let items: Vec<Item> = page.into_iter().filter(is_asked).collect();
            if let Some(first) = items.first().filter(|_| !noted) {
                note(agent, first, args, Wish::Discard).await?;
                (noted, told) = (true, Some(agent.context.clone()));
            }
            let mut keys: BTreeMap<ContractId, BTreeSet<String>> = BTreeMap::new();
            for item in &items {
                match item {
                    Item::Row(row) => {
                        Source::discard(&agent.database, row.sequence).await.map_err(no_answer)?;
                        keys.entry(row.contract.clone()).or_default().insert(row.key.clone());
                        treated += 1;
                    }
                    Item::Record(record) => match treat_record(agent, record, Wish::Discard).await {
                        Ok(_) => treated += 1,
                        Err(_) => stayed += 1,
                    },
                }
            }
            // Of a key whose broken row was given up, what waited behind it goes on.
            for (contract, keys) in keys {
                let keys: Vec<String> = keys.into_iter().collect();
                Source::redrive_all(&agent.database, &contract, &keys).await.map_err(no_answer)?;
            }
        }
    }
    let context = told.unwrap_or_else(|| agents[0].context.clone());
    let stayed = if stayed > 0 { format!("; {stayed} stay, for the same reason") } else { String::new() };
    Ok((context, format!("{} given up{stayed}", counted(treated, "item"))))
}

fn result(args: &TreatArgs, verb: &str, said: &str) -> Value {
    json!({ "schema": "seamline/quarantine-act/v1", "item": args.item, "act": verb, "result": said })
}

/// Returns the printed contract or subscription under which cases and jobs of an item are.
pub(super) fn job_subject(agent: &Agent, item: &Item) -> String {
    match item {
        Item::Row(row) => {
            let outlet = agent.outlets.as_ref().and_then(|outlets| outlets.get(&row.contract));
            outlet.map_or_else(|| row.contract.to_string(), |outlet| outlet.contract.to_string())
        }
        Item::Record(record) => record.lane.subscription.to_string(),
    }
}

async fn treat_row(agent: &Agent, row: &AsideRow, wish: Wish) -> Result<String> {
    if wish == Wish::Redrive {
        let moved = Source::redrive(&agent.database, &row.contract, &row.key).await.map_err(no_answer)?;
        return Ok(format!("{moved} rows of {} are in the outbox again", row.key));
    }
    let there = Source::discard(&agent.database, row.sequence).await.map_err(no_answer)?;
    Ok(if there { "discarded; rows behind it wait until they are redriven" } else { "it was gone already" }
        .to_owned())
}

async fn treat_record(agent: &Agent, record: &AsideRecord, wish: Wish) -> Result<String> {
    let lane = &record.lane;
    let intake: Option<&Intake> =
        agent.intakes.iter().find(|intake| intake.subscription == lane.subscription);
    let key = digest_key::current(agent.log.as_ref(), &lane.topic).await.map_err(no_answer)?;
    let (Some(intake), Some((epoch, key))) = (intake, key) else {
        return Err(unreachable(format!("`{}` is not read any more", lane.topic), "see `seamline show`"));
    };
    let digest = DigestEpoch { epoch, key };
    let treated = match wish {
        Wish::Redrive => redrive(agent.ports(), intake, digest, lane, record.offset).await,
        Wish::Discard => discard(agent.ports(), intake, digest, lane, record.offset).await,
    };
    match treated.map_err(no_answer)? {
        Treated::Done { inbox, verdict } => {
            let verdict = verdict.map(|verdict| format!(", without effect: {verdict:?}").to_lowercase());
            Ok(format!("done; {inbox} reactions in the inbox{}", verdict.unwrap_or_default()))
        }
        Treated::Gone => Ok("it was gone already".to_owned()),
        Treated::StillInvalid(reason) => Err(unreachable(
            format!("it still breaks its contract: {reason}"),
            "mend the contract or its producer, or discard it",
        )),
        Treated::StillBroken => {
            Err(unreachable("its chain is still broken before it", "redrive or discard what is before it"))
        }
        Treated::NotFirst { first } => {
            let (lane, topic) = (&lane.subscription, &lane.topic);
            let message =
                format!("an earlier record of its key waits, at offset {first} of `{topic}` for {lane}");
            Err(unreachable(message, "treat that one first"))
        }
        Treated::Busy { .. } => Err(unreachable("another holds the lane", "try again in a moment")),
        Treated::Refused(reason) => Err(unreachable(reason, "see `seamline case list`")),
    }
}
