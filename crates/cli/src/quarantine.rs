//! `seamline quarantine list|show|redrive|discard`: what broke its contract and waits, at sources and at consumers.

use crate::case::note_quarantine;
use crate::exit::{Exit, unreachable, usage};
use crate::site::{Where, agents, block_on, contexts, no_answer, release};
use crate::terminal::{Format, Writing, columns, counted};
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use seamline_flow::digest_key;
use seamline_flow::hold::DigestEpoch;
use seamline_flow::intake::Intake;
use seamline_flow::quarantine::{Treated, discard, redrive};
use seamline_flow::source::{AsideRow, Source};
use seamline_flow::store::{AsideCause, AsideRecord, Store};
use serde_json::{Value, json};

/// At most so many are listed of each source and each subscription.
const LISTED_MAX: usize = 1000;

/// What is done with what waits.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Lists what waits in contexts.
    List(ListArgs),
    /// Shows one item.
    Show(ShowArgs),
    /// Tries an item again: at a source all rows of its key, in their order.
    Redrive(TreatArgs),
    /// Gives an item up.
    Discard(TreatArgs),
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The contexts; all by default.
    contexts: Vec<String>,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The item, as `list` prints it.
    item: String,
    #[command(flatten)]
    place: Where,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `redrive` and `discard`.
#[derive(Debug, clap::Args)]
pub(crate) struct TreatArgs {
    /// The item, as `list` prints it.
    item: String,
    /// Why, for the timeline of its case.
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Something that waits.
enum Item {
    Row(AsideRow),
    Record(AsideRecord),
}

impl Item {
    /// Returns its name: context/sequence, or context/subscription/topic/partition/offset.
    fn name(&self, context: &ContextId) -> String {
        match self {
            Item::Row(row) => format!("{context}/{}", row.sequence.0),
            Item::Record(record) => {
                let lane = &record.lane;
                format!("{}/{}/{}/{}", lane.subscription, lane.topic, lane.partition, record.offset)
            }
        }
    }

    fn subject(&self, context: &ContextId) -> String {
        match self {
            Item::Row(row) => format!("{context}/{}", row.contract),
            Item::Record(record) => record.lane.subscription.to_string(),
        }
    }

    fn key(&self) -> String {
        match self {
            Item::Row(row) => row.key.clone(),
            Item::Record(record) => {
                record.key.as_ref().map_or_else(|| "not a key".to_owned(), ToString::to_string)
            }
        }
    }

    /// Returns why it waits. No value is in it.
    fn reason(&self) -> String {
        match self {
            Item::Row(AsideRow { violation: None, .. }) => {
                "waits behind an earlier row of its key".to_owned()
            }
            Item::Row(AsideRow { violation: Some((rule, path, message)), .. }) => {
                format!("{rule} at `{path}`: {message}")
            }
            Item::Record(record) => match &record.cause {
                AsideCause::Invalid { rule, path, message } => format!("{rule} at `{path}`: {message}"),
                AsideCause::Behind => "waits behind an earlier record of its key".to_owned(),
                AsideCause::Gap { .. } => "its chain is broken before it".to_owned(),
            },
        }
    }

    fn document(&self, context: &ContextId) -> Value {
        let (since, what) = match self {
            Item::Row(row) => (row.since, row.change.clone()),
            Item::Record(record) => (record.since, None),
        };
        json!({
            "item": self.name(context),
            "subject": self.subject(context),
            "key": self.key(),
            "event": what,
            "reason": self.reason(),
            "since": since.to_string(),
            "bytes": match self {
                Item::Row(_) => None,
                Item::Record(record) => record.value.as_ref().map(Vec::len),
            },
        })
    }
}

/// Runs the command.
///
/// # Errors
/// When a context is not installed, there is no such item, or it cannot be treated.
pub(crate) fn run(verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List(args) => list(args),
        Verb::Show(args) => show(args),
        Verb::Redrive(args) => treat(args, Wish::Redrive),
        Verb::Discard(args) => treat(args, Wish::Discard),
    }
}

/// Returns all that waits in a context.
async fn items(agent: &Agent) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    if agent.outlets.is_some() {
        let rows = Source::aside(&agent.database, LISTED_MAX).await.map_err(no_answer)?;
        items.extend(rows.into_iter().map(Item::Row));
    }
    for intake in &agent.intakes {
        let records =
            Store::aside(&agent.database, &intake.subscription, None, LISTED_MAX).await.map_err(no_answer)?;
        items.extend(records.into_iter().map(Item::Record));
    }
    Ok(items)
}

