//! Judges a change: the event, its reason, details and effect, what it becomes, and the steps that enumerations take.

use super::plan::{EventPlan, Moving};
use super::{Before, Change, Codec, judge, read, scalar};
use crate::canonical;
use crate::era::kept;
use crate::violation::{Rule, Violation, all_below};
use seamline_contract::attribute::Move;
use seamline_contract::id::{AttributeName, EnumValue, EventName};
use seamline_contract::value::Value;

impl Codec {
    /// Judges a change by the state of its moment and what was published of the key before. Without a row the key is gone.
    pub fn judge_change(&self, change: &Change, row: Option<&[Value]>, before: &Before) -> Vec<Violation> {
        let Some(plan) = self.event_idx(&change.event).map(|idx| &self.plan.events[idx]) else {
            return vec![Violation::new(Rule::Event, "change", "the contract has no such event")];
        };
        let mut found = self.judge_event(plan, change, row);
        found.extend(self.judge_moves(row, before, plan.event.ends));
        found
    }

    /// Judges a change by the state of its moment, whatever was published of the key before.
    pub fn judge_effect(&self, change: &Change, row: Option<&[Value]>) -> Vec<Violation> {
        match self.event_idx(&change.event) {
            Some(idx) => self.judge_event(&self.plan.events[idx], change, row),
            None => vec![Violation::new(Rule::Event, "change", "the contract has no such event")],
        }
    }

    /// Judges a change by the state of its moment, whatever was published before.
    pub(super) fn judge_event(
        &self,
        plan: &EventPlan,
        change: &Change,
        row: Option<&[Value]>,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        if row.is_none() && !plan.event.ends {
            found.push(Violation::new(
                Rule::Event,
                "change",
                "the key is gone, and the event does not end it",
            ));
        }
        found.extend(reason(plan, change.reason.as_deref()));
        match details(plan, change.details.as_deref()) {
            Ok(details) => {
                let before = found.len();
                judge::row(&plan.details, &details, &mut found);
                all_below(&mut found[before..], "details");
            }
            Err(violations) => found.extend(violations),
        }
        found.extend(effective(plan, change, row).err());
        if let Some(row) = row {
            found.extend(self.becomes(plan, row, "state"));
        }
        found
    }

    /// Judges the steps that enumerations took between two rows of one key, as far as both carry them.
    pub fn judge_steps(&self, before: &[Value], row: &[Value]) -> Vec<Violation> {
        let judged = self.plan.moving.iter().filter(|moving| {
            let below = &moving.path.names()[1..];
            let sides = (text_at(&before[moving.slot], below), text_at(&row[moving.slot], below));
            matches!(sides, (Some(_), Some(_))) && !allowed(&moving.moves, sides.0, sides.1)
        });
        judged.map(refused).collect()
    }

    /// Judges the end of a key that no event tells of: whether its enumerations may end from where they stood.
    pub fn judge_end(&self, before: &Before) -> Vec<Violation> {
        self.judge_moves(None, before, true)
    }

    /// Returns when a change takes effect, in canonical form: as an attribute says where the event names one, else as given.
    /// It is the text for the header, the event and the state record.
    ///
    /// # Errors
    /// EVENT, when the contract has no such event; EFFECTIVE, when what was given is neither a day nor an instant.
    pub fn effective(&self, change: &Change, row: Option<&[Value]>) -> Result<Option<String>, Violation> {
        let unknown = || Violation::new(Rule::Event, "change", "the contract has no such event");
        let idx = self.event_idx(&change.event).ok_or_else(unknown)?;
        effective(&self.plan.events[idx], change, row)
    }

    /// Returns the place of an event in the plan.
    pub(super) fn event_idx(&self, name: &EventName) -> Option<usize> {
        self.plan.events.iter().position(|plan| &plan.event.name == name)
    }

    /// Judges the values that an event promises; those that a row does not carry are left alone.
    pub(super) fn becomes(&self, plan: &EventPlan, row: &[Value], top: &str) -> Vec<Violation> {
        let broken = plan.event.becomes.iter().filter(|(name, values)| {
            let slot = self.plan.contract.slot(name);
            let given = slot.and_then(|slot| canonical::text(&row[slot]));
            !values.iter().any(|value| Some(value.as_str()) == given.as_deref())
        });
        broken
            .map(|(name, _)| {
                Violation::new(Rule::Becomes, format!("{top}.{name}"), "not a value that the event declares")
            })
            .collect()
    }

