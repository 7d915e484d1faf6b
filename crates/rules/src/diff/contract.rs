//! A contract, all of it: every field is placed here, or where this calls.

use super::attribute::{Home, Inherited, Seen, attribute, privacy};
use super::change::{Aspect, Effect, Target};
use super::channel::{channel, commands, events, guarantees, views};
use super::declared::Renames;
use super::walk::{
    LIMIT, NOTED, Named, RELIED_ON, Spot, Verdict, WORDS_ONLY, Walk, When, matched, matched_by,
};
use seamline_contract::attribute::{Attribute, Classification};
use seamline_contract::contract::{Contract, Derived, Expect, Reconciliation, Repair, Serves, Status};
use seamline_contract::id::AttributePath;
use seamline_contract::measure::Threshold;
use seamline_contract::resolve::ResolvedContract;

/// One side: as written, and with everything filled in where that is possible.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) contract: &'a Contract,
    pub(super) resolved: Option<&'a ResolvedContract>,
    /// The estate's classification where a contract names none.
    pub(super) classification: Option<Classification>,
}

impl<'a> Text<'a> {
    fn inherited(&self) -> Inherited<'a> {
        Inherited {
            classification: self.contract.classification.or(self.classification),
            purposes: self.contract.purposes.as_deref(),
        }
    }

    fn seen(&self, attribute: &'a Attribute) -> Seen<'a> {
        let resolved =
            self.resolved.and_then(|contract| Some(&contract.attributes[contract.slot(&attribute.name)?]));
        Seen::of(attribute, resolved, self.inherited())
    }
}

