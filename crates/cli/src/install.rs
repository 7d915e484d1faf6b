//! `seamline install CONTEXT`: outbox, source views, projections and markers in a context's database; topics in the log.

use crate::exit::Exit;
use crate::opened::context;
use crate::site::{Where, block_on, no_answer, refused};
use crate::terminal::Writing;
use anyhow::{Context, Result};
use seamline_agent::agent::Agent;
use seamline_agent::compiled::Compiled;
use seamline_agent::site::Site;
use seamline_contract::id::{ContextId, ContractRef, SubscriptionRef};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Installs what a context publishes and subscribes to. Repeating it brings it up to date.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The context.
    context: String,
    /// Print the SQL with its grants and what the agent does in the log, and do nothing.
    #[arg(long)]
    print: bool,
    /// With --print: the role as which the service publishes.
    #[arg(long, value_name = "ROLE", default_value = "service")]
    service_role: String,
    /// With --print: the role as which the agent works.
    #[arg(long, value_name = "ROLE", default_value = "seamline_agent")]
    agent_role: String,
    /// With --print: as whom the agent works in Apache Kafka.
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "NAME", default_value = "seamline-agent")]
    principal: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    writing: Writing,
}

/// Runs the command.
///
/// # Errors
/// When the context, its contracts or its files cannot be used.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let site = args.place.site()?;
    let context = context(&site.estate, &args.context)?;
    let compiled = Compiled::of(&site, &context).map_err(refused)?;
    if args.print {
        for compiled in &compiled {
            print(args, compiled)?;
        }
        return Ok(Exit::Clean);
    }
    let mut plan = plan(&site, &context, &compiled)?;
    if args.writing.is_text() {
        print!("{}", text(&plan));
    }
    let agreed = args.writing.agreed("install it?")?;
    let (mut to_fill, mut gaps) = (Vec::new(), Vec::new());
    if agreed {
        block_on(async {
            (to_fill, gaps) = install(&site, &context, compiled).await?;
            Ok(Exit::Clean)
        })?;
    }
    if args.writing.is_text() {
        println!("{}", if agreed { "installed" } else { "nothing was written" });
        for contract in &to_fill {
            println!(
                "the topics of {contract} are empty, and its source is not: who reads it waits for a backfill"
            );
        }
        for subscription in &gaps {
            println!(
                "{subscription} reacted to an older major, and begins with this one when its agent first runs: what comes \
                 between is lost to it\n  write under `startsAt` a moment before the agents of the older major stop; what \
                 comes twice has the same sequence"
            );
        }
        let next = match to_fill.first() {
            Some(contract) => format!("backfill {contract}"),
            None => format!("{} {context}", if agreed { "agent" } else { "install" }),
        };
        println!("next: seamline {next}{}", args.place.arguments());
    } else {
        plan["installed"] = json!(agreed);
        plan["gaps"] = json!(gaps.iter().map(ToString::to_string).collect::<Vec<_>>());
        plan["toFill"] = json!(to_fill.iter().map(ToString::to_string).collect::<Vec<_>>());
        println!("{plan}");
    }
    Ok(Exit::Clean)
}

/// Prints what is to be run by hand for one database: the SQL with its grants, and what its agent does in the log.
fn print(args: &Args, compiled: &Compiled) -> Result<()> {
    println!("-- database: {}", compiled.place);
    for statement in compiled.install_sql().map_err(refused)? {
        println!("{};", statement.trim_end().trim_end_matches(';'));
    }
    let grants = compiled.grants(&args.service_role, &args.agent_role);
    if !grants.is_empty() {
        println!(
            "-- rights: the service publishes as `{}`, the agent works as `{}`",
            args.service_role, args.agent_role
        );
    }
    for grant in grants {
        println!("{};", grant.trim_end().trim_end_matches(';'));
    }
    if let Some(last) = compiled.install_last() {
        println!("-- last, in a transaction of its own, as a role that may replicate:\n{last};");
    }
    let (written, read) = compiled.topics();
    written.iter().for_each(|topic| println!("-- topic written: {topic}"));
    read.iter().for_each(|topic| println!("-- topic read: {topic}"));
    #[cfg(feature = "kafka")]
    for line in compiled.access(&args.principal) {
        println!("-- {line}");
    }
    Ok(())
}

/// Installs, and returns the contracts that were published before and whose topics of state hold nothing, and the subscriptions
/// whose reactions would have a gap.
async fn install(
    site: &Site,
    context: &ContextId,
    compiled: Vec<Compiled>,
) -> Result<(Vec<ContractRef>, Vec<SubscriptionRef>)> {
    let log = site.log(true).await.map_err(|error| refused(error.into()))?;
    let log = Arc::new(log);
    let (mut to_fill, mut gaps) = (Vec::new(), Vec::new());
    for compiled in compiled {
        let file = compiled.place.file().map(Path::to_owned);
        let is_new = file.as_ref().is_some_and(|file| !file.exists());
        let opened = Agent::open(site, context, compiled, Arc::clone(&log), true).await;
        let agent = opened.map_err(refused)?;
        if let Err(error) = agent.install().await {
            drop(agent);
            if let Some(file) = file.filter(|_| is_new) {
                remove(&file)?;
            }
            return Err(refused(error));
        }
        to_fill.extend(agent.to_fill().await.map_err(no_answer)?);
        gaps.extend(agent.with_a_gap().await.map_err(no_answer)?);
    }
    Ok((to_fill, gaps))
}

