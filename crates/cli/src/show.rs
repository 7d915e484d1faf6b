//! `seamline show [REF]`: what there is, what a contract promises, what a subscription uses, what two teams agreed on.

use crate::agreement;
use crate::exit::{Exit, unreachable, usage};
use crate::opened::{Named, named, opened};
use crate::schemas;
use crate::terminal::columns;
use anyhow::Result;
use seamline_contract::attribute::{Type, Unit};
use seamline_contract::channel::{ChannelTerms, DEFAULT_TOPICS, topic_name};
use seamline_contract::contract::Contract;
use seamline_contract::estate::Estate;
use seamline_contract::id::ContractRef;
use seamline_contract::resolve::{ResolvedAttribute, ResolvedContract, resolve};
use seamline_contract::subscription::{ColumnSource, OnDelete, OnInvalid, StartsAt, Subscription};
use seamline_rules::uses::uses;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Shows what a contract promises or a subscription uses; without a reference, what there is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A contract (context/contract or context/contract@major) or a subscription (context/subscription).
    reference: Option<String>,
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    estate: PathBuf,
    /// With everything that is inherited, carried or a default.
    #[arg(long)]
    resolved: bool,
    /// As a page for two teams: what is exchanged, who answers for it, what happens when something goes wrong. Of a
    /// contract: a page for each of its consumers.
    #[arg(long, conflicts_with = "resolved", requires = "reference")]
    agreement: bool,
    /// The Avro schema of each channel of a contract, with its id.
    #[arg(long, conflicts_with_all = ["resolved", "agreement"], requires = "reference")]
    avro: bool,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

/// In what form it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For a wiki; only with `--agreement`.
    Markdown,
}

/// Runs the command.
///
/// # Errors
/// When the reference leads nowhere, or the contract does not resolve.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.estate)?;
    let estate = &opened.reading.estate;
    let named = args.reference.as_ref().map(|reference| named(estate, reference)).transpose()?;
    if args.agreement {
        return agreements(estate, named, args.format);
    }
    if args.format == Form::Markdown {
        return Err(usage(
            "only an agreement is shown as Markdown",
            "add `--agreement`, or leave the format out",
        ));
    }
    if args.avro {
        let Some(Named::Contract(reference)) = named else {
            return Err(usage("a subscription has no schemas", "name the contract that it reads"));
        };
        return schemas::show(&resolved_contract(estate, &reference)?, args.format == Form::Json);
    }
    let document = match named {
        None => list(estate),
        Some(Named::Subscription(subscription)) => show_subscription(estate, subscription, args.resolved),
        Some(Named::Contract(reference)) => {
            show_contract(estate, &resolved_contract(estate, &reference)?, args.resolved)
        }
    };
    match args.format {
        Form::Json => println!("{document}"),
        Form::Text | Form::Markdown => {
            print!("{}", plain(&document));
            println!(
                "next: {}",
                if args.reference.is_some() { "seamline check" } else { "seamline show REF" }
            );
        }
    }
    Ok(Exit::Clean)
}

fn resolved_contract(estate: &Estate, reference: &ContractRef) -> Result<ResolvedContract> {
    resolve(estate, reference).map_err(|reasons| {
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        unreachable(reasons.join("; "), "run `seamline check` and mend it first")
    })
}

/// Shows the agreement of a subscription, or of each consumer of a contract.
fn agreements(estate: &Estate, named: Option<Named<'_>>, form: Form) -> Result<Exit> {
    let (reference, subscriptions): (ContractRef, Vec<&Subscription>) = match named {
        Some(Named::Subscription(subscription)) => (subscription.contract.clone(), vec![subscription]),
        Some(Named::Contract(reference)) => {
            let of_it = estate.subscriptions.iter().filter(|it| it.contract == reference).collect();
            (reference, of_it)
        }
        None => return Err(usage("it is not clear whose agreement is meant", "name a subscription")),
    };
    let contract = resolved_contract(estate, &reference)?;
    let pages: Vec<agreement::Page> =
        subscriptions.iter().map(|it| agreement::page(estate, &contract, it)).collect();
    let joined = |of: fn(&agreement::Page) -> String| pages.iter().map(of).collect::<Vec<_>>().join("\n");
    match form {
        Form::Json => println!("{}", Value::Array(pages.iter().map(agreement::document).collect())),
        Form::Markdown => print!("{}", joined(agreement::markdown)),
        Form::Text => {
            let next = match subscriptions.first() {
                Some(first) => format!("seamline accept {}", first.name),
                None => format!("seamline show {reference}"),
            };
            let nobody = || format!("nobody subscribes to {reference}\n");
            print!("{}", if pages.is_empty() { nobody() } else { joined(agreement::text) });
            println!("\nnext: {next}");
        }
    }
    Ok(Exit::Clean)
}

fn list(estate: &Estate) -> Value {
    let contracts: Vec<Value> = estate
        .contracts
        .iter()
        .map(|it| json!({ "contract": it.reference().to_string(), "status": it.status.to_string(), "meaning": it.meaning }))
        .collect();
    let subscriptions: Vec<Value> = estate
        .subscriptions
        .iter()
        .map(|it| json!({ "subscription": it.name.to_string(), "of": it.contract.to_string(), "role": it.role.to_string() }))
        .collect();
    json!({ "contracts": contracts, "subscriptions": subscriptions })
}

