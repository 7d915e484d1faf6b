//! `seamline who-uses REF`: each consumer of a thing, where it lands, and what lies between.

use crate::exit::Exit;
use crate::opened::opened;
use crate::terminal::{Format, columns, counted};
use crate::thing::thing;
use anyhow::Result;
use seamline_rules::consumers::{Carrier, Consumers, Use, consumers};
use seamline_rules::landing::Landing;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Shows who uses a contract, an attribute, a value, an event, a command or a view: directly, and through what is carried,
/// computed, derived or served from it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// context/contract@major, then .attribute, .attribute.value, .Event, .Command or /view.
    reference: String,
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    estate: PathBuf,
    /// Only who reads it by this contract.
    #[arg(long)]
    direct: bool,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs the command.
///
/// # Errors
/// When there is no estate, or the reference leads nowhere.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.estate)?;
    let thing = thing(&opened.reading.estate, &args.reference)?;
    let found = consumers(&opened.reading.estate, &thing, !args.direct);
    match args.format {
        Format::Json => println!("{}", document(&thing.to_string(), &found)),
        Format::Text => print!("{}", text(&thing.to_string(), &found)),
    }
    Ok(Exit::Clean)
}

fn text(thing: &str, found: &Consumers) -> String {
    let mut text = if found.uses.is_empty() {
        format!("nobody uses {thing}\n")
    } else {
        format!("{thing} is used by {}\n", counted(found.uses.len() as u64, "consumer"))
    };
    for used in &found.uses {
        text.push_str(&format!("\n{}\n", used.subscription));
        let facts = [
            ("team", used.team.as_ref().map(ToString::to_string)),
            ("purpose", used.purpose.as_ref().map(ToString::to_string)),
            ("through", (!used.through.is_empty()).then(|| through(used))),
        ];
        let facts = facts.into_iter().filter_map(|(fact, value)| Some((fact.to_owned(), value?)));
        let landings = used.landings.iter().enumerate();
        let landings = landings
            .map(|(idx, landing)| (if idx == 0 { "by".to_owned() } else { String::new() }, told(landing)));
        let rows: Vec<Vec<String>> =
            facts.chain(landings).map(|(fact, value)| vec![String::new(), fact, value]).collect();
        text.push_str(&columns(&rows));
    }
    if !found.carriers.is_empty() {
        text.push_str("\nwhat comes from it\n");
        let row = |it: &Carrier| {
            vec![String::new(), it.thing.to_string(), it.means.to_string(), format!("from {}", it.of)]
        };
        text.push_str(&columns(&found.carriers.iter().map(row).collect::<Vec<_>>()));
    }
    let next = match found.uses.first() {
        Some(used) => format!("seamline show {} --agreement", used.subscription),
        None => "seamline check".to_owned(),
    };
    text.push_str(&format!("\nnext: {next}\n"));
    text
}

fn through(used: &Use) -> String {
    used.through.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ")
}

/// Says where something lands, with what a translation makes of it.
fn told(landing: &Landing) -> String {
    match landing {
        Landing::Column { path, .. } => format!("{landing}, which holds `{path}`"),
        Landing::Translation { is, .. } => format!("{landing}, which is `{is}`"),
        other => other.to_string(),
    }
}

fn document(thing: &str, found: &Consumers) -> Value {
    let uses: Vec<Value> = found
        .uses
        .iter()
        .map(|used| {
            json!({
                "subscription": used.subscription.to_string(),
                "team": used.team.as_ref().map(ToString::to_string),
                "purpose": used.purpose.as_ref().map(ToString::to_string),
                "through": used.through.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "landings": used.landings.iter().map(landing).collect::<Vec<_>>(),
            })
        })
        .collect();
    let carriers: Vec<Value> = found
        .carriers
        .iter()
        .map(|it| json!({ "thing": it.thing.to_string(), "means": it.means.to_string(), "of": it.of.to_string() }))
        .collect();
    json!({ "schema": "seamline/who-uses/v1", "of": thing, "uses": uses, "carriers": carriers })
}

fn landing(landing: &Landing) -> Value {
    let mut value = json!({ "kind": landing.kind() });
    match landing {
        Landing::Key => {}
        Landing::Column { column, path } => {
            value["column"] = json!(column);
            value["attribute"] = json!(path.to_string());
        }
        Landing::Translation { column, is } => {
            value["column"] = json!(column);
            value["is"] = json!(is);
        }
        Landing::Asks(path) => value["attribute"] = json!(path.to_string()),
        Landing::Reaction(event) => value["event"] = json!(event.to_string()),
        Landing::Sends(command) => value["command"] = json!(command.to_string()),
        Landing::View(view) => value["view"] = json!(view.to_string()),
        Landing::Need(promise, need) => {
            value["promise"] = json!(promise);
            value["need"] = json!(need);
        }
    }
    value
}
