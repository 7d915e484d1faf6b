//! The consumer plan: a subscription compiled against its contract into topics, columns and translations.

mod infer;

use crate::cadence::{CadenceError, Hours};
use crate::handover::Lineage;
use crate::intake::infer::type_of;
use crate::reference::ReferenceLane;
use crate::store::{Column, Lane, Projection, RehearsedBy};
use jiff::Timestamp;
use seamline_contract::attribute::Type;
use seamline_contract::channel::{ChannelId, ChannelKind, older_topics, reference_topic, topic_name};
use seamline_contract::id::{
    AttributePath, ContextId, ContractRef, EventName, Major, SubscriptionRef, ViewId,
};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::{
    ColumnSource, OnDelete, OnInvalid, ProjectionColumn, Role, StartsAt, Subscription,
};
use seamline_contract::value::Value;
use seamline_expr::kind::Kind;
use seamline_expr::program::{Program, compile};
use seamline_expr::scope::Scope;
use seamline_message::codec::{Codec, EventMessage, Row, TypedKey};
use seamline_message::digest::Columns;
use seamline_message::era::Ascent;
use seamline_message::fit::fit;
use seamline_message::violation::{Rule, Violation};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// How long a reaction waits for its projection where nothing else is said.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// One subscription, ready to run.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Whose it is.
    pub subscription: SubscriptionRef,
    /// What it reads.
    pub contract: ContractRef,
    /// The view it reads; none: the contract's own channels.
    pub view: Option<ViewId>,
    /// Reads its messages.
    pub codec: Codec,
    /// Reads what was written under older majors of the contract.
    pub eras: BTreeMap<Major, Ascent>,
    /// What it keeps, and so which links are compared.
    pub role: Role,
    /// How its columns are made, as a text that differs where they would: empty without a table.
    pub translation: String,
    /// Its projection; none: reactions only.
    pub state: Option<StateLane>,
    /// Its reactions; none: a projection only.
    pub events: Option<EventLane>,
    /// Its table of reference data; none: its table, where it has one, is a projection.
    pub reference: Option<ReferenceLane>,
    /// When what it reads is an older major that a newer one serves: that one, and the last day, `YYYY-MM-DD`.
    pub served: Option<(ContractRef, String)>,
    /// Who is asked for the keys of sealed values; none: nobody here can be.
    pub keyholder: Option<std::sync::Arc<dyn crate::seal::Keyholder>>,
    /// The generations of its topics; none where there is the first alone.
    pub lineage: Option<Box<Lineage>>,
    /// The same with the topics of each other generation, which are read to where the read ones begin.
    pub former: Vec<Intake>,
}

/// The projection of a subscription.
#[derive(Debug, Clone)]
pub struct StateLane {
    /// The topic.
    pub topic: String,
    /// The table.
    pub projection: Projection,
    /// The column by which rows are counted: the contract's `countBy` where it has one, else the first of few values.
    pub count_by: Option<usize>,
    /// The columns as they are digested.
    pub written: Columns,
    columns: Vec<Derivation>,
    /// Of each column, whether its value can be taken out of the row: nothing later reads it there.
    last: Vec<bool>,
}

/// The reactions of a subscription.
#[derive(Debug, Clone)]
pub struct EventLane {
    /// The topic.
    pub topic: String,
    /// Those of older majors, as they would be called.
    pub older: Vec<String>,
    /// The events that go to the inbox.
    pub reacts_to: BTreeSet<EventName>,
    /// What happens behind a broken event.
    pub on_invalid: OnInvalid,
    /// Where it begins.
    pub starts_at: StartsAt,
    /// Events that the log took before are passed over; none passes over nothing.
    pub since: Option<Timestamp>,
    /// How long a reaction waits for the projection, from the moment the log took it.
    pub deadline: Duration,
}

/// Why a subscription cannot run. `check` says the same with places.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The contract has no such view.
    #[error("`{contract}` has no view `{view}`")]
    NoView {
        /// The contract.
        contract: ContractRef,
        /// The view.
        view: ViewId,
    },
    /// The contract does not compile.
    #[error("`{0}` does not compile: {1}")]
    Codec(ContractRef, String),
    /// It has a table, and its view or contract has no state channel.
    #[error("`{0}` keeps a table, and what it reads has no state channel, nor reference data without a view")]
    NoState(SubscriptionRef),
    /// The hours of its channel are none.
    #[error(transparent)]
    Cadence(#[from] CadenceError),
    /// A column names nothing.
    #[error("column `{column}` holds `{path}`, which does not exist")]
    NoPath {
        /// The column.
        column: String,
        /// What it names.
        path: AttributePath,
    },
    /// A translation does not compile.
    #[error("column `{column}`: {reason}")]
    Translation {
        /// The column.
        column: String,
        /// Why.
        reason: String,
    },
    /// The type of a translation cannot be inferred.
    #[error("column `{0}` needs a `type`")]
    NeedsType(String),
    /// The start is no moment.
    #[error("`{0}` is no moment such as `2026-01-31T00:00:00Z`")]
    Moment(String),
    /// No column holds an attribute of the key as it is.
    #[error("no column of `{subscription}` holds `{attribute}` of the key as it is")]
    NoKeyColumn {
        /// The subscription.
        subscription: SubscriptionRef,
        /// The attribute.
        attribute: String,
    },
}

