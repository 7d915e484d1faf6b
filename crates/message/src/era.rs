//! Eras: what is of one major made of what is of another, by `serves`. The relay writes an older major from the rows of the
//! newest; a consumer of the newest reads the history that was written under an older one. Pure.

use crate::codec::{Change, Codec, CompileError, EventMessage, Row, StateMessage};
use crate::fit::fit;
use crate::violation::{Rule, Violation};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use seamline_contract::attribute::Type;
use seamline_contract::id::{AttributeName, EventName, Major, Version, ViewId};
use seamline_contract::resolve::{ResolvedAttribute, ResolvedContract};
use seamline_contract::served::Served;
use seamline_contract::value::Value;
use seamline_expr::program::{Program, compile};
use seamline_expr::scope::Scope;
use std::collections::{BTreeMap, BTreeSet};

/// Why an older major cannot be kept alive, or its history not be read. `check` says the same with places.
#[derive(Debug, thiserror::Error)]
pub enum EraError {
    /// It is served, and its text is not there or does not resolve.
    #[error("version {0} is served, and its text is not there")]
    NoText(Major),
    /// Its text does not compile.
    #[error("version {0} does not compile: {1}")]
    Compile(Version, #[source] CompileError),
    /// An expression does not compile.
    #[error("`{attribute}` of version {version}: {reason}")]
    Expression {
        /// What it makes.
        attribute: AttributeName,
        /// The version that it makes it for.
        version: Version,
        /// Why.
        reason: String,
    },
    /// An attribute that always has a value is written by nothing.
    #[error("version {version} always has `{attribute}`, and nothing under `write` says what it is")]
    Unsaid {
        /// The attribute.
        attribute: AttributeName,
        /// The version that has it.
        version: Version,
    },
    /// A record of one key would not be one of the same key in the other.
    #[error("version {0} has another key, so that it cannot be written from the same row")]
    Key(Version),
    /// The last day is none.
    #[error("`{0}` is no day such as 2027-03-31")]
    Until(String),
}

/// Where a value of the one major comes from in a row of the other.
#[derive(Debug, Clone)]
enum Origin {
    Same(usize),
    Is(Program, Vec<usize>),
    Unknown,
}

/// Rows of one major made of rows of another.
#[derive(Debug, Clone)]
struct Mapping {
    /// Aligned with the attributes of what is made.
    origins: Vec<(AttributeName, Type, Origin)>,
}

impl Mapping {
    fn compile(
        from: &ResolvedContract,
        to: &ResolvedContract,
        written: &[(AttributeName, String)],
    ) -> Result<Mapping, EraError> {
        let scope = Scope::of(from);
        let mut origins = Vec::with_capacity(to.attributes.len());
        for attribute in &to.attributes {
            let same = from.slot(&attribute.name).filter(|slot| {
                let there = &from.attributes[*slot].shape;
                there.ty == attribute.shape.ty && there.approximate == attribute.shape.approximate
            });
            let text = written.iter().find(|(name, _)| *name == attribute.name).map(|(_, text)| text);
            let origin = match (text, same) {
                (Some(text), _) => {
                    let program = compile(text, &scope).map_err(|errors| EraError::Expression {
                        attribute: attribute.name.clone(),
                        version: to.contract.version,
                        reason: errors.into_iter().map(|it| it.message).collect::<Vec<_>>().join("; "),
                    })?;
                    let uses = program.uses().iter().filter_map(|path| from.slot(path.first())).collect();
                    Origin::Is(program, uses)
                }
                (None, Some(slot)) => Origin::Same(slot),
                (None, None) => Origin::Unknown,
            };
            origins.push((attribute.name.clone(), attribute.shape.ty.clone(), origin));
        }
        Ok(Mapping { origins })
    }

