//! Changes drawn from a contract: new rows, and events that may follow where a row stands. Nothing is written here.

use crate::trial::cast::Part;
use crate::trial::dice::Dice;
use crate::trial::sample;
use crate::trial::solve::{Literals, drawn, solve};
use crate::trial::table::source;
use seamline_contract::attribute::{Attribute, Shape, Type};
use seamline_contract::channel::Event;
use seamline_contract::id::{AttributeName, AttributePath, EnumValue};
use seamline_contract::value::Value;
use seamline_message::codec::{Before, Change, Row};
use seamline_message::key::RecordKey;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// How often a key is drawn before there seems to be none left.
const KEY_TRIES: usize = 20;

/// One key in so many ends when it could.
const END: usize = 6;

/// The service of one contract, as far as it is played.
pub(crate) struct Desk {
    /// What it plays.
    pub(crate) part: Part,
    /// What its invariants compare with.
    pub(crate) literals: Literals,
    /// Its rows, by key.
    pub(crate) rows: BTreeMap<RecordKey, Row>,
    /// Rows that no change touches any more.
    pub(crate) frozen: BTreeMap<RecordKey, Row>,
    /// Every key that it ever had or promised never to have.
    pub(crate) used: BTreeSet<RecordKey>,
}

/// A change to write.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The key.
    pub(crate) key: RecordKey,
    /// The row after it; with an end, the one before the row goes.
    pub(crate) row: Row,
    /// The event; none: the state alone is published.
    pub(crate) change: Option<Change>,
    /// The key ends.
    pub(crate) ends: bool,
}

impl Desk {
    /// Returns the service of a contract, without any row.
    pub(crate) fn new(part: Part) -> Desk {
        let literals = Literals::of(&part.codec);
        let (rows, frozen, used) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Desk { part, literals, rows, frozen, used }
    }

    fn shape(&self, slot: usize) -> &Shape {
        &self.part.contract.attributes[slot].shape
    }

    /// Returns its events, in the order written.
    pub(crate) fn events(&self) -> &[Event] {
        self.part.contract.contract.events.as_ref().map_or(&[], |events| &events.events)
    }

    fn is_key(&self, slot: usize) -> bool {
        self.part.contract.key.contains(&slot)
    }

    /// Returns the slots that a plain change of state may touch.
    pub(crate) fn loose(&self) -> Vec<usize> {
        let attributes = self.part.contract.attributes.iter().enumerate();
        let loose = attributes.filter(|(slot, it)| !self.is_key(*slot) && !it.carried && !moves(&it.shape));
        loose.map(|(slot, _)| slot).collect()
    }

    /// Returns the published values of attributes with moves, in source form.
    fn moved(&self, row: &[Value]) -> Vec<u8> {
        let attributes = self.part.contract.attributes.iter().zip(row);
        let moving = attributes.filter(|(it, value)| it.shape.moves.is_some() && !value.is_null());
        let members: serde_json::Map<String, serde_json::Value> =
            moving.map(|(it, value)| (it.name.to_string(), source(&it.shape, value))).collect();
        serde_json::Value::Object(members).to_string().into_bytes()
    }

    fn is_sound(&self, change: &Change, row: &[Value], before: Option<&[Value]>) -> bool {
        let before = Before { moved: before.map(|row| self.moved(row)) };
        let codec = &self.part.codec;
        codec.judge_change(change, Some(row), &before).is_empty()
            && codec.encode_event(None, change, row).is_ok()
    }
}

fn moves(shape: &Shape) -> bool {
    shape.moves.is_some()
        || matches!(&shape.ty, Type::Object(members)
            if members.iter().filter_map(Attribute::own_shape).any(moves))
}

/// Draws a row of a new key, with an event that may begin one where there is any. None when none was found.
pub(crate) fn fresh(dice: &mut Dice, desks: &[Desk], at: usize) -> Option<Draft> {
    let desk = &desks[at];
    let n_slots = desk.part.contract.attributes.len();
    let carried = carried(dice, desks, at)?;
    let mut row: Row = Vec::with_capacity(n_slots);
    let mut free = Vec::new();
    for slot in 0..n_slots {
        let starts = starts(desk.shape(slot));
        if let Some(value) = carried.get(&slot) {
            row.push(value.clone());
        } else if let Some(start) = dice.one_of(&starts) {
            row.push(Value::String(start.to_string()));
        } else {
            free.push(slot);
            row.push(drawn(dice, &desk.part.codec, slot)?);
        }
    }
    let mut events: Vec<Option<&Event>> = desk.events().iter().filter(|it| !it.ends).map(Some).collect();
    dice.shuffle(&mut events);
    events.push(None);
    for event in events {
        let Some((row, free)) = begun(dice, desk, event, &row, &free) else { continue };
        let Some(row) = solve(dice, &desk.part.codec, &desk.literals, row, &free) else { continue };
        let key = desk.part.codec.key_of(&row);
        if desk.used.contains(&key) {
            return None;
        }
        let Some(event) = event else { return Some(Draft { key, row, change: None, ends: false }) };
        let change = change(dice, event)?;
        if desk.is_sound(&change, &row, None) {
            return Some(Draft { key, row, change: Some(change), ends: false });
        }
    }
    None
}