/// How a column's value is made.
#[derive(Debug, Clone)]
enum Derivation {
    /// The slot and the members below it.
    Path(usize, Vec<String>),
    /// A translation.
    Is(Program),
}

impl Intake {
    /// Compiles a subscription.
    ///
    /// # Errors
    /// The first reason why it cannot run.
    pub fn compile(
        subscription: &Subscription,
        contract: &ResolvedContract,
        template: &str,
    ) -> Result<Intake, IntakeError> {
        let reference = contract.contract.reference();
        let view = contract
            .view(subscription.view.as_ref())
            .map_err(|view| IntakeError::NoView { contract: reference.clone(), view: view.clone() })?;
        let codec = Codec::compile(contract)
            .map_err(|error| IntakeError::Codec(reference.clone(), error.to_string()))?;
        let eras = Ascent::compile(contract, &codec)
            .map_err(|error| IntakeError::Codec(reference.clone(), error.to_string()))?;
        let channel = |kind| ChannelId { view: view.map(|view| view.id.clone()), kind };
        let called = |kind| topic_name(template, &reference, &channel(kind));
        let topic = |kind| contract.channels().contains(&channel(kind)).then(|| called(kind));
        let lane = |topic, (table, columns): (&str, &[ProjectionColumn])| {
            StateLane::compile(subscription, contract, topic, table, columns)
        };
        let (state, sets) = match (subscription.projection(), topic(ChannelKind::State)) {
            (None, _) => (None, None),
            (Some(table), Some(topic)) => (Some(lane(topic, table)?), None),
            (Some(table), None) => match &contract.contract.reference {
                Some(terms) if view.is_none() => {
                    let table = lane(reference_topic(template, &reference), table)?;
                    let promised = contract.contract.guarantees.reference.as_ref();
                    let freshness = promised.and_then(|it| it.freshness).map(|within| within.span.0);
                    let hours = Hours::of(&terms.cadence)?;
                    (None, Some(ReferenceLane { table, hours, freshness }))
                }
                _ => return Err(IntakeError::NoState(subscription.name.clone())),
            },
        };
        let events = match topic(ChannelKind::Events) {
            Some(topic) if !subscription.reacts_to.is_empty() => Some(EventLane {
                older: older_topics(template, &reference, &channel(ChannelKind::Events)),
                topic,
                since: since(&subscription.starts_at)?,
                reacts_to: subscription.reacts_to.iter().cloned().collect(),
                on_invalid: subscription.on_invalid,
                starts_at: subscription.starts_at.clone(),
                deadline: WAIT_MAX,
            }),
            _ => None,
        };
        Ok(Intake {
            subscription: subscription.name.clone(),
            contract: reference,
            view: subscription.view.clone(),
            codec,
            eras,
            role: subscription.role,
            translation: translation(subscription),
            state,
            events,
            reference: sets,
            served: None,
            keyholder: None,
            lineage: None,
            former: Vec::new(),
        })
    }

    /// Returns its table, of whichever channel.
    pub fn table(&self) -> Option<&StateLane> {
        self.state.as_ref().or_else(|| self.reference.as_ref().map(|sets| &sets.table))
    }

    /// Returns the context that must act on what breaks here.
    pub fn consumer(&self) -> &ContextId {
        &self.subscription.context
    }

    /// Returns one partition of one of its topics as it reads it.
    pub fn lane(&self, topic: &str, partition: u32) -> Lane {
        Lane { subscription: self.subscription.clone(), topic: topic.to_owned(), partition }
    }

    /// Reads and validates the value of a state record that was written under a major, as far as the channel carries it.
    /// Returns the row, and where in the value the member `state` stands.
    ///
    /// # Errors
    /// The first violation.
    pub fn decode_state(
        &self,
        written: Major,
        key: TypedKey,
        value: &[u8],
    ) -> Result<(Row, Range<usize>), Violation> {
        match self.eras.get(&written) {
            Some(era) => {
                let read = era.decode_state(self.view.as_ref(), Some(key.key.as_bytes()), value)?;
                Ok((read.row, read.state))
            }
            None => self.codec.decode_state_of(self.view.as_ref(), key, value),
        }
    }

