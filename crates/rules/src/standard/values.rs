//! The model as values, field by field as `fields` declares them.

use crate::review::Review;
use crate::uses::Reading;
use seamline_contract::attribute::{Classification, Shape, Unit};
use seamline_contract::channel::{Event, Guarantees, View};
use seamline_contract::context::{Context, Engine, Relation, RelationKind};
use seamline_contract::contract::{Contract, Reconciliation};
use seamline_contract::id::{ContextId, PurposeId};
use seamline_contract::measure::{Span, Within};
use seamline_contract::publication::{Feed, Publication};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::{ColumnSource, Consistency, Needs, OnDelete, OnInvalid, Subscription};
use seamline_contract::value::Value;
use std::collections::BTreeMap;

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>())
}

fn text(it: impl ToString) -> Value {
    Value::String(it.to_string())
}

fn maybe(it: Option<impl ToString>) -> Value {
    it.map_or(Value::Null, text)
}

fn texts(it: impl IntoIterator<Item = impl ToString>) -> Value {
    Value::List(it.into_iter().map(text).collect())
}

/// Numbers of the model are small; one that is not is as good as the greatest.
fn number(it: u64) -> Value {
    Value::Integer(i64::try_from(it).unwrap_or(i64::MAX))
}

fn span(it: Option<Span>) -> Value {
    it.map_or(Value::Null, |span| Value::Duration(i64::try_from(span.0.as_micros()).unwrap_or(i64::MAX)))
}

fn within(it: Option<Within>) -> Value {
    span(it.map(|within| within.span))
}

fn list<T>(it: impl IntoIterator<Item = T>, value: impl FnMut(T) -> Value) -> Value {
    Value::List(it.into_iter().map(value).collect())
}

/// Returns a context. Of one without a document only the id is known.
pub(crate) fn context(id: &ContextId, written: Option<&Context>) -> Value {
    let terms = written.map(|it| it.terms.as_slice()).unwrap_or_default();
    let systems = written.map(|it| it.systems.as_slice()).unwrap_or_default();
    let relations = written.map(|it| it.relations.as_slice()).unwrap_or_default();
    object([
        ("id", text(id)),
        ("meaning", text(written.map_or("", |it| &it.meaning))),
        ("team", text(written.map_or("", |it| it.team.as_str()))),
        ("contact", maybe(written.and_then(|it| it.contact.as_ref()))),
        (
            "terms",
            list(terms, |it| {
                object([
                    ("word", text(&it.word)),
                    ("meaning", text(&it.meaning)),
                    ("unlike", texts(it.unlike.iter().map(|(other, _)| other))),
                ])
            }),
        ),
        (
            "systems",
            list(systems, |it| {
                let engine = match it.engine {
                    Engine::Postgres => "postgres",
                    Engine::Mysql => "mysql",
                    Engine::Sqlite => "sqlite",
                };
                object([("id", text(&it.id)), ("engine", text(engine)), ("meaning", text(&it.meaning))])
            }),
        ),
        ("relations", list(relations, relation)),
    ])
}

fn relation(relation: &Relation) -> Value {
    let kind = |kind: &RelationKind| match kind {
        RelationKind::CustomerSupplier => "customerSupplier",
        RelationKind::Conformist => "conformist",
        RelationKind::Anticorruption => "anticorruption",
        RelationKind::Partnership => "partnership",
    };
    let implied = relation
        .kinds
        .iter()
        .any(|kind| matches!(kind, RelationKind::CustomerSupplier | RelationKind::Partnership));
    object([
        ("with", text(&relation.with)),
        ("kinds", texts(relation.kinds.iter().map(kind))),
        ("veto", Value::Boolean(relation.veto.unwrap_or(implied))),
    ])
}

/// What is said of an attribute, wherever it stands.
struct Said<'a> {
    name: String,
    meaning: &'a str,
    shape: &'a Shape,
    optional: bool,
    in_key: bool,
    classification: Option<Classification>,
    purposes: Option<&'a [PurposeId]>,
    carried: bool,
    owner: String,
    computed: bool,
}