/// Removes a database that only this call made: it holds nothing, and would pass for the service's own next time.
fn remove(database: &Path) -> Result<()> {
    for beside in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{beside}", database.display()));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove `{}`", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns what would be made where. Nothing is opened.
fn plan(site: &Site, context: &ContextId, compiled: &[Compiled]) -> Result<Value> {
    // Whether a server has what is asked of it is seen when it is asked.
    let place = |name: &str, file: Option<&Path>| json!({ "place": name, "exists": file.map(Path::exists) });
    let mut published: Vec<Value> = Vec::new();
    let mut topics: Vec<String> = Vec::new();
    for outlet in compiled.iter().filter_map(|it| it.outlets.as_ref()).flat_map(|outlets| outlets.all()) {
        let publication = site.estate.publication(&outlet.contract.name);
        let table = publication.map(|it| it.table.clone());
        published.push(json!({
            "contract": outlet.contract.to_string(),
            "readFrom": table,
            "refused": renamed(site, &outlet.contract),
        }));
        topics.extend(outlet.channels.iter().map(|channel| channel.topic.clone()));
    }
    let subscribed: Vec<Value> = compiled
        .iter()
        .flat_map(|it| &it.intakes)
        .map(|intake| {
            let projection = intake.table().map(|table| &table.projection);
            let columns =
                projection.map(|it| it.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>());
            let events = intake.events.as_ref().map(|events| &events.reacts_to);
            let inbox: Vec<String> = events.into_iter().flatten().map(ToString::to_string).collect();
            json!({
                "subscription": intake.subscription.to_string(),
                "table": projection.map(|it| it.table.clone()),
                "columns": columns,
                "inbox": inbox,
            })
        })
        .collect();
    topics.extend(compiled.iter().flat_map(|it| it.errands.made_topics().map(ToOwned::to_owned)));
    topics.extend(compiled.iter().flat_map(|it| &it.outflows).map(|it| it.topic.name.clone()));
    let rules = || compiled.iter().map(|it| &it.errands.rules);
    let sends: Vec<Value> = rules()
        .flat_map(|rules| &rules.sends)
        .map(|it| json!({ "command": it.command.to_string(), "contract": it.contract.to_string() }))
        .collect();
    let receives: Vec<Value> = rules()
        .flat_map(|rules| &rules.receives)
        .map(|it| json!({ "command": it.command.to_string(), "inbox": it.subscription.to_string() }))
        .collect();
    let databases: Vec<Value> =
        compiled.iter().map(|it| place(&it.place.to_string(), it.place.file())).collect();
    Ok(json!({
        "schema": "seamline/install/v1",
        "context": context.to_string(),
        "databases": databases,
        "log": place(&site.log_name().map_err(|error| refused(error.into()))?, site.log_path().ok().as_deref()),
        "publishes": published,
        "topics": topics,
        "subscribes": subscribed,
        "sends": sends,
        "receives": receives,
    }))
}

/// Returns the events that a service may have published until now, and that the newest text calls something else: what tells of
/// them by the older name is refused once it is installed.
fn renamed(site: &Site, reference: &ContractRef) -> Vec<Value> {
    let Some(contract) = site.estate.contract(reference).filter(|it| !it.frozen) else { return Vec::new() };
    let pairs = contract.serves.iter().flat_map(|older| &older.events);
    let gone = pairs.filter(|(old, new)| old != new && contract.event(old).is_none());
    gone.map(|(old, new)| json!({ "event": old.to_string(), "now": new.to_string() })).collect()
}

fn text(plan: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let words = |value: &Value| {
        let all: Vec<String> = value.as_array().into_iter().flatten().map(word).collect();
        all.join(", ")
    };
    let each = |name: &str| plan[name].as_array().cloned().unwrap_or_default();
    let mut text = String::new();
    for (what, it) in
        each("databases").into_iter().map(|it| ("database", it)).chain([("log", plan["log"].clone())])
    {
        let there = match it["exists"].as_bool() {
            Some(true) => " (is there)",
            Some(false) => " (will be made)",
            None => "",
        };
        text.push_str(&format!("{what} {}{there}\n", word(&it["place"])));
    }
    for it in each("publishes") {
        text.push_str(&format!(
            "  outbox for {}, read from `{}`\n",
            word(&it["contract"]),
            word(&it["readFrom"])
        ));
        for refused in it["refused"].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "    a service that publishes `{}` is refused from then on: it is called `{}` now\n",
                word(&refused["event"]),
                word(&refused["now"])
            ));
        }
    }
    for topic in each("topics") {
        text.push_str(&format!("  topic {}\n", word(&topic)));
    }
    for it in each("subscribes") {
        let subscription = word(&it["subscription"]);
        if it["table"].is_string() {
            text.push_str(&format!(
                "  table {} ({}) for {subscription}\n",
                word(&it["table"]),
                words(&it["columns"])
            ));
        }
        if it["inbox"] != json!([]) {
            text.push_str(&format!("  inbox of {} for {subscription}\n", words(&it["inbox"])));
        }
    }
    for it in each("sends") {
        text.push_str(&format!("  command {} to {}\n", word(&it["command"]), word(&it["contract"])));
    }
    for it in each("receives") {
        text.push_str(&format!("  inbox of {} as {}\n", word(&it["command"]), word(&it["inbox"])));
    }
    text
}