    /// Reads and validates the value of an event that was written under a major, and of which something may have been erased. Returns
    /// with it the payload that a reaction gets: as sent, or of an older major as this one would have sent it.
    ///
    /// # Errors
    /// The first violation.
    pub fn decode_event(
        &self,
        written: Major,
        record_key: Option<&[u8]>,
        value: &[u8],
        erased: &[String],
    ) -> Result<(EventMessage, Vec<u8>), Violation> {
        let view = self.view.as_ref();
        if let Some(era) = self.eras.get(&written) {
            return era.decode_event(view, record_key, value, erased);
        }
        Ok((self.codec.decode_erased_event(view, record_key, value, erased)?, value.to_vec()))
    }

    /// Returns the event as which this major reads one that was written under a major.
    pub fn event_name<'a>(&'a self, written: Major, event: &'a EventName) -> &'a EventName {
        self.eras.get(&written).map_or(event, |era| era.event_name(event))
    }

    /// Derives the columns of a row; none without a table.
    ///
    /// # Errors
    /// When a translation fails, or its value does not fit its column.
    pub fn derive(&self, mut row: Row) -> Result<Vec<Value>, Violation> {
        let Some(state) = self.table() else { return Ok(Vec::new()) };
        let columns = state.projection.columns.iter().zip(&state.columns).zip(&state.last);
        columns
            .map(|((column, derivation), last)| match derivation {
                Derivation::Path(slot, members) if *last && members.is_empty() => {
                    present(column, std::mem::replace(&mut row[*slot], Value::Null))
                }
                derivation => derivation.value(column, &row),
            })
            .collect()
    }
}

impl StateLane {
    fn compile(
        subscription: &Subscription,
        contract: &ResolvedContract,
        topic: String,
        table: &str,
        written: &[ProjectionColumn],
    ) -> Result<StateLane, IntakeError> {
        let mut columns = Vec::with_capacity(written.len());
        let mut derivations = Vec::with_capacity(written.len());
        for column in written {
            let (column, derivation) = compile_column(contract, column)?;
            columns.push(column);
            derivations.push(derivation);
        }
        let key = key_columns(subscription, contract, &derivations)?;
        let count_by = count_column(contract, &columns, &derivations);
        let keep_ended = subscription.on_delete == OnDelete::Mark;
        let projection = Projection {
            subscription: subscription.name.clone(),
            table: table.to_owned(),
            columns,
            key,
            keep_ended,
            rehearsal: RehearsedBy::Comparison,
        };
        let written = Columns::of(projection.columns.iter().map(|column| column.name.as_str()));
        Ok(StateLane {
            topic,
            projection,
            count_by,
            written,
            last: last_uses(&derivations),
            columns: derivations,
        })
    }
}

/// Returns one line for each column: what it holds, or the expression with its type where one is declared.
fn translation(subscription: &Subscription) -> String {
    let Some((_, columns)) = subscription.projection() else { return String::new() };
    let line = |column: &ProjectionColumn| match &column.source {
        ColumnSource::Path(path) => format!("{}: {path}", column.name),
        ColumnSource::Is { is, ty, .. } => {
            let ty = ty.as_ref().map(|ty| format!(" as {ty}")).unwrap_or_default();
            format!("{} = {}{ty}", column.name, is.trim())
        }
    };
    let mut lines: Vec<String> = columns.iter().map(line).collect();
    lines.sort();
    lines.join("\n")
}

fn since(starts_at: &StartsAt) -> Result<Option<Timestamp>, IntakeError> {
    match starts_at {
        StartsAt::Now | StartsAt::Earliest => Ok(None),
        StartsAt::At(text) => text.parse().map(Some).map_err(|_| IntakeError::Moment(text.clone())),
    }
}