fn said(it: &Said<'_>) -> Value {
    let unit = it.shape.unit.as_ref().map(|unit| match unit {
        Unit::Fixed(unit) => unit.clone(),
        Unit::In(attribute) => format!("in {attribute}"),
    });
    object([
        ("name", text(&it.name)),
        ("meaning", text(it.meaning)),
        ("type", text(&it.shape.ty)),
        ("optional", Value::Boolean(it.optional)),
        ("inKey", Value::Boolean(it.in_key)),
        ("classification", maybe(it.classification)),
        ("purposes", it.purposes.map_or(Value::Null, texts)),
        ("unit", maybe(unit)),
        ("zone", maybe(it.shape.zone.as_ref())),
        ("pattern", maybe(it.shape.pattern.as_ref())),
        (
            "values",
            list(&it.shape.values, |(value, meaning)| {
                object([("name", text(value)), ("meaning", text(meaning))])
            }),
        ),
        ("open", Value::Boolean(it.shape.open)),
        ("approximate", Value::Boolean(it.shape.approximate)),
        ("carried", Value::Boolean(it.carried)),
        ("owner", text(&it.owner)),
        ("computed", Value::Boolean(it.computed)),
    ])
}

/// Returns the attributes of a contract, in the order written.
pub(crate) fn attributes(contract: &ResolvedContract) -> Vec<Value> {
    let value = |attribute: &seamline_contract::resolve::ResolvedAttribute| {
        said(&Said {
            name: attribute.name.to_string(),
            meaning: &attribute.meaning,
            shape: &attribute.shape,
            optional: attribute.optional,
            in_key: contract.contract.key.contains(&attribute.name),
            classification: attribute.classification,
            purposes: attribute.purposes.as_deref(),
            carried: attribute.carried,
            owner: attribute.owner.to_string(),
            computed: attribute.computed.is_some(),
        })
    };
    contract.attributes.iter().map(value).collect()
}

/// Returns the attributes that a subscription uses, sorted by path.
fn used(reading: &Reading<'_>) -> Value {
    let Some(contract) = reading.contract else { return Value::List(Vec::new()) };
    let value = |path: &seamline_contract::id::AttributePath| {
        let at = contract.at(path)?;
        let first = &contract.attributes[contract.slot(path.first())?];
        let below: String = path.names()[1..].iter().map(|name| format!(".{name}")).collect();
        Some(said(&Said {
            name: path.to_string(),
            meaning: at.meaning,
            shape: at.shape,
            optional: at.optional,
            in_key: path.names().len() == 1 && contract.contract.key.contains(path.first()),
            classification: at.classification,
            purposes: at.purposes,
            carried: first.carried,
            owner: format!("{}{below}", first.owner),
            computed: first.computed.is_some(),
        }))
    };
    Value::List(reading.uses.attributes.iter().filter_map(value).collect())
}

/// Returns an event.
pub(crate) fn event(event: &Event) -> Value {
    object([
        ("name", text(&event.name)),
        ("meaning", text(&event.meaning)),
        ("becomes", texts(event.becomes.iter().map(|(attribute, _)| attribute))),
        ("sets", texts(&event.sets)),
        ("ends", Value::Boolean(event.ends)),
        ("with", texts(&event.with)),
        ("details", texts(event.details.iter().map(|detail| &detail.name))),
        ("flags", texts(event.flags.iter().map(|flag| &flag.name))),
        ("reasons", texts(event.reasons.iter().map(|(reason, _)| reason))),
        ("effective", maybe(event.effective.as_ref())),
        ("deprecated", maybe(event.deprecated.as_ref())),
    ])
}