/// Returns a row as an event would have begun it, and the slots that stay free; none where no key begins so.
fn begun(
    dice: &mut Dice,
    desk: &Desk,
    event: Option<&Event>,
    row: &Row,
    free: &[usize],
) -> Option<(Row, Vec<usize>)> {
    let (mut row, mut free) = (row.clone(), free.to_vec());
    for (name, values) in event.map(|event| &event.becomes).into_iter().flatten() {
        let slot = desk.part.contract.slot(name)?;
        let starts = starts(desk.shape(slot));
        let open: Vec<&EnumValue> =
            values.iter().filter(|value| starts.is_empty() || starts.contains(value)).collect();
        row[slot] = typed(desk.shape(slot), dice.one_of(&open)?)?;
        free.retain(|it| *it != slot);
    }
    Some((row, free))
}

/// Draws what may follow for one of a contract's rows; none when nothing was found.
pub(crate) fn follow(dice: &mut Dice, desks: &[Desk], at: usize) -> Option<Draft> {
    let desk = &desks[at];
    let (key, row) = desk.rows.iter().nth(dice.below(desk.rows.len()))?;
    let mut events: Vec<&Event> = desk.events().iter().collect();
    dice.shuffle(&mut events);
    for event in events {
        if event.ends && !dice.once_in(END) {
            continue;
        }
        if let Some(draft) = told(dice, desks, at, key, row, event) {
            return Some(draft);
        }
    }
    nudge(dice, desk, key, row)
}

/// Draws what a row becomes by an event; none when it cannot follow.
pub(crate) fn told(
    dice: &mut Dice,
    desks: &[Desk],
    at: usize,
    key: &RecordKey,
    before: &Row,
    event: &Event,
) -> Option<Draft> {
    let desk = &desks[at];
    let mut row = before.clone();
    for (name, values) in &event.becomes {
        let slot = desk.part.contract.slot(name)?;
        row[slot] = typed(desk.shape(slot), dice.one_of(values)?)?;
    }
    let carried = if event.sets.is_empty() { BTreeMap::new() } else { carried(dice, desks, at)? };
    for path in &event.sets {
        let slot = desk.part.contract.slot(path.first())?;
        if !desk.is_key(slot) {
            match carried.get(&slot) {
                Some(value) => row[slot] = value.clone(),
                None => set(dice, desk, &mut row, slot, path)?,
            }
        }
    }
    let change = change(dice, event)?;
    let decided: Vec<usize> =
        event.becomes.iter().filter_map(|(name, _)| desk.part.contract.slot(name)).collect();
    let loose: Vec<usize> = desk.loose().into_iter().filter(|slot| !decided.contains(slot)).collect();
    let of = |paths: &[AttributePath]| -> Vec<usize> {
        let named = |slot: &&usize| {
            let name = &desk.part.contract.attributes[**slot].name;
            paths.iter().any(|path| path.first() == name)
        };
        loose.iter().filter(named).copied().collect()
    };
    // What travels with an event may have changed with it; what else an invariant needs, if there is no other way.
    let travels: Vec<usize> = of(&event.sets).into_iter().chain(of(&event.with)).collect();
    let solved = [of(&event.sets), travels, loose.clone()]
        .into_iter()
        .find_map(|free| solve(dice, &desk.part.codec, &desk.literals, row.clone(), &free))?;
    let sound = desk.is_sound(&change, &solved, Some(before));
    let draft = Draft { key: key.clone(), row: solved, change: Some(change), ends: event.ends };
    sound.then_some(draft)
}

/// Draws another state of a row, told by no event; none where there is no other.
pub(crate) fn nudge(dice: &mut Dice, desk: &Desk, key: &RecordKey, row: &Row) -> Option<Draft> {
    let loose = desk.loose();
    for _ in 0..KEY_TRIES {
        let slot = *dice.one_of(&loose)?;
        let mut other = row.clone();
        other[slot] = drawn(dice, &desk.part.codec, slot)?;
        if other == *row {
            continue;
        }
        let solved = solve(dice, &desk.part.codec, &desk.literals, other, &loose);
        if let Some(row) = solved.filter(|solved| solved != row) {
            return Some(Draft { key: key.clone(), row, change: None, ends: false });
        }
    }
    None
}