/// Holds two texts of a contract against each other.
pub(super) fn contract(walk: &mut Walk, (old, new): (Text<'_>, Text<'_>), renames: &Renames) {
    let inherited = (old.inherited(), new.inherited());
    let (old_text, new_text) = (old, new);
    let (old, new) = (old.contract, new.contract);
    let Contract {
        document: _,
        name: _,
        version,
        frozen: _,
        status,
        meaning,
        key,
        partition_by: _,
        classification: _,
        purposes: _,
        expect,
        subject,
        attributes: _,
        invariants,
        events: old_events,
        state,
        reference,
        requests,
        commands: old_commands,
        command_terms,
        views: old_views,
        derived,
        guarantees: old_guarantees,
        reconciliation: old_reconciliation,
        serves: old_serves,
        changes: _,
    } = old;
    let spot = &Spot::new(Target::Whole, &old.path(), &new.path());
    if version.major != new.version.major {
        let sides = (Some(version.major.to_string()), Some(new.version.major.to_string()));
        let verdict =
            (Effect::Breaking, "it has topics of its own, and readers of the other major stay on theirs");
        walk.note(&spot.key("version"), "major", Aspect::Channel, sides, verdict);
    }
    stage(walk, spot, (*status, new.status));
    of_itself(walk, spot, (meaning, &new.meaning));
    let listed = |names: &[_]| Some(names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let verdict = (Effect::Breaking, "records are of other things");
    walk.note(&spot.key("key"), "key", Aspect::Shape, (listed(key), listed(&new.key)), verdict);
    partitions(walk, spot, (old, new));
    expected(walk, spot, (expect, &new.expect));
    let text = |it: &Option<_>| it.as_ref().map(ToString::to_string);
    walk.field(spot, "subject", Aspect::Privacy, (text(subject), text(&new.subject)), RELIED_ON);
    whole_privacy(walk, spot, (&old_text, &new_text));
    attributes(walk, spot, (&old_text, &new_text), renames);
    for (old, new) in matched(invariants, &new.invariants, |(name, _)| name.clone()) {
        let Some((name, _)) = old.or(new) else { continue };
        let target = Target::Other("invariant", name.to_string());
        let spot = spot.key("invariants").key(name.as_str()).of(target);
        let text = |it: Option<&(_, String)>| it.map(|(_, text)| text.clone());
        walk.field(&spot, "", Aspect::Guarantee, (text(old), text(new)), LIMIT);
    }
    events(walk, spot, (old_events.as_ref(), new.events.as_ref()), inherited);
    channel(walk, spot, "state", (state.as_ref(), new.state.as_ref()));
    channel(walk, spot, "reference", (reference.as_ref(), new.reference.as_ref()));
    channel(walk, spot, "requests", (requests.as_ref(), new.requests.as_ref()));
    let sides = ((command_terms, &old_commands[..]), (&new.command_terms, &new.commands[..]));
    commands(walk, spot, sides, inherited);
    views(walk, spot, (old_views, &new.views));
    composed(walk, spot, (derived.as_ref(), new.derived.as_ref()));
    guarantees(walk, spot, (old_guarantees, &new.guarantees));
    reconciliation(walk, spot, (old_reconciliation.as_ref(), new.reconciliation.as_ref()));
    serves(walk, spot, (old_serves, &new.serves));
}

/// Holds what orders records against itself: the whole key where nothing is written.
fn partitions(walk: &mut Walk, spot: &Spot, (old, new): (&Contract, &Contract)) {
    if old.partition_by.is_empty() && new.partition_by.is_empty() {
        return;
    }
    let by = |it: &Contract| {
        let names = if it.partition_by.is_empty() { &it.key } else { &it.partition_by };
        Some(names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    let verdict = (Effect::Breaking, "what was in order may come in another");
    walk.note(&spot.key("partitionBy"), "partitionBy", Aspect::Channel, (by(old), by(new)), verdict);
}

/// What a contract as a whole means: `changes` have no name for it, and no consumer accepts it alone.
fn of_itself(walk: &mut Walk, spot: &Spot, sides: (&str, &str)) {
    let from = walk.changes.len();
    walk.words(spot, "meaning", sides);
    for change in &mut walk.changes[from..] {
        (change.effect, change.reason) =
            (Effect::Additive, "no reader relies on it alone, and all should read it");
    }
}

/// What a status says of how firmly it is promised.
fn stage(walk: &mut Walk, spot: &Spot, (old, new): (Status, Status)) {
    let rank = |status| match status {
        Status::Proposed => 0,
        Status::Draft => 1,
        Status::Active | Status::Deprecated => 2,
        Status::Retired => -1,
    };
    let verdict = match (rank(old), rank(new)) {
        (2, 2) if new == Status::Deprecated => (Effect::Additive, "readers should leave it"),
        (2, 2) => (Effect::Editorial, "readers may stay"),
        (2, _) => (Effect::Breaking, "it is promised no more"),
        _ => (Effect::Additive, "nothing was promised before"),
    };
    let sides = (Some(old.to_string()), Some(new.to_string()));
    walk.note(&spot.key("status"), "status", Aspect::Guarantee, sides, verdict);
}

fn expected(walk: &mut Walk, spot: &Spot, (old, new): (&Expect, &Expect)) {
    let Expect { rows, changes } = old;
    let spot = spot.key("expect");
    let text = |it: Option<u64>| it.map(|it| it.to_string());
    let sides = (text(rows.map(|it| it.0)), text(new.rows.map(|it| it.0)));
    walk.field(&spot, "rows", Aspect::Channel, sides, NOTED);
    let text = |it: Option<seamline_contract::measure::Rate>| {
        it.map(|it| format!("{} in {} s", it.count.0, it.per_seconds))
    };
    walk.field(&spot, "changes", Aspect::Channel, (text(*changes), text(new.changes)), NOTED);
}

/// What attributes inherit is told of each of them; here only where none is there to tell it.
fn whole_privacy(walk: &mut Walk, spot: &Spot, (old, new): (&Text<'_>, &Text<'_>)) {
    let mut inner = Walk::new(walk.subject.clone());
    let sides = (old.inherited(), new.inherited());
    let (one, two) = ((sides.0.classification, sides.1.classification), (sides.0.purposes, sides.1.purposes));
    privacy(&mut inner, spot, one, two);
    for mut change in inner.changes {
        (change.effect, change.reason) =
            (Effect::Editorial, "each attribute that inherits it is told of by itself");
        walk.changes.push(change);
    }
}

fn attributes(walk: &mut Walk, spot: &Spot, (old, new): (&Text<'_>, &Text<'_>), renames: &Renames) {
    let spot = spot.key("attributes");
    let pairs = matched_by(
        &old.contract.attributes,
        &new.contract.attributes,
        |it| renames.of_old(&it.name),
        |it| it.name.clone(),
    );
    for (before, after) in pairs {
        let Some(name) = after.or(before).map(|it| &it.name) else { continue };
        let names = (before.map_or(name, |it| &it.name), after.map_or(name, |it| &it.name));
        let path = AttributePath::from(name.clone());
        let spot = spot.keys(names.0.as_str(), names.1.as_str());
        let (before, after) = (before.map(|it| old.seen(it)), after.map(|it| new.seen(it)));
        attribute(walk, (Home::State, &path), &spot, (before.as_ref(), after.as_ref()));
    }
}

fn composed(walk: &mut Walk, spot: &Spot, (old, new): (Option<&Derived>, Option<&Derived>)) {
    let from = |it: Option<&Derived>| {
        it.map(|Derived { from, on: _ }| from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    let verdict = (Effect::Breaking, "others decide which rows there are");
    let when = When { comes: verdict, goes: verdict, changes: verdict };
    let spot = spot.key("derived");
    walk.field(&spot, "from", Aspect::Ownership, (from(old), from(new)), when);
    let on = |it: Option<&Derived>| -> Vec<String> {
        let on = it.into_iter().flat_map(|it| &it.on);
        on.map(|(contract, attribute)| format!("{contract}: {attribute}")).collect()
    };
    let verdict = (Effect::Breaking, "rows come together by something else");
    let when = When { comes: verdict, goes: verdict, changes: verdict };
    walk.names(&spot, "on", Aspect::Meaning, (&on(old), &on(new)), when);
}

/// How divergence is found and mended. Less is promised where it is looked for less often, or told of later.
pub(super) fn reconciliation(
    walk: &mut Walk,
    spot: &Spot,
    (old, new): (Option<&Reconciliation>, Option<&Reconciliation>),
) {
    const ASPECT: Aspect = Aspect::Reconciliation;
    let nothing = Reconciliation {
        every: None,
        count_by: None,
        page: None,
        warn: None,
        repair: None,
        unattended: None,
        runbook: None,
    };
    let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
    let Reconciliation { every, count_by, page, warn, repair, unattended, runbook } = old;
    let spot = &spot.key("reconciliation");
    walk.promise(spot, "every", ASPECT, (every.as_ref(), new.every.as_ref()), |old, new| new <= old);
    let text = |it: &Option<_>| it.as_ref().map(ToString::to_string);
    walk.field(spot, "countBy", ASPECT, (text(count_by), text(&new.count_by)), NOTED);
    walk.promise(spot, "page", ASPECT, (page.as_ref(), new.page.as_ref()), sooner);
    let text = |it: &Option<Threshold>| it.map(|it| it.to_string());
    walk.field(spot, "warn", ASPECT, (text(warn), text(&new.warn)), WORDS_ONLY);
    let sides = (text(unattended), text(&new.unattended));
    walk.field(spot, "unattended", ASPECT, sides, NOTED);
    let text = |it: Option<Repair>| it.map(|it| it.to_string());
    let sides = (text(*repair), text(new.repair));
    let changes: Verdict = match (repair, new.repair) {
        (_, Some(Repair::Manual)) => (Effect::Breaking, "it waits for people now"),
        (Some(Repair::Manual), _) => (Effect::Additive, "it waits for nobody now"),
        _ => (Effect::Additive, "another mends it"),
    };
    let when = When { comes: changes, goes: changes, changes };
    walk.field(spot, "repair", ASPECT, sides, when);
    let when = When { goes: (Effect::Breaking, "nobody is told what to do"), ..WORDS_ONLY };
    walk.field(spot, "runbook", ASPECT, (runbook.clone(), new.runbook.clone()), when);
}

/// Thresholds of two kinds cannot be compared: then less may be promised.
fn sooner(old: &Threshold, new: &Threshold) -> bool {
    match (old, new) {
        (Threshold::Rows(old), Threshold::Rows(new)) => new <= old,
        (Threshold::ShareMillionths(old), Threshold::ShareMillionths(new)) => new <= old,
        _ => false,
    }
}

/// Older majors that are kept alive.
fn serves(walk: &mut Walk, spot: &Spot, (old, new): (&[Serves], &[Serves])) {
    for (idx, (old, new)) in matched(old, new, |it| it.version).into_iter().enumerate() {
        let Some(Serves { version, until: _, read: _, write: _, events: _ }) = old.or(new) else { continue };
        let spot = &spot.key("serves").of(Target::Serves(version.0));
        let spot =
            &Spot { old: spot.old.clone().index(idx), new: spot.new.clone().index(idx), ..spot.clone() };
        let (Some(old), Some(new)) = (old, new) else {
            let text = |it: Option<&Serves>| it.map(|it| format!("until {}", it.until));
            let when =
                When { goes: (Effect::Breaking, "readers of that major get nothing more"), ..RELIED_ON };
            walk.field(spot, "", Aspect::Channel, (text(old), text(new)), when);
            continue;
        };
        // Days are ordered as their texts are.
        let verdict = match new.until >= old.until {
            true => (Effect::Additive, "readers of that major have longer"),
            false => (Effect::Breaking, "readers of that major have less time"),
        };
        let sides = (Some(old.until.clone()), Some(new.until.clone()));
        walk.note(&spot.key("until"), "until", Aspect::Guarantee, sides, verdict);
        mapped(walk, spot, "read", (&old.read, &new.read), "history reads as something else");
        mapped(
            walk,
            spot,
            "write",
            (&old.write, &new.write),
            "readers of that major are told something else",
        );
        mapped(
            walk,
            spot,
            "events",
            (&old.events, &new.events),
            "readers of that major are told of something else",
        );
    }
}

fn mapped<K: Ord + Clone + ToString, V: ToString>(
    walk: &mut Walk,
    spot: &Spot,
    facet: &'static str,
    (old, new): Named<'_, K, V>,
    reason: &'static str,
) {
    for (old, new) in matched(old, new, |(name, _)| name.clone()) {
        let text =
            |it: Option<&(K, V)>| it.map(|(name, is)| format!("{}: {}", name.to_string(), is.to_string()));
        let when = When { changes: (Effect::Breaking, reason), ..RELIED_ON };
        walk.field(spot, facet, Aspect::Meaning, (text(old), text(new)), when);
    }
}