/// Returns a view.
pub(crate) fn view(view: &View) -> Value {
    object([
        ("id", text(&view.id)),
        ("readers", texts(&view.readers)),
        ("only", texts(&view.only)),
        ("events", texts(&view.events)),
        ("details", texts(view.details.iter().map(|(event, detail)| format!("{event}.{detail}")))),
        ("state", Value::Boolean(view.state)),
    ])
}

fn guarantees(guarantees: &Guarantees) -> Value {
    let events = guarantees.events.as_ref().map(|it| {
        object([
            ("retention", span(it.retention)),
            ("replay", text(it.replay)),
            ("lateness", within(it.lateness)),
            ("freshness", within(it.freshness)),
            ("compatibility", text(it.compatibility)),
        ])
    });
    let state = guarantees.state.as_ref().map(|it| {
        object([
            ("freshness", within(it.freshness)),
            ("replay", text(it.replay)),
            ("tombstones", span(it.tombstones)),
            ("compatibility", text(it.compatibility)),
        ])
    });
    let reference = guarantees.reference.as_ref().map(|it| {
        object([
            ("freshness", within(it.freshness)),
            ("sets", number(u64::from(it.sets))),
            ("compatibility", text(it.compatibility)),
        ])
    });
    object([
        ("events", events.unwrap_or(Value::Null)),
        ("state", state.unwrap_or(Value::Null)),
        ("reference", reference.unwrap_or(Value::Null)),
        ("requestsFreshness", within(guarantees.requests_freshness)),
        ("requestsAnswer", within(guarantees.requests_answer)),
        ("commandsAnswer", within(guarantees.commands_answer)),
    ])
}

fn reconciliation(it: Option<&Reconciliation>) -> Value {
    let Some(it) = it else { return Value::Null };
    object([
        ("every", span(it.every)),
        ("countBy", maybe(it.count_by.as_ref())),
        ("page", maybe(it.page)),
        ("warn", maybe(it.warn)),
        ("repair", maybe(it.repair)),
        ("unattended", maybe(it.unattended)),
        ("runbook", maybe(it.runbook.as_ref())),
    ])
}

/// Returns a contract with its consumers.
pub(crate) fn contract(
    review: &Review<'_>,
    resolved: &ResolvedContract,
    consumers: &[&Subscription],
) -> Value {
    let it: &Contract = &resolved.contract;
    let day = |rate: seamline_contract::measure::Rate| {
        rate.count.0.saturating_mul(86_400).div_ceil(rate.per_seconds)
    };
    let channels = [
        ("events", it.events.is_some()),
        ("state", it.state.is_some()),
        ("reference", it.reference.is_some()),
        ("requests", it.requests.is_some()),
        ("commands", !it.commands.is_empty()),
    ];
    object([
        ("id", text(&it.name.contract)),
        ("reference", text(it.reference())),
        ("context", text(&it.name.context)),
        ("version", text(it.version)),
        ("major", number(u64::from(it.version.major.0))),
        ("status", text(it.status)),
        ("meaning", text(&it.meaning)),
        ("key", texts(&it.key)),
        ("classification", maybe(it.classification.or(review.estate.settings.classification))),
        ("purposes", it.purposes.as_ref().map_or(Value::Null, texts)),
        ("subject", maybe(it.subject.as_ref())),
        ("rows", it.expect.rows.map_or(Value::Null, |rows| number(rows.0))),
        ("changesADay", it.expect.changes.map_or(Value::Null, |rate| number(day(rate)))),
        ("attributes", Value::List(attributes(resolved))),
        ("invariants", texts(it.invariants.iter().map(|(name, _)| name))),
        ("channels", texts(channels.iter().filter(|(_, has)| *has).map(|(name, _)| name))),
        ("events", list(it.events.iter().flat_map(|events| &events.events), event)),
        (
            "commands",
            list(&it.commands, |command| {
                object([
                    ("name", text(&command.name)),
                    ("meaning", text(&command.meaning)),
                    ("senders", texts(&command.senders)),
                    ("outcomes", texts(command.outcomes.iter().map(|outcome| &outcome.name))),
                ])
            }),
        ),
        ("views", list(&it.views, view)),
        ("derivedFrom", texts(it.derived.iter().flat_map(|derived| &derived.from))),
        ("guarantees", guarantees(&it.guarantees)),
        ("reconciliation", reconciliation(it.reconciliation.as_ref())),
        (
            "serves",
            list(&it.serves, |older| {
                object([("version", number(u64::from(older.version.0))), ("until", text(&older.until))])
            }),
        ),
        ("consumers", list(consumers, |it| consumer(it))),
    ])
}