/// Draws a key that a contract never had.
pub(crate) fn stranger(dice: &mut Dice, desk: &Desk) -> Option<RecordKey> {
    let codec = &desk.part.codec;
    for _ in 0..KEY_TRIES {
        let mut row = vec![Value::Null; desk.part.contract.attributes.len()];
        for slot in &desk.part.contract.key {
            row[*slot] = sample::draw(dice, desk.shape(*slot))?;
        }
        let key = codec.key_of(&row);
        let is_sound = codec.judge_state(&row).iter().all(|violation| {
            let name = violation.path.strip_prefix("state.").unwrap_or_default();
            !desk.part.contract.contract.key.iter().any(|key| key.as_str() == name)
        });
        if is_sound && codec.decode_key(Some(key.as_bytes())).is_ok() && !desk.used.contains(&key) {
            return Some(key);
        }
    }
    None
}

/// Draws the values that a new row carries from rows of others, by slot: of one owner all from the same row, and a key that is
/// not taken. None where there is no such row yet.
fn carried(dice: &mut Dice, desks: &[Desk], at: usize) -> Option<BTreeMap<usize, Value>> {
    let desk = &desks[at];
    let mut by_owner: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (slot, attribute) in desk.part.contract.attributes.iter().enumerate().filter(|(_, it)| it.carried) {
        let owner = desks.iter().position(|it| it.part.contract.contract.name == attribute.owner.contract);
        let path = attribute.owner.path.names();
        if let (Some(owner), [name]) = (owner, path)
            && let Some(theirs) = desks[owner].part.contract.slot(name)
        {
            by_owner.entry(owner).or_default().push((slot, theirs));
        }
    }
    let mut carried = BTreeMap::new();
    for (owner, slots) in by_owner {
        let donors: Vec<&Row> = desks[owner].rows.values().chain(desks[owner].frozen.values()).collect();
        let is_key = slots.iter().any(|(slot, _)| desk.is_key(*slot));
        let tries = if is_key && desk.part.contract.key.len() == 1 { KEY_TRIES } else { 1 };
        let mut chosen = None;
        for _ in 0..tries {
            let donor = *dice.one_of(&donors)?;
            let mut row = vec![Value::Null; desk.part.contract.attributes.len()];
            slots.iter().for_each(|(slot, theirs)| row[*slot] = donor[*theirs].clone());
            let is_taken = tries > 1 && desk.used.contains(&desk.part.codec.key_of(&row));
            if !is_taken {
                chosen = Some(donor);
                break;
            }
        }
        let donor = chosen?;
        carried.extend(slots.into_iter().map(|(slot, theirs)| (slot, donor[theirs].clone())));
    }
    Some(carried)
}

/// Returns the values with which a key may begin; none where any may be.
fn starts(shape: &Shape) -> Vec<EnumValue> {
    let moves = shape.moves.iter().flatten();
    moves.filter(|step| step.from.is_none()).filter_map(|step| step.to.clone()).collect()
}

/// Returns a value that an event declares, as one of a shape.
fn typed(shape: &Shape, value: &EnumValue) -> Option<Value> {
    match &shape.ty {
        Type::Boolean => value.as_str().parse().ok().map(Value::Boolean),
        Type::Enum | Type::String => Some(Value::String(value.to_string())),
        Type::Integer => value.as_str().parse().ok().map(Value::Integer),
        _ => None,
    }
}

/// Draws the value at a path of a row anew.
fn set(dice: &mut Dice, desk: &Desk, row: &mut Row, slot: usize, path: &AttributePath) -> Option<()> {
    let below = &path.names()[1..];
    if below.is_empty() || row[slot].is_null() {
        row[slot] = drawn(dice, &desk.part.codec, slot)?;
        return Some(());
    }
    let shape = desk.part.contract.at(path)?.shape.clone();
    put(&mut row[slot], below, sample::draw(dice, &shape)?)
}

fn put(value: &mut Value, below: &[AttributeName], new: Value) -> Option<()> {
    let Some((name, rest)) = below.split_first() else {
        *value = new;
        return Some(());
    };
    let Value::Map(members) = value else { return None };
    put(members.entry(name.to_string()).or_insert_with(|| Value::Map(BTreeMap::new())), rest, new)
}

/// Draws what a service says with an event.
fn change(dice: &mut Dice, event: &Event) -> Option<Change> {
    let mut details = serde_json::Map::new();
    for detail in &event.details {
        if !detail.optional || !dice.once_in(3) {
            let shape = detail.own_shape()?;
            details.insert(detail.name.to_string(), source(shape, &sample::draw(dice, shape)?));
        }
    }
    let given = event.effective.is_none() && dice.once_in(4);
    Some(Change {
        event: event.name.clone(),
        effective: given.then(|| format!("2026-01-{:02}", 1 + dice.below(28))),
        reason: dice.one_of(&event.reasons).map(|(reason, _)| reason.to_string()),
        details: (!event.details.is_empty()).then(|| json!(details).to_string().into_bytes()),
    })
}
