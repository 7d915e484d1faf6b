//! What stands beside contracts: migrations, standards, waivers. No reader of data is wrong by them.

use super::change::{Aspect, Target};
use super::walk::{NOTED, Spot, WORDS_ONLY, Walk, matched};
use seamline_contract::migration::{Gates, Legacy, Migration, Mover};
use seamline_contract::standard::Standard;
use seamline_contract::waiver::Waiver;

fn text<T: ToString>(it: T) -> Option<String> {
    Some(it.to_string())
}

fn texts<T: ToString>(it: &Option<T>) -> Option<String> {
    it.as_ref().map(ToString::to_string)
}

fn pairs(pairs: &[(String, String)]) -> Vec<String> {
    pairs.iter().map(|(column, is)| format!("{column}: {is}")).collect()
}

/// A standard: what is asked of every team.
pub(super) fn standard(walk: &mut Walk, (old, new): (&Standard, &Standard)) {
    let Standard { document: _, id: _, owner, meaning, level, fix, judged, condition, must } = old;
    let spot = &Spot::new(Target::Whole, &old.path(), &new.path());
    walk.field(spot, "owner", Aspect::Ownership, (text(owner), text(&new.owner)), NOTED);
    walk.plain_words(spot, "meaning", (meaning, &new.meaning));
    walk.field(spot, "level", Aspect::Guarantee, (text(level), text(new.level)), NOTED);
    let words = |it: &Option<String>| it.clone().unwrap_or_default();
    walk.plain_words(spot, "fix", (&words(fix), &words(&new.fix)));
    walk.field(spot, "for", Aspect::Guarantee, (text(judged), text(new.judged)), NOTED);
    walk.field(spot, "where", Aspect::Guarantee, (texts(condition), texts(&new.condition)), NOTED);
    walk.field(spot, "must", Aspect::Guarantee, (text(must), text(&new.must)), NOTED);
}

/// A waiver: what somebody answers for.
pub(super) fn waiver(walk: &mut Walk, (old, new): (&Waiver, &Waiver)) {
    let Waiver { document: _, id: _, rule, scope, because, approver, until } = old;
    let spot = &Spot::new(Target::Whole, &old.path(), &new.path());
    walk.field(spot, "rule", Aspect::Guarantee, (text(rule), text(&new.rule)), NOTED);
    walk.field(spot, "scope", Aspect::Guarantee, (text(scope), text(&new.scope)), NOTED);
    walk.plain_words(spot, "because", (because, &new.because));
    walk.field(spot, "approver", Aspect::Ownership, (text(approver), text(&new.approver)), NOTED);
    walk.field(spot, "until", Aspect::Guarantee, (text(until), text(&new.until)), NOTED);
}

/// A migration: the consumers' own.
pub(super) fn migration(walk: &mut Walk, (old, new): (&Migration, &Migration)) {
    let Migration { document: _, name: _, meaning, contract, legacy: old_legacy, consumers } = old;
    let spot = &Spot::new(Target::Whole, &old.path(), &new.path());
    walk.plain_words(spot, "meaning", (meaning, &new.meaning));
    walk.field(spot, "contract", Aspect::Channel, (text(contract), text(&new.contract)), NOTED);
    legacy(walk, &spot.key("legacy"), (old_legacy.as_ref(), new.legacy.as_ref()));
    for (old, new) in matched(consumers, &new.consumers, |it| it.subscription.clone()) {
        let Some(name) = old.or(new).map(|it| it.subscription.to_string()) else { continue };
        let spot = spot.key("consumers").of(Target::Other("consumer", name));
        match (old, new) {
            (Some(old), Some(new)) => mover(walk, &spot, (old, new)),
            (old, new) => {
                let stage = |it: Option<&Mover>| it.map(|it| it.stage.to_string());
                walk.field(&spot, "", Aspect::Channel, (stage(old), stage(new)), NOTED);
            }
        }
    }
}

fn legacy(walk: &mut Walk, spot: &Spot, (old, new): (Option<&Legacy>, Option<&Legacy>)) {
    let (Some(old), Some(new)) = (old, new) else {
        let path = |it: Option<&Legacy>| it.map(|it| it.path.to_string());
        return walk.field(spot, "path", Aspect::Channel, (path(old), path(new)), NOTED);
    };
    let Legacy { path, meaning, system, place, until } = old;
    walk.field(spot, "path", Aspect::Channel, (text(path), text(new.path)), NOTED);
    walk.plain_words(spot, "meaning", (meaning, &new.meaning));
    walk.field(spot, "system", Aspect::Channel, (texts(system), texts(&new.system)), WORDS_ONLY);
    walk.field(spot, "table", Aspect::Channel, (texts(place), texts(&new.place)), WORDS_ONLY);
    walk.field(spot, "until", Aspect::Guarantee, (texts(until), texts(&new.until)), NOTED);
}

fn mover(walk: &mut Walk, spot: &Spot, (old, new): (&Mover, &Mover)) {
    let Mover { subscription: _, stage, key, compare, count_by, switch, gates: old_gates } = old;
    walk.field(spot, "stage", Aspect::Channel, (text(stage), text(new.stage)), NOTED);
    walk.names(spot, "key", Aspect::Reconciliation, (&pairs(key), &pairs(&new.key)), NOTED);
    walk.names(spot, "compare", Aspect::Reconciliation, (&pairs(compare), &pairs(&new.compare)), NOTED);
    let sides = (texts(count_by), texts(&new.count_by));
    walk.field(spot, "countBy", Aspect::Reconciliation, sides, NOTED);
    walk.field(spot, "switch", Aspect::Channel, (texts(switch), texts(&new.switch)), NOTED);
    walk.names(spot, "gates", Aspect::Guarantee, (&gates(old_gates), &gates(&new.gates)), NOTED);
}

fn gates(gates: &Option<Gates>) -> Vec<String> {
    let Some(Gates { parity, unexplained, approval }) = gates else { return Vec::new() };
    let approval = approval.iter().map(|team| format!("approval: {team}"));
    [format!("parity: {parity}"), format!("unexplained: {unexplained}")].into_iter().chain(approval).collect()
}