fn consumer(it: &Subscription) -> Value {
    object([
        ("id", text(&it.name)),
        ("context", text(&it.name.context)),
        ("view", maybe(it.view.as_ref())),
        ("purpose", maybe(it.purpose.as_ref())),
        ("role", text(it.role)),
    ])
}

fn needs(it: Option<&Needs>) -> Value {
    let Some(it) = it else { return Value::Null };
    object([
        ("because", text(&it.because)),
        ("freshness", within(it.freshness)),
        ("lateness", within(it.lateness)),
        ("replay", maybe(it.replay)),
        ("retention", span(it.retention)),
        ("tombstones", span(it.tombstones)),
        ("answer", within(it.answer)),
        ("immediate", Value::Boolean(it.consistency == Consistency::Immediate)),
    ])
}

/// Returns a subscription with what it uses.
pub(crate) fn subscription(reading: &Reading<'_>) -> Value {
    let it = reading.subscription;
    let on_invalid = match it.on_invalid {
        OnInvalid::HoldKey => "holdKey",
        OnInvalid::Skip => "skip",
        OnInvalid::Halt => "halt",
    };
    let on_delete = match it.on_delete {
        OnDelete::Delete => "delete",
        OnDelete::Mark => "mark",
    };
    let columns = list(it.into.iter().flat_map(|into| &into.columns), |column| {
        let (attribute, is, meaning) = match &column.source {
            ColumnSource::Path(path) => (Some(path), None, ""),
            ColumnSource::Is { is, meaning, .. } => (None, Some(is), meaning.as_str()),
        };
        object([
            ("name", text(&column.name)),
            ("attribute", maybe(attribute)),
            ("is", maybe(is)),
            ("meaning", text(meaning)),
        ])
    });
    object([
        ("id", text(&it.name.subscription)),
        ("context", text(&it.name.context)),
        ("contract", text(&it.contract)),
        ("view", maybe(it.view.as_ref())),
        ("purpose", maybe(it.purpose.as_ref())),
        ("role", text(it.role)),
        ("uses", used(reading)),
        ("reactsTo", texts(&it.reacts_to)),
        ("onInvalid", text(on_invalid)),
        ("onDelete", text(on_delete)),
        ("sends", texts(&it.sends)),
        ("asks", texts(&it.asks)),
        ("needs", needs(it.needs.as_ref())),
        ("system", maybe(it.into.as_ref().map(|into| &into.system))),
        ("table", maybe(it.into.as_ref().and_then(|into| into.table.as_ref()))),
        ("columns", columns),
        ("reconciliation", reconciliation(it.reconciliation.as_ref())),
        ("accepted", maybe(it.accepted.as_ref().map(|accepted| accepted.version))),
    ])
}

/// Returns a publication.
pub(crate) fn publication(it: &Publication) -> Value {
    let feed = match it.feed {
        Feed::Outbox => "outbox",
        Feed::Cdc => "cdc",
        Feed::Store => "store",
        Feed::Snapshot => "snapshot",
        Feed::Projections => "projections",
    };
    object([
        ("contract", text(&it.contract.contract)),
        ("systems", texts(&it.systems)),
        ("table", text(&it.table)),
        ("strict", Value::Boolean(it.strict)),
        ("feed", text(feed)),
        ("until", maybe(it.until.as_ref())),
        ("events", texts(it.events.iter().map(|mapping| &mapping.event))),
    ])
}
