//! `seamline install CONTEXT`: outbox, source views, projections and markers in a context's database; topics in the log.

use crate::exit::Exit;
use crate::opened::context;
use crate::site::{Where, block_on, refused};
use crate::terminal::Writing;
use anyhow::{Context, Result};
use seamline_agent::agent::{Agent, Compiled};
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Installs what a context publishes and subscribes to. Repeating it brings it up to date.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The context.
    context: String,
    /// Print the SQL, and do nothing.
    #[arg(long)]
    print: bool,
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
        for statement in compiled.install_sql().map_err(refused)? {
            println!("{statement};");
        }
        return Ok(Exit::Clean);
    }
    let mut plan = plan(&site, &context, &compiled)?;
    if args.writing.is_text() {
        print!("{}", text(&plan));
    }
    let agreed = args.writing.agreed("install it?")?;
    if agreed {
        block_on(install(&site, &context))?;
    }
    if args.writing.is_text() {
        println!("{}", if agreed { "installed" } else { "nothing was written" });
        let verb = if agreed { "agent" } else { "install" };
        println!("next: seamline {verb} {context}{}", args.place.arguments());
    } else {
        plan["installed"] = json!(agreed);
        println!("{plan}");
    }
    Ok(Exit::Clean)
}

async fn install(site: &Site, context: &ContextId) -> Result<Exit> {
    let log = site.log(true).await.map_err(|error| refused(error.into()))?;
    let database = site.database_path(context).map_err(|error| refused(error.into()))?;
    let was_there = database.exists();
    let agent = Agent::open(site, context, Arc::new(log), true).await.map_err(refused)?;
    if let Err(error) = agent.install().await {
        drop(agent);
        if !was_there {
            remove(&database)?;
        }
        return Err(refused(error));
    }
    Ok(Exit::Clean)
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
fn plan(site: &Site, context: &ContextId, compiled: &Compiled) -> Result<Value> {
    let file = |path: &Path| json!({ "file": path.display().to_string(), "exists": path.exists() });
    let mut published: Vec<Value> = Vec::new();
    let mut topics: Vec<String> = Vec::new();
    for outlet in compiled.outlets.iter().flat_map(|outlets| outlets.iter()) {
        let publication = site.estate.publication(&outlet.contract.name);
        let table = publication.map(|it| it.table.clone());
        published.push(json!({ "contract": outlet.contract.to_string(), "readFrom": table }));
        topics.extend(outlet.channels.iter().map(|channel| channel.topic.clone()));
    }
    let subscribed: Vec<Value> = compiled
        .intakes
        .iter()
        .map(|intake| {
            let projection = intake.state.as_ref().map(|state| &state.projection);
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
    Ok(json!({
        "schema": "seamline/install/v1",
        "context": context.to_string(),
        "database": file(&site.database_path(context).map_err(|error| refused(error.into()))?),
        "log": file(&site.log_path().map_err(|error| refused(error.into()))?),
        "publishes": published,
        "topics": topics,
        "subscribes": subscribed,
    }))
}

fn text(plan: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let words = |value: &Value| {
        let all: Vec<String> = value.as_array().into_iter().flatten().map(word).collect();
        all.join(", ")
    };
    let each = |name: &str| plan[name].as_array().cloned().unwrap_or_default();
    let mut text = String::new();
    for (what, name) in [("database", "database"), ("log", "log")] {
        let there = if plan[name]["exists"] == json!(true) { "is there" } else { "will be made" };
        text.push_str(&format!("{what} {} ({there})\n", word(&plan[name]["file"])));
    }
    for it in each("publishes") {
        text.push_str(&format!(
            "  outbox for {}, read from `{}`\n",
            word(&it["contract"]),
            word(&it["readFrom"])
        ));
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
    text
}