fn list(args: &ListArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    block_on(async {
        let mut all = Vec::new();
        for agent in agents(&site, &contexts).await? {
            let items = items(&agent).await?;
            all.extend(items.into_iter().map(|item| (agent.context.clone(), item)));
        }
        if args.format == Format::Json {
            let items: Vec<Value> = all.iter().map(|(context, item)| item.document(context)).collect();
            println!("{}", json!({ "schema": "seamline/quarantine/v1", "items": items }));
            return Ok(Exit::Clean);
        }
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|(context, item)| vec![item.name(context), item.subject(context), item.key(), item.reason()])
            .collect();
        print!("{}", columns(&rows));
        println!("{} in quarantine", counted(all.len() as u64, "item"));
        let place = args.place.arguments();
        match all.first() {
            Some((context, item)) => println!("next: seamline quarantine show {}{place}", item.name(context)),
            None => println!("next: seamline status{place}"),
        }
        Ok(Exit::Clean)
    })
}

/// Returns the context that the name of an item begins with.
fn context_of(site: &Site, text: &str) -> Result<ContextId> {
    let Some((context, _)) = text.split_once('/') else {
        return Err(usage(format!("`{text}` is no item"), "name it as `seamline quarantine list` prints it"));
    };
    crate::opened::context(&site.estate, context)
}

async fn found<'a>(agents: &'a [Agent], text: &str) -> Result<(&'a Agent, Item)> {
    let mut all = Vec::new();
    for agent in agents {
        let items = items(agent).await?.into_iter();
        all.extend(items.filter(|item| item.name(&agent.context) == text).map(|item| (agent, item)));
    }
    if all.len() > 1 {
        let message = format!("`{text}` is in quarantine in {} databases of the context", all.len());
        return Err(usage(message, "treat it with SQL in the database that is meant"));
    }
    let help = "`seamline quarantine list` prints what waits";
    all.pop().ok_or_else(|| usage(format!("there is no item `{text}` in quarantine"), help))
}

fn show(args: &ShowArgs) -> Result<Exit> {
    let site = args.place.site()?;
    let context = context_of(&site, &args.item)?;
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let (_, item) = found(&agents, &args.item).await?;
        let mut document = item.document(&context);
        if args.format == Format::Json {
            document["schema"] = json!("seamline/quarantine-item/v1");
            println!("{document}");
            return Ok(Exit::Clean);
        }
        for (name, value) in document.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
        {
            println!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        println!("its values are masked; they are in the context's own database");
        println!("next: seamline quarantine redrive {} --because TEXT{}", args.item, args.place.arguments());
        Ok(Exit::Clean)
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Redrive,
    Discard,
}

fn treat(args: &TreatArgs, wish: Wish) -> Result<Exit> {
    let site = args.place.site()?;
    let context = context_of(&site, &args.item)?;
    let verb = if wish == Wish::Redrive { "redrive" } else { "discard" };
    block_on(async {
        let agents = agents(&site, std::slice::from_ref(&context)).await?;
        let (agent, item) = found(&agents, &args.item).await?;
        let text = args.writing.is_text();
        if text {
            println!("{verb} {} of {}: {}", args.item, item.subject(&context), item.reason());
        }
        if !args.writing.agreed(&format!("{verb} it?"))? {
            if text {
                println!("nothing was written\nnext: seamline quarantine list{}", args.place.arguments());
            } else {
                println!("{}", result(args, verb, "nothing was written"));
            }
            return Ok(Exit::Clean);
        }
        let treated = match &item {
            Item::Row(row) => treat_row(agent, row, wish).await,
            Item::Record(record) => treat_record(agent, record, wish).await,
        };
        let released = release(&agents).await;
        let said = treated?;
        released?;
        let subject = match &item {
            Item::Row(row) => outlet_name(agent, row),
            Item::Record(record) => record.lane.subscription.to_string(),
        };
        note_quarantine(&agent.database, &subject, &format!("{verb} {}: {}", args.item, args.because))
            .await?;
        if text {
            println!("{said}\nnext: seamline agent {context} --until-idle{}", args.place.arguments());
        } else {
            println!("{}", result(args, verb, &said));
        }
        Ok(Exit::Clean)
    })
}

fn result(args: &TreatArgs, verb: &str, said: &str) -> Value {
    json!({ "schema": "seamline/quarantine-act/v1", "item": args.item, "act": verb, "result": said })
}

/// Returns the printed contract under which the cases of a row are raised.
fn outlet_name(agent: &Agent, row: &AsideRow) -> String {
    let outlet = agent.outlets.as_ref().and_then(|outlets| outlets.get(&row.contract));
    outlet.map_or_else(|| row.contract.to_string(), |outlet| outlet.contract.to_string())
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
