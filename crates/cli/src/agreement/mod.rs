//! The agreement of two teams over one subscription, as a page: what is exchanged, who answers for it, what happens when
//! something goes wrong, and what was accepted. Every sentence follows from the model and what the programs do with it.

mod failure;
mod page;

pub(crate) use page::{document, markdown, text};

use seamline_contract::attribute::Unit;
use seamline_contract::context::{Context, RelationKind};
use seamline_contract::estate::Estate;
use seamline_contract::id::{AttributePath, ContextId};
use seamline_contract::meaning::meaning_digest;
use seamline_contract::resolve::{AttributeAt, ResolvedContract};
use seamline_contract::subscription::{ColumnSource, Subscription};
use seamline_rules::uses::uses;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Between whom, over what.
    pub(crate) title: String,
    /// The parts, in reading order.
    pub(crate) parts: Vec<Part>,
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it is called by programs.
    pub(crate) name: &'static str,
    /// The heading.
    pub(crate) heading: &'static str,
    /// Each: of what, and what is said of it.
    pub(crate) entries: Vec<(String, Vec<String>)>,
}

/// Returns the page of a subscription over its contract.
pub(crate) fn page(estate: &Estate, contract: &ResolvedContract, subscription: &Subscription) -> Page {
    let title = format!("{} and {}", contract.contract.reference(), subscription.name);
    let parts = vec![
        Part {
            name: "exchanged",
            heading: "What is exchanged, and what it means",
            entries: exchanged(estate, contract, subscription),
        },
        Part {
            name: "people",
            heading: "Who owns it, and whom to call",
            entries: people(estate, contract, subscription),
        },
        Part {
            name: "failures",
            heading: "What happens when …",
            entries: failure::entries(contract, subscription),
        },
        Part {
            name: "accepted",
            heading: "What was accepted",
            entries: accepted(estate, contract, subscription),
        },
    ];
    Page { title, parts }
}

fn entry(name: impl Into<String>, says: Vec<String>) -> (String, Vec<String>) {
    (name.into(), says)
}

fn exchanged(
    estate: &Estate,
    resolved: &ResolvedContract,
    subscription: &Subscription,
) -> Vec<(String, Vec<String>)> {
    let contract = &resolved.contract;
    let mut entries = vec![entry(contract.reference().to_string(), vec![contract.meaning.clone()])];
    if let Some(view) = &subscription.view {
        let says = format!("Only what the view `{view}` holds travels to `{}`.", subscription.name.context);
        entries.push(entry(format!("view {view}"), vec![says]));
    }
    if let Some(purpose) = &subscription.purpose {
        let meaning = estate.settings.purposes.iter().find(|(id, _)| id == purpose);
        let says = meaning.map(|(_, meaning)| meaning.clone()).into_iter().collect();
        entries.push(entry(format!("used for {purpose}"), says));
    }
    let used = uses(estate, subscription);
    let columns = subscription.into.as_ref().map(|into| into.columns.as_slice()).unwrap_or_default();
    for path in &used.attributes {
        let Some(at) = resolved.at(path) else { continue };
        let mut says = vec![at.meaning.to_owned()];
        says.extend(told(&at, resolved, path));
        let copied =
            columns.iter().filter(|column| matches!(&column.source, ColumnSource::Path(it) if it == path));
        says.extend(copied.map(|column| format!("Kept as `{}`, unchanged.", column.name)));
        entries.push(entry(path.to_string(), says));
    }
    for column in columns {
        if let ColumnSource::Is { is, meaning, .. } = &column.source {
            let says = vec![meaning.clone(), format!("The consumer's own words, computed as `{is}`.")];
            entries.push(entry(format!("column {}", column.name), says));
        }
    }
    for name in &used.events {
        let Some(event) = contract.event(name) else { continue };
        let mut says = vec![event.meaning.clone()];
        let values = |values: &[seamline_contract::id::EnumValue]| {
            values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
        };
        says.extend(event.becomes.iter().map(|(name, to)| format!("`{name}` becomes {}.", values(to))));
        says.extend(event.ends.then(|| "It ends the key.".to_owned()));
        says.extend(event.reasons.iter().map(|(reason, meaning)| format!("{reason}: {meaning}")));
        entries.push(entry(format!("event {name}"), says));
    }
    for command in contract.commands.iter().filter(|command| used.commands.contains(&command.name)) {
        let mut says = vec![command.meaning.clone()];
        says.extend(command.outcomes.iter().map(|it| format!("{}: {}", it.name, it.meaning)));
        entries.push(entry(format!("command {}", command.name), says));
    }
    entries
}