    /// Returns the row that this makes of another, and the slots of it that are not known, since what they are made of is
    /// `absent` there.
    fn row(&self, from: &[Value], absent: &BTreeSet<usize>) -> Result<(Row, BTreeSet<usize>), Violation> {
        let mut row = Vec::with_capacity(self.origins.len());
        let mut unknown = BTreeSet::new();
        for (slot, (name, ty, origin)) in self.origins.iter().enumerate() {
            let value = match origin {
                Origin::Same(at) if !absent.contains(at) => from[*at].clone(),
                Origin::Is(program, uses) if !uses.iter().any(|at| absent.contains(at)) => {
                    let broken = |what: String| Violation::new(Rule::Type, name.as_str(), what);
                    let value = program
                        .eval(from)
                        .map_err(|error| broken(format!("cannot be made of the other major: {error}")))?;
                    fit(value, ty).ok_or_else(|| {
                        broken("what is made of the other major does not fit its type".to_owned())
                    })?
                }
                _ => {
                    unknown.insert(slot);
                    Value::Null
                }
            };
            row.push(value);
        }
        Ok((row, unknown))
    }
}

fn codec_of(contract: &ResolvedContract) -> Result<Codec, EraError> {
    Codec::compile(contract).map_err(|source| EraError::Compile(contract.contract.version, source))
}

/// Returns the types of the key's values, in order.
fn key_types(contract: &ResolvedContract) -> Vec<&Type> {
    contract.key.iter().map(|slot| &contract.attributes[*slot].shape.ty).collect()
}

/// One major made of the next newer one.
#[derive(Debug, Clone)]
struct Step {
    above: Codec,
    mapping: Mapping,
    /// The event above: the one below that it is sent as.
    events: BTreeMap<EventName, EventName>,
}

/// An older major, written from rows of the newer ones.
#[derive(Debug, Clone)]
pub struct Descent {
    /// Writes it.
    pub codec: Codec,
    /// The last day on which it is written, in UTC.
    pub until: Date,
    /// From the newest down to it.
    steps: Vec<Step>,
}

impl Descent {
    /// Compiles the older majors that a contract serves, newest first.
    ///
    /// # Errors
    /// The first that cannot be written.
    pub fn compile(contract: &ResolvedContract, newest: &Codec) -> Result<Vec<Descent>, EraError> {
        for serves in &contract.contract.serves {
            if contract.served.iter().all(|it| it.contract.contract.version.major != serves.version) {
                return Err(EraError::NoText(serves.version));
            }
        }
        let mut steps = Vec::new();
        let mut above = newest.clone();
        let mut descents = Vec::with_capacity(contract.served.len());
        for served in &contract.served {
            let below = codec_of(&served.contract)?;
            steps.push(step_down(above, served)?);
            descents.push(Descent {
                codec: below.clone(),
                until: served.until.parse().map_err(|_| EraError::Until(served.until.clone()))?,
                steps: steps.clone(),
            });
            above = below;
        }
        Ok(descents)
    }

    /// Returns the newest major, of which the others are made.
    pub fn newest(&self) -> Major {
        let newest = self.steps.first().map_or(&self.codec, |step| &step.above);
        newest.contract().contract.version.major
    }

    /// Returns whether rows of a moment are still written for it.
    pub fn is_alive(&self, at: Timestamp) -> bool {
        Offset::UTC.to_datetime(at).date() <= self.until
    }

    /// Returns the row that a state makes which was written, in source form, under this major or a newer one.
    ///
    /// # Errors
    /// Why it makes none; whether that row breaks this major's text is not judged.
    pub fn read_source(&self, written: Major, json: &[u8]) -> Result<Row, Vec<Violation>> {
        let steps = self.steps_from(written);
        let first = steps.first().map_or(&self.codec, |step| &step.above);
        let mut row = first.read_source(json)?;
        for step in steps {
            (row, _) = step.mapping.row(&row, &BTreeSet::new()).map_err(|violation| vec![violation])?;
        }
        Ok(row)
    }

    /// Returns a change that was written under this major or a newer one as one of this; none where its event is not sent.
    pub fn change(&self, written: Major, change: &Change) -> Option<Change> {
        let steps = self.steps_from(written);
        if steps.is_empty() {
            return Some(change.clone());
        }
        let mut event = &change.event;
        for step in steps {
            event = step.events.get(event)?;
        }
        let its = self.codec.contract().contract.event(event)?;
        let known = |name: &str| its.details.iter().any(|detail| detail.name.as_str() == name);
        Some(Change {
            event: event.clone(),
            details: change.details.as_deref().map(|details| kept(details, known)),
            ..change.clone()
        })
    }