fn compile_column(
    contract: &ResolvedContract,
    written: &ProjectionColumn,
) -> Result<(Column, Derivation), IntakeError> {
    let name = written.name.clone();
    match &written.source {
        ColumnSource::Path(path) => {
            let missing = || IntakeError::NoPath { column: name.clone(), path: path.clone() };
            let at = contract.at(path).ok_or_else(missing)?;
            let slot = contract.slot(path.first()).ok_or_else(missing)?;
            let members = path.names()[1..].iter().map(ToString::to_string).collect();
            let approximate = at.shape.approximate;
            let column = Column { name, ty: at.shape.ty.clone(), optional: at.optional, approximate };
            Ok((column, Derivation::Path(slot, members)))
        }
        ColumnSource::Is { is, ty, .. } => {
            if let Some(path) = plain_path(contract, is) {
                let plain = ProjectionColumn { name, source: ColumnSource::Path(path) };
                let (column, derivation) = compile_column(contract, &plain)?;
                if ty.as_ref().is_none_or(|ty| *ty == column.ty) {
                    return Ok((column, derivation));
                }
            }
            let name = written.name.clone();
            let program = compile(is, &Scope::of(contract)).map_err(|errors| {
                let reasons: Vec<String> = errors.into_iter().map(|error| error.message).collect();
                IntakeError::Translation { column: name.clone(), reason: reasons.join("; ") }
            })?;
            let inferred = ty.clone().or_else(|| type_of(program.kind()));
            let ty = inferred.ok_or_else(|| IntakeError::NeedsType(name.clone()))?;
            let approximate = *program.kind() == Kind::Approximate;
            Ok((Column { name, ty, optional: program.optional(), approximate }, Derivation::Is(program)))
        }
    }
}

/// A translation that only names an attribute holds it as it is.
fn plain_path(contract: &ResolvedContract, text: &str) -> Option<AttributePath> {
    let path: AttributePath = text.trim().parse().ok()?;
    contract.at(&path).map(|_| path)
}

fn key_columns(
    subscription: &Subscription,
    contract: &ResolvedContract,
    derivations: &[Derivation],
) -> Result<Vec<usize>, IntakeError> {
    let column = |slot: &usize| {
        let holds = |derivation: &Derivation| match derivation {
            Derivation::Path(holds, members) => holds == slot && members.is_empty(),
            Derivation::Is(_) => false,
        };
        derivations.iter().position(holds).ok_or_else(|| IntakeError::NoKeyColumn {
            subscription: subscription.name.clone(),
            attribute: contract.attributes[*slot].name.to_string(),
        })
    };
    contract.key.iter().map(column).collect()
}

fn count_column(
    contract: &ResolvedContract,
    columns: &[Column],
    derivations: &[Derivation],
) -> Option<usize> {
    let declared = contract.contract.reconciliation.as_ref().and_then(|terms| terms.count_by.as_ref());
    let slot = declared.and_then(|name| contract.slot(name));
    let carries = |derivation: &Derivation| match derivation {
        Derivation::Path(holds, members) => members.is_empty() && Some(*holds) == slot,
        Derivation::Is(_) => false,
    };
    let of_few = |column: &Column| matches!(column.ty, Type::Boolean | Type::Enum);
    derivations.iter().position(carries).or_else(|| columns.iter().position(of_few))
}

/// Returns of each column whether no later one reads from the row.
fn last_uses(columns: &[Derivation]) -> Vec<bool> {
    let reads = |column: &Derivation, slot: usize| match column {
        Derivation::Path(other, _) => *other == slot,
        // What a translation reads stays until it has read it.
        Derivation::Is(_) => true,
    };
    let is_last = |(idx, column): (usize, &Derivation)| match column {
        Derivation::Path(slot, _) => !columns[idx + 1..].iter().any(|later| reads(later, *slot)),
        Derivation::Is(_) => false,
    };
    columns.iter().enumerate().map(is_last).collect()
}

/// Returns the violation of the column of a name.
fn broken(column: &Column, rule: Rule, message: impl Into<String>) -> Violation {
    Violation::new(rule, format!("into.{}", column.name), message)
}

/// Returns a value that its column can be without.
fn present(column: &Column, value: Value) -> Result<Value, Violation> {
    if value.is_null() && !column.optional {
        return Err(broken(column, Rule::Required, "the column has no value"));
    }
    Ok(value)
}

impl Derivation {
    fn value(&self, column: &Column, row: &[Value]) -> Result<Value, Violation> {
        let value = match self {
            Derivation::Path(slot, members) => {
                members.iter().fold(&row[*slot], |value, member| member_of(value, member)).clone()
            }
            Derivation::Is(program) => {
                let value = program
                    .eval(row)
                    .map_err(|error| broken(column, Rule::Type, format!("cannot be translated: {error}")))?;
                fit(value, &column.ty)
                    .ok_or_else(|| broken(column, Rule::Type, "the translation does not fit its type"))?
            }
        };
        present(column, value)
    }
}

fn member_of<'v>(value: &'v Value, member: &str) -> &'v Value {
    match value {
        Value::Map(members) => members.get(member).unwrap_or(&Value::Null),
        _ => &Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::type_of;
    use seamline_contract::attribute::Type;
    use seamline_expr::kind::Kind;

    #[test]
    fn a_decimal_translation_does_not_say_its_scale() {
        assert_eq!(type_of(&Kind::Boolean), Some(Type::Boolean));
        assert_eq!(type_of(&Kind::Decimal), None);
    }
}