fn show_contract(estate: &Estate, resolved: &ResolvedContract, in_full: bool) -> Value {
    let contract = &resolved.contract;
    let team = estate.context(&contract.name.context).map(|context| context.team.to_string());
    let attributes: Vec<Value> = resolved.attributes.iter().map(|it| attribute(it, in_full)).collect();
    let events: Vec<Value> = contract
        .events
        .iter()
        .flat_map(|events| &events.events)
        .map(|event| {
            let carries: Vec<String> = resolved.event_paths(event, None).iter().map(ToString::to_string).collect();
            json!({ "event": event.name.to_string(), "carries": carries.join(", "), "meaning": event.meaning })
        })
        .collect();
    let consumers: Vec<Value> = estate
        .subscriptions
        .iter()
        .filter(|it| it.contract == contract.reference())
        .map(|it| json!({ "consumer": it.name.to_string(), "view": it.view.as_ref().map(ToString::to_string), "purpose": it.purpose.as_ref().map(ToString::to_string) }))
        .collect();
    let channels: Vec<Value> = resolved
        .channels()
        .iter()
        .map(|channel| {
            json!({ "channel": channel.to_string(), "topic": topic_name(DEFAULT_TOPICS, &contract.reference(), channel) })
        })
        .collect();
    let key: Vec<String> = contract.key.iter().map(ToString::to_string).collect();
    let mut shown = json!({
        "contract": contract.reference().to_string(),
        "version": contract.version.to_string(),
        "status": contract.status.to_string(),
        "owner": team,
        "meaning": contract.meaning,
        "key": key.join(", "),
        "attributes": attributes,
        "events": events,
        "channels": channels,
        "promises": promises(resolved),
        "consumers": consumers,
    });
    if in_full {
        shown["defaults"] = contract_defaults(estate, contract);
    }
    shown
}

/// Returns what a contract does not say and what holds instead.
fn contract_defaults(estate: &Estate, contract: &Contract) -> Value {
    let mut defaults = serde_json::Map::new();
    let mut holds = |unless: bool, what: &str, default: String| {
        if !unless {
            defaults.insert(what.to_owned(), json!(default));
        }
    };
    let settings = &estate.settings;
    if let Some(classification) = settings.classification {
        holds(contract.classification.is_some(), "classification", format!("{classification}, the estate's"));
    }
    holds(contract.purposes.is_some(), "purposes", "any".to_owned());
    holds(!contract.partition_by.is_empty(), "partitionBy", "the key".to_owned());
    let terms =
        [("events", contract.events.as_ref().map(|it| &it.terms)), ("state", contract.state.as_ref())];
    for (channel, terms) in terms.into_iter().filter_map(|(channel, terms)| Some((channel, terms?))) {
        let usual = ChannelTerms::default();
        holds(
            terms.readers.is_some(),
            &format!("{channel}.for"),
            "any context while nothing is above internal".to_owned(),
        );
        holds(terms.cadence != usual.cadence, &format!("{channel}.cadence"), "continuous".to_owned());
        holds(terms.encoding != usual.encoding, &format!("{channel}.encoding"), "json".to_owned());
        holds(terms.limit_bytes != usual.limit_bytes, &format!("{channel}.limit"), "256KiB".to_owned());
        holds(false, &format!("{channel}.delivery"), "at least once, idempotent by sequence".to_owned());
    }
    if let Some(reconciliation) = &contract.reconciliation {
        holds(reconciliation.repair.is_some(), "reconciliation.repair", "reemit".to_owned());
    }
    Value::Object(defaults)
}

