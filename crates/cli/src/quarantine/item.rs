//! One message in quarantine, at a source or at a consumer, and how it is shown.

use crate::site::no_answer;
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_contract::attribute::Classification;
use seamline_contract::id::ContextId;
use seamline_contract::resolve::ResolvedContract;
use seamline_flow::issue;
use seamline_flow::source::{AsideRow, Source};
use seamline_flow::store::{AsideCause, AsideRecord, Lane, Store};
use seamline_message::sequence::Sequence;
use serde_json::{Map, Value, json};

/// How many messages are read at once.
pub(super) const PAGE: usize = 500;

/// Something that waits.
pub(super) enum Item {
    Row(AsideRow),
    Record(AsideRecord),
}

impl Item {
    /// Returns its name: context/sequence, or context/subscription/topic/partition/offset.
    pub(super) fn name(&self, context: &ContextId) -> String {
        match self {
            Item::Row(row) => format!("{context}/{}", row.sequence.0),
            Item::Record(record) => {
                let lane = &record.lane;
                format!("{}/{}/{}/{}", lane.subscription, lane.topic, lane.partition, record.offset)
            }
        }
    }

    pub(super) fn subject(&self, context: &ContextId) -> String {
        match self {
            Item::Row(row) => format!("{context}/{}", row.contract),
            Item::Record(record) => record.lane.subscription.to_string(),
        }
    }

    /// Returns the issue that it is in; none when it waits behind another.
    pub(super) fn issue(&self, context: &ContextId) -> Option<String> {
        match self {
            Item::Row(row) => issue::of_row(&self.subject(context), row),
            Item::Record(record) => issue::of_record(record),
        }
    }

    pub(super) fn key(&self) -> String {
        match self {
            Item::Row(row) => row.key.clone(),
            Item::Record(record) => {
                record.key.as_ref().map_or_else(|| "not a key".to_owned(), ToString::to_string)
            }
        }
    }

    /// Returns why it waits. No value is in it.
    pub(super) fn reason(&self) -> String {
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

    pub(super) fn document(&self, context: &ContextId) -> Value {
        let (since, what) = match self {
            Item::Row(row) => (row.since, row.change.clone()),
            Item::Record(record) => (record.since, None),
        };
        json!({
            "item": self.name(context),
            "issue": self.issue(context),
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

/// Where a walk over what waits in a database stands.
#[derive(Debug, Default)]
pub(super) struct Walk {
    rows_after: Option<Sequence>,
    rows_over: bool,
    intake: usize,
    record_from: Option<(Lane, u64)>,
}

impl Walk {
    /// Returns the next messages that wait, those of the source first, each in its order; none at the end. What leaves
    /// quarantine meanwhile is no matter.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn next(&mut self, agent: &Agent) -> Result<Vec<Item>> {
        if agent.outlets.is_some() && !self.rows_over {
            let rows =
                Source::aside_after(&agent.database, self.rows_after, PAGE).await.map_err(no_answer)?;
            self.rows_over = rows.len() < PAGE;
            self.rows_after = rows.last().map_or(self.rows_after, |row| Some(row.sequence));
            if !rows.is_empty() {
                return Ok(rows.into_iter().map(Item::Row).collect());
            }
        }
        while let Some(intake) = agent.intakes.get(self.intake) {
            let from = self.record_from.as_ref().map(|(lane, offset)| (lane, *offset));
            let records = Store::aside_from(&agent.database, &intake.subscription, from, PAGE).await;
            let records = records.map_err(no_answer)?;
            match records.last() {
                Some(last) if records.len() == PAGE => {
                    self.record_from = Some((last.lane.clone(), last.offset + 1));
                }
                _ => {
                    self.intake += 1;
                    self.record_from = None;
                }
            }
            if !records.is_empty() {
                return Ok(records.into_iter().map(Item::Record).collect());
            }
        }
        Ok(Vec::new())
    }
}

/// Returns the values of a message by attribute, those above `internal` masked; none where they cannot be read.
///
/// # Errors
/// The database's.
pub(super) async fn sample(agent: &Agent, item: &Item) -> Result<Option<Value>> {
    match item {
        Item::Row(row) => {
            let outlet = agent.outlets.as_ref().and_then(|outlets| outlets.get(&row.contract));
            let read = Source::aside_row(&agent.database, row.sequence).await.map_err(no_answer)?;
            let state = read.and_then(|row| row.state);
            Ok(outlet.zip(state).and_then(|(outlet, state)| {
                masked(outlet.codec.contract(), &serde_json::from_slice(&state).ok()?)
            }))
        }
        Item::Record(record) => {
            let intake = agent.intakes.iter().find(|it| it.subscription == record.lane.subscription);
            let value: Option<Value> =
                record.value.as_ref().and_then(|value| serde_json::from_slice(value).ok());
            Ok(intake.zip(value).and_then(|(intake, value)| {
                let values = value.get("state").or_else(|| value.get("carries"))?;
                masked(intake.codec.contract(), values)
            }))
        }
    }
}

/// Returns members of an object by the classification of the attribute that they are: what may be seen in the company as it
/// is, of all else and of what is no attribute only that it is there.
fn masked(contract: &ResolvedContract, values: &Value) -> Option<Value> {
    let shown = |name: &str| {
        let attribute = contract.attributes.iter().find(|it| it.name.as_str() == name);
        attribute.and_then(|it| it.classification).is_some_and(|it| it <= Classification::Internal)
    };
    let member = |(name, value): (&String, &Value)| {
        let masked = || json!(if value.is_null() { "no value" } else { "masked" });
        (name.clone(), if shown(name) { value.clone() } else { masked() })
    };
    Some(Value::Object(values.as_object()?.iter().map(member).collect::<Map<_, _>>()))
}
