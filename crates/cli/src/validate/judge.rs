//! Judges one payload after the other, and counts.

use crate::exit::usage;
use crate::validate::records::{Layout, Record};
use crate::validate::reference::Reference;
use crate::validate::shape::{pointer, probably_meant, shape, value};
use anyhow::Result;
use seamline_contract::value::Value;
use seamline_message::codec::{Codec, Row, Writing};
use seamline_message::violation::{Rule, Violation};
use std::collections::BTreeMap;

/// How many keys are followed from payload to payload.
const KEYS_MAX: usize = 100_000;

/// A violation, with what may be said of the place where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Rule, path and message.
    pub(crate) violation: Violation,
    /// The JSON pointer into the payload; empty for the whole.
    pub(crate) pointer: String,
    /// The shape of what stands there; none where nothing does.
    pub(crate) shape: Option<String>,
    /// The value that stands there, where it may be seen and was asked for.
    pub(crate) value: Option<String>,
    /// Declared names that unknown members were probably meant to have.
    pub(crate) meant: Vec<String>,
}

/// What was seen and found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    /// How the file is laid out.
    pub(crate) layout: Layout,
    /// How the payloads are written; none where there was none.
    pub(crate) writing: Option<Writing>,
    /// Payloads, those that cannot be read among them.
    pub(crate) records: u64,
    /// Payloads with violations.
    pub(crate) broken: u64,
    /// Violations.
    pub(crate) violations: u64,
    /// Violations by rule.
    pub(crate) rules: BTreeMap<String, u64>,
    /// Payloads that were not held against the one before them, because there are too many keys.
    pub(crate) unfollowed: u64,
}

/// Judges the payloads of a file.
pub(crate) struct Judge<'r> {
    reference: &'r Reference,
    codec: Codec,
    writing: Option<Writing>,
    shows_values: bool,
    /// The last row of each key; none when rows are not followed.
    last: Option<BTreeMap<String, Row>>,
    totals: Totals,
}

impl<'r> Judge<'r> {
    /// Compiles the contract.
    ///
    /// # Errors
    /// When it does not compile.
    pub(crate) fn new(
        reference: &'r Reference,
        writing: Option<Writing>,
        moves: bool,
        shows_values: bool,
    ) -> Result<Judge<'r>> {
        let help = "run `seamline check` and mend what it finds";
        let codec = Codec::compile(&reference.contract).map_err(|error| usage(error.to_string(), help))?;
        let totals = Totals {
            layout: Layout::One,
            writing,
            records: 0,
            broken: 0,
            violations: 0,
            rules: BTreeMap::new(),
            unfollowed: 0,
        };
        let last = moves.then(BTreeMap::new);
        Ok(Judge { reference, codec, writing, shows_values, last, totals })
    }

    /// Judges a payload.
    pub(crate) fn record(&mut self, record: &Record) -> Vec<Found> {
        self.totals.records += 1;
        let found = match &record.bytes {
            Err(why) => vec![plain(Violation::new(Rule::Json, "", *why))],
            Ok(bytes) => self.bytes(bytes),
        };
        self.totals.broken += u64::from(!found.is_empty());
        self.totals.violations += found.len() as u64;
        for it in &found {
            *self.totals.rules.entry(it.violation.rule.as_str().to_owned()).or_default() += 1;
        }
        found
    }

    /// Returns what was seen and found.
    pub(crate) fn totals(self, layout: Layout) -> Totals {
        Totals { layout, writing: self.writing, ..self.totals }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Found> {
        let writing = *self.writing.get_or_insert_with(|| told_by(self.reference, bytes));
        let (view, event) = (self.reference.view.as_ref(), self.reference.event.as_ref());
        let examined = match event {
            None => self.codec.examine_state(view, writing, bytes),
            Some(event) => self.codec.examine_event(view, event, writing, bytes),
        };
        let violations = match examined {
            Ok(row) => self.follow(row),
            Err(violations) => violations,
        };
        if violations.is_empty() {
            return Vec::new();
        }
        // Only to describe what was judged: read leniently.
        let payload: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
        let describe = |violation| self.describe(violation, writing, payload.as_ref());
        violations.into_iter().map(describe).collect()
    }

    fn describe(&self, violation: Violation, writing: Writing, payload: Option<&serde_json::Value>) -> Found {
        let pointer = pointer(&violation, writing, self.reference.event.is_some());
        let there = payload.and_then(|payload| payload.pointer(&pointer));
        let shown = there.filter(|_| self.shows_values);
        Found {
            shape: there.map(shape),
            value: shown.and_then(|there| value(self.reference, &violation, there)),
            meant: there.map(|there| probably_meant(self.reference, &violation, there)).unwrap_or_default(),
            pointer,
            violation,
        }
    }

    /// Holds a row against the last one of its key, and remembers it.
    fn follow(&mut self, row: Row) -> Vec<Violation> {
        let Some(last) = &mut self.last else { return Vec::new() };
        let key = self.codec.key_of(&row).to_string();
        let n_keys = last.len();
        match last.get_mut(&key) {
            Some(before) => {
                let found = self.codec.judge_steps(before, &row);
                // What a payload does not carry stays as it was.
                for (before, now) in before.iter_mut().zip(row).filter(|(_, now)| !now.is_null()) {
                    *before = now;
                }
                found
            }
            None if n_keys < KEYS_MAX => {
                last.insert(key, kept(self.reference, row));
                Vec::new()
            }
            None => {
                self.totals.unfollowed += 1;
                Vec::new()
            }
        }
    }
}

/// Returns a row without what no move speaks of.
fn kept(reference: &Reference, mut row: Row) -> Row {
    for (value, attribute) in row.iter_mut().zip(&reference.contract.attributes) {
        if attribute.shape.moves.is_none() && !matches!(value, Value::Map(_)) {
            *value = Value::Null;
        }
    }
    row
}

fn plain(violation: Violation) -> Found {
    Found { violation, pointer: String::new(), shape: None, value: None, meant: Vec::new() }
}

/// Returns how a first payload is written: on the wire state stands in `state`, and an event in source form has the row of
/// its moment there.
fn told_by(reference: &Reference, bytes: &[u8]) -> Writing {
    let payload: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let has_state = payload.is_some_and(|payload| payload.get("state").is_some());
    let is_attribute = reference.contract.attributes.iter().any(|it| it.name.as_str() == "state");
    match reference.event {
        Some(_) if has_state => Writing::Source,
        Some(_) => Writing::Wire,
        None if has_state && !is_attribute => Writing::Wire,
        None => Writing::Source,
    }
}