    fn judge_moves(&self, row: Option<&[Value]>, before: &Before, ends: bool) -> Vec<Violation> {
        let width = self.plan.attributes.width;
        let mut last = vec![Value::Null; width];
        if let Some(moved) = &before.moved
            && let Err(violations) = self.read_moved(moved, &mut last)
        {
            return violations;
        }
        let mut found = Vec::new();
        for moving in &self.plan.moving {
            // What was published under a text that did not have it, or not its steps, says nothing of where it stood.
            if before.moved.as_ref().is_some_and(|moved| !names(moved, moving.path.first())) {
                continue;
            }
            let below = &moving.path.names()[1..];
            let from = text_at(&last[moving.slot], below);
            let now = row.and_then(|row| text_at(&row[moving.slot], below));
            let mut step = |from, to| {
                if !allowed(&moving.moves, from, to) {
                    found.push(refused(moving));
                }
            };
            match row {
                Some(_) => {
                    step(from, now);
                    if ends {
                        step(now, None);
                    }
                }
                None => step(from, None),
            }
        }
        found
    }
}

impl Codec {
    /// Reads what was published before, under whatever text: attributes that there are no more are left out.
    fn read_moved(&self, moved: &[u8], last: &mut [Value]) -> Result<(), Vec<Violation>> {
        let read =
            |json: &[u8], last: &mut [Value]| read::source(&self.plan.attributes, json, "before", last);
        read(moved, last).or_else(|_| {
            let known = |name: &str| self.plan.attributes.field(name).is_some();
            read(&kept(moved, known), last)
        })
    }
}

/// Returns whether an object has a member of a name. Its values are those of enumerations, which have no quotes.
fn names(json: &[u8], name: &AttributeName) -> bool {
    let quoted = format!("\"{name}\"");
    json.windows(quoted.len()).any(|window| window == quoted.as_bytes())
}

fn refused(moving: &Moving) -> Violation {
    Violation::new(Rule::Move, format!("state.{}", moving.path), "a step that is not declared")
}

/// Returns the text of an enumeration at a path below a value.
fn text_at<'a>(value: &'a Value, below: &[AttributeName]) -> Option<&'a str> {
    match (value, below.split_first()) {
        (Value::String(text), None) => Some(text),
        (Value::Map(members), Some((name, rest))) => text_at(members.get(name.as_str())?, rest),
        _ => None,
    }
}

/// Returns whether declared moves allow a step; no value stands for before the beginning and after the end.
/// Staying is never a move. Beginning and ending are free unless some beginning or ending is declared.
fn allowed(moves: &[Move], from: Option<&str>, to: Option<&str>) -> bool {
    let text = |side: &Option<EnumValue>| side.as_ref().map(|value| value.as_str().to_owned());
    let listed =
        || moves.iter().any(|step| text(&step.from).as_deref() == from && text(&step.to).as_deref() == to);
    match (from, to) {
        (from, to) if from == to => true,
        (None, _) => listed() || moves.iter().all(|step| step.from.is_some()),
        (_, None) => listed() || moves.iter().all(|step| step.to.is_some()),
        _ => listed(),
    }
}

/// Judges a reason code: one of the declared, required when any is.
pub(super) fn reason(plan: &EventPlan, given: Option<&str>) -> Option<Violation> {
    let declared = &plan.event.reasons;
    let message = match given {
        None if declared.is_empty() => return None,
        None => "no reason, and the event declares reasons",
        Some(given) if declared.iter().any(|(reason, _)| reason.as_str() == given) => return None,
        Some(_) => "not a reason that the event declares",
    };
    Some(Violation::new(Rule::Reason, "reason", message))
}

/// Reads the details of an event from their source form, by slot.
pub(super) fn details(plan: &EventPlan, json: Option<&[u8]>) -> Result<Vec<Value>, Vec<Violation>> {
    let mut row = vec![Value::Null; plan.details.width];
    if let Some(json) = json {
        read::source(&plan.details, json, "details", &mut row)?;
    }
    Ok(row)
}

/// Returns the first of some violations.
pub(super) fn first(violations: Vec<Violation>) -> Violation {
    violations.into_iter().next().expect("a refusal has a reason")
}

/// Returns when a change takes effect, in canonical form: as an attribute says where one is declared, else as given.
pub(super) fn effective(
    plan: &EventPlan,
    change: &Change,
    row: Option<&[Value]>,
) -> Result<Option<String>, Violation> {
    if let (Some(slot), Some(row)) = (plan.effective, row) {
        return Ok(canonical::text(&row[slot]));
    }
    change.effective.as_deref().map(canonical_effective).transpose()
}

/// Returns a day or an instant in canonical form.
fn canonical_effective(text: &str) -> Result<String, Violation> {
    let value = scalar::moment(text);
    let canonical = value.as_ref().and_then(canonical::text);
    canonical.ok_or_else(|| {
        Violation::new(Rule::Effective, "effective", "neither a day nor an instant with a zone")
    })
}