    fn steps_from(&self, written: Major) -> &[Step] {
        let is_it = |step: &Step| step.above.contract().contract.version.major == written;
        self.steps.iter().position(is_it).map_or(&[], |at| &self.steps[at..])
    }
}

/// Returns the members of a JSON object whose names are known. Where all are, or it is none, it stays as it is.
pub(crate) fn kept(json: &[u8], known: impl Fn(&str) -> bool) -> Vec<u8> {
    let read: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(json);
    match read {
        Ok(mut members) if !members.keys().all(|name| known(name)) => {
            members.retain(|name, _| known(name));
            serde_json::Value::Object(members).to_string().into_bytes()
        }
        _ => json.to_vec(),
    }
}

fn step_down(codec: Codec, served: &Served) -> Result<Step, EraError> {
    let above = codec.contract();
    let version = served.contract.contract.version;
    let mapping = Mapping::compile(above, &served.contract, &served.write)?;
    let mut made = served.contract.attributes.iter().zip(&mapping.origins);
    let is_unsaid = |(attribute, (_, _, origin)): &(&ResolvedAttribute, &(_, _, Origin))| {
        matches!(origin, Origin::Unknown) && !attribute.optional
    };
    if let Some((attribute, _)) = made.find(is_unsaid) {
        return Err(EraError::Unsaid { attribute: attribute.name.clone(), version });
    }
    if key_types(above) != key_types(&served.contract) {
        return Err(EraError::Key(version));
    }
    let events = above.contract.events.iter().flat_map(|events| &events.events);
    let sent = events.filter_map(|it| Some((it.name.clone(), served.event_of(&it.name)?.clone())));
    let events = sent.collect();
    Ok(Step { above: codec, mapping, events })
}

/// An older major, read as the newest.
#[derive(Debug, Clone)]
pub struct Ascent {
    /// Reads it.
    codec: Codec,
    newest: Codec,
    steps: Vec<Mapping>,
    events: BTreeMap<EventName, EventName>,
}

impl Ascent {
    /// Compiles the history that a contract's consumers can read, by the major that it was written under.
    ///
    /// # Errors
    /// The first major that cannot be read.
    pub fn compile(contract: &ResolvedContract, newest: &Codec) -> Result<BTreeMap<Major, Ascent>, EraError> {
        let mut ascents = BTreeMap::new();
        let mut steps: Vec<Mapping> = Vec::new();
        let mut above = contract;
        for (idx, served) in contract.served.iter().enumerate() {
            steps.insert(0, Mapping::compile(&served.contract, above, &served.read)?);
            let names = served.contract.contract.events.iter().flat_map(|events| &events.events);
            let ours = |its: &EventName| {
                let ladder = contract.served[..=idx].iter().rev();
                ladder.fold(its.clone(), |name, served| served.event_above(&name).clone())
            };
            let ascent = Ascent {
                codec: codec_of(&served.contract)?,
                newest: newest.clone(),
                steps: steps.clone(),
                events: names.map(|event| (event.name.clone(), ours(&event.name))).collect(),
            };
            ascents.insert(served.contract.contract.version.major, ascent);
            above = &served.contract;
        }
        Ok(ascents)
    }

    /// Returns the event of the newest that an event of this major is read as.
    pub fn event_name<'a>(&'a self, its: &'a EventName) -> &'a EventName {
        self.events.get(its).unwrap_or(its)
    }

    /// Reads a state record of this major as one of the newest. The bytes of its state are those that were sent.
    ///
    /// # Errors
    /// The first way in which it breaks the text that it was written under, or cannot be read as the newest.
    pub fn decode_state(
        &self,
        view: Option<&ViewId>,
        record_key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<StateMessage, Violation> {
        let message = self.codec.decode_state(view, record_key, value)?;
        let contract = self.codec.contract();
        let view = view.and_then(|view| contract.contract.view(view));
        let carried = contract.carried_paths(view);
        let is_absent =
            |slot: &usize| carried.iter().all(|path| path.first() != &contract.attributes[*slot].name);
        let absent = (0..contract.attributes.len()).filter(is_absent).collect();
        let row = self.up(message.row, absent)?;
        Ok(StateMessage { row, ..message })
    }

    /// Reads an event of this major, of which something may have been erased, as one of the newest. Returns it, and how the newest
    /// would have written it.
    ///
    /// # Errors
    /// The first way in which it breaks the text that it was written under, or cannot be read as the newest.
    pub fn decode_event(
        &self,
        view: Option<&ViewId>,
        record_key: Option<&[u8]>,
        value: &[u8],
        erased: &[String],
    ) -> Result<(EventMessage, Vec<u8>), Violation> {
        let message = self.codec.decode_erased_event(view, record_key, value, erased)?;
        let absent = message.row.iter().enumerate().filter(|(_, value)| value.is_null());
        let absent = absent.map(|(slot, _)| slot).collect();
        let row = self.up(message.row, absent)?;
        let change = self.event_name(&message.change).clone();
        let details = self.newest.contract().contract.event(&change).map(|event| &event.details);
        let known = |name: &str| details.into_iter().flatten().any(|detail| detail.name.as_str() == name);
        let written: Option<serde_json::Value> = serde_json::from_slice(value).ok();
        let details = written.as_ref().and_then(|it| it.get("details")).map(ToString::to_string);
        let as_ours = Change {
            event: change.clone(),
            effective: message.effective.clone(),
            reason: message.reason.as_ref().map(ToString::to_string),
            details: details.map(|details| kept(details.as_bytes(), known)),
        };
        let payload = self.newest.encode_event(view, &as_ours, &row)?;
        Ok((EventMessage { change, row, ..message }, payload))
    }

    fn up(&self, mut row: Row, mut absent: BTreeSet<usize>) -> Result<Row, Violation> {
        for step in &self.steps {
            (row, absent) = step.row(&row, &absent)?;
        }
        Ok(row)
    }
}