/// Says what a reader must know of an attribute beside its meaning.
fn told(at: &AttributeAt<'_>, resolved: &ResolvedContract, path: &AttributePath) -> Vec<String> {
    let mut says: Vec<String> =
        at.shape.values.iter().map(|(value, meaning)| format!("{value}: {meaning}")).collect();
    if at.shape.open {
        says.push("Values that are not listed may come.".to_owned());
    }
    match &at.shape.unit {
        Some(Unit::Fixed(unit)) => says.push(format!("In {unit}.")),
        Some(Unit::In(attribute)) => says.push(format!("In what `{attribute}` says.")),
        None => {}
    }
    says.extend(at.shape.zone.as_ref().map(|zone| format!("Days of {zone}.")));
    if at.optional {
        says.push("May have no value.".to_owned());
    }
    let attribute = resolved.slot(path.first()).map(|slot| &resolved.attributes[slot]);
    if let Some(attribute) = attribute.filter(|attribute| attribute.carried) {
        says.push(format!("Carried: decided as {}.", attribute.owner));
    }
    says
}

fn people(
    estate: &Estate,
    resolved: &ResolvedContract,
    subscription: &Subscription,
) -> Vec<(String, Vec<String>)> {
    let (owner, consumer) = (&resolved.contract.name.context, &subscription.name.context);
    let mut owns = reach(estate, owner, "Decides what it means and answers for what is promised");
    let runbook = resolved.contract.reconciliation.as_ref().and_then(|it| it.runbook.as_ref());
    owns.extend(runbook.map(|runbook| format!("Its runbook is {runbook}.")));
    let mut uses =
        reach(estate, consumer, "Answers for what it keeps of it, in its own words, and does with it");
    let relation = estate.context(consumer).into_iter().flat_map(|context| &context.relations);
    for relation in relation.filter(|relation| relation.with == *owner) {
        let implied = relation
            .kinds
            .iter()
            .any(|kind| matches!(kind, RelationKind::CustomerSupplier | RelationKind::Partnership));
        let verb = if relation.veto.unwrap_or(implied) { "may refuse" } else { "cannot refuse" };
        uses.push(format!("It {verb} a change that breaks it."));
    }
    vec![entry(owner.to_string(), owns), entry(consumer.to_string(), uses)]
}

fn reach(estate: &Estate, id: &ContextId, does: &str) -> Vec<String> {
    let call = |context: &Context| match &context.contact {
        Some(contact) => format!("{does}: team {}, {contact}.", context.team),
        None => format!("{does}: team {}; no contact is written.", context.team),
    };
    vec![estate.context(id).map_or_else(|| format!("{does}; the estate does not know it."), call)]
}

fn accepted(
    estate: &Estate,
    resolved: &ResolvedContract,
    subscription: &Subscription,
) -> Vec<(String, Vec<String>)> {
    let used = uses(estate, subscription);
    let digest = meaning_digest(resolved, &used);
    let version = resolved.contract.version;
    let now = match &subscription.accepted {
        None => format!("Nothing yet: `seamline accept {}` shows what there is to read.", subscription.name),
        Some(it) if it.meaning == digest && it.version == version => {
            format!("Version {version}, meaning {digest}: what is promised today.")
        }
        Some(it) if it.meaning == digest => format!(
            "Version {}, meaning {digest}. Version {version} says the same of what is used.",
            it.version
        ),
        Some(it) => format!(
            "Version {}, meaning {}. It no longer says that: version {version} has {digest}, to be read and accepted anew.",
            it.version, it.meaning
        ),
    };
    let listed = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let anew = vec![
        format!("attributes: {}", listed(used.attributes.iter().map(ToString::to_string).collect())),
        format!("events: {}", listed(used.events.iter().map(ToString::to_string).collect())),
        format!("commands: {}", listed(used.commands.iter().map(ToString::to_string).collect())),
        format!("promises: {}", listed(used.promises.iter().map(ToString::to_string).collect())),
        "A change of anything else asks nothing of the consumer.".to_owned(),
    ];
    vec![entry("accepted", vec![now]), entry("to be read anew when one of these changes", anew)]
}