fn attribute(attribute: &ResolvedAttribute, in_full: bool) -> Value {
    let shape = &attribute.shape;
    let ty = match &shape.ty {
        Type::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        Type::Enum => {
            let values: Vec<String> = shape.values.iter().map(|(value, _)| value.to_string()).collect();
            format!("enum {}", values.join("|"))
        }
        Type::Object(_) => "object".to_owned(),
        Type::List(_) => "list".to_owned(),
        Type::Map(_) => "map".to_owned(),
        plain => format!("{plain:?}").to_lowercase(),
    };
    let optional = if attribute.optional { "?" } else { "" };
    let mut shown = json!({
        "attribute": format!("{}{optional}", attribute.name),
        "type": ty,
        "owner": attribute.owner.to_string(),
        "meaning": attribute.meaning,
    });
    if in_full {
        let unit = match &shape.unit {
            Some(Unit::Fixed(unit)) => Some(unit.clone()),
            Some(Unit::In(name)) => Some(format!("in {name}")),
            None => None,
        };
        let purposes = attribute.purposes.as_ref();
        shown["classification"] = json!(attribute.classification.map(|it| it.to_string()));
        shown["purposes"] =
            json!(purposes.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")));
        shown["unit"] = json!(unit);
        shown["zone"] = json!(shape.zone);
        shown["origin"] = json!(if attribute.carried { "carried" } else { "own" });
    }
    shown
}

fn promises(resolved: &ResolvedContract) -> Value {
    let guarantees = &resolved.contract.guarantees;
    let mut promises = serde_json::Map::new();
    if let Some(events) = &guarantees.events {
        promises.insert("events.ordering".to_owned(), json!("perKey"));
        promises.insert("events.retention".to_owned(), json!(events.retention.map(|it| it.to_string())));
        promises.insert("events.replay".to_owned(), json!(events.replay.to_string()));
        promises.insert("events.lateness".to_owned(), json!(events.lateness.map(|it| it.to_string())));
    }
    if let Some(state) = &guarantees.state {
        promises.insert("state.freshness".to_owned(), json!(state.freshness.map(|it| it.to_string())));
        promises.insert("state.replay".to_owned(), json!(state.replay.to_string()));
        promises.insert("state.tombstones".to_owned(), json!(state.tombstones.map(|it| it.to_string())));
    }
    promises.retain(|_, promise| !promise.is_null());
    Value::Object(promises)
}

fn show_subscription(estate: &Estate, subscription: &Subscription, in_full: bool) -> Value {
    let used = uses(estate, subscription);
    let columns: Vec<Value> = subscription
        .projection()
        .map(|(_, columns)| columns)
        .unwrap_or_default()
        .iter()
        .map(|column| match &column.source {
            ColumnSource::Path(path) => {
                json!({ "column": column.name, "is": path.to_string(), "meaning": null })
            }
            ColumnSource::Is { is, meaning, .. } => {
                json!({ "column": column.name, "is": is, "meaning": meaning })
            }
        })
        .collect();
    let attributes: Vec<String> = used.attributes.iter().map(ToString::to_string).collect();
    let reacts: Vec<String> = subscription.reacts_to.iter().map(ToString::to_string).collect();
    let mut shown = json!({
        "subscription": subscription.name.to_string(),
        "of": subscription.contract.to_string(),
        "view": subscription.view.as_ref().map(ToString::to_string),
        "purpose": subscription.purpose.as_ref().map(ToString::to_string),
        "role": subscription.role.to_string(),
        "uses": attributes.join(", "),
        "reactsTo": reacts.join(", "),
        "needs": subscription.needs.as_ref().map(|needs| needs.because.clone()),
        "table": subscription.projection().map(|(table, _)| table),
        "columns": columns,
        "accepted": subscription.accepted.as_ref().map(|it| format!("{} {}", it.version, it.meaning)),
    });
    if in_full {
        shown["behaviour"] = behaviour(subscription);
    }
    shown
}

/// Returns how a subscription behaves, marked where that is a default. A value that was written and equals its default is
/// one to the model.
fn behaviour(subscription: &Subscription) -> Value {
    let said = |value: &str, default: &str| {
        json!(if value == default { format!("{value} (the default)") } else { value.to_owned() })
    };
    let mut behaviour = serde_json::Map::new();
    if subscription.projection().is_some() {
        behaviour.insert("role".to_owned(), said(&subscription.role.to_string(), "projection"));
        let on_delete = match subscription.on_delete {
            OnDelete::Delete => "delete",
            OnDelete::Mark => "mark",
        };
        behaviour.insert("onDelete".to_owned(), said(on_delete, "delete"));
    }
    if !subscription.reacts_to.is_empty() {
        let starts_at = match &subscription.starts_at {
            StartsAt::Now => "now",
            StartsAt::Earliest => "earliest",
            StartsAt::At(moment) => moment,
        };
        let on_invalid = match subscription.on_invalid {
            OnInvalid::HoldKey => "holdKey",
            OnInvalid::Skip => "skip",
            OnInvalid::Halt => "halt",
        };
        behaviour.insert("startsAt".to_owned(), said(starts_at, "now"));
        behaviour.insert("onInvalid".to_owned(), said(on_invalid, "holdKey"));
    }
    if let Some(reconciliation) = &subscription.reconciliation {
        let repair = reconciliation.repair.map_or_else(|| "rebuild".to_owned(), |repair| repair.to_string());
        behaviour.insert("reconciliation.repair".to_owned(), said(&repair, "rebuild"));
    }
    Value::Object(behaviour)
}

/// Prints a document of texts and lists of rows as people read it.
fn plain(document: &Value) -> String {
    let mut text = String::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        match value {
            Value::Array(rows) if !rows.is_empty() => {
                let table: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        let cells = row.as_object().into_iter().flat_map(|row| row.values());
                        std::iter::once(String::new()).chain(cells.map(cell)).collect()
                    })
                    .collect();
                text.push_str(&format!("{name}:\n{}", columns(&table)));
            }
            Value::Object(facts) if !facts.is_empty() => {
                let table: Vec<Vec<String>> = facts
                    .iter()
                    .map(|(fact, value)| vec![String::new(), fact.clone(), cell(value)])
                    .collect();
                text.push_str(&format!("{name}:\n{}", columns(&table)));
            }
            Value::String(value) if !value.is_empty() => text.push_str(&format!("{name}: {value}\n")),
            _ => {}
        }
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
