//! What is not a contract: contexts, publications, subscriptions, environments, settings. No version counts their changes.

use super::change::{Aspect, Effect, Target};
use super::contract::reconciliation;
use super::walk::{NOTED, RELIED_ON, Spot, WORDS_ONLY, Walk, When, matched};
use seamline_contract::context::{Context, Relation, System, Term};
use seamline_contract::environment::{Environment, Generations, LogPlace, Place};
use seamline_contract::estate::{Root, Settings};
use seamline_contract::publication::{Column, EventMapping, Publication};
use seamline_contract::subscription::{
    Accepted, ColumnSource, Into, Needs, ProjectionColumn, StartsAt, Subscription,
};

/// Returns something's text as the debug form writes it, in words that begin small.
fn worded(it: impl std::fmt::Debug) -> String {
    let text = format!("{it:?}");
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

fn listed<T: ToString>(list: &[T]) -> Option<String> {
    let text = list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Some(text).filter(|text| !text.is_empty())
}

/// A context: who answers, and which words mean what.
pub(super) fn context(walk: &mut Walk, (old, new): (&Context, &Context)) {
    let Context { document: _, id: _, meaning, team, contact, terms, systems, relations } = old;
    let spot = &Spot::new(Target::Whole, &old.path(), &new.path());
    walk.plain_words(spot, "meaning", (meaning, &new.meaning));
    let sides = (Some(team.to_string()), Some(new.team.to_string()));
    walk.field(spot, "team", Aspect::Ownership, sides, NOTED);
    walk.field(spot, "contact", Aspect::Ownership, (contact.clone(), new.contact.clone()), WORDS_ONLY);
    for (old, new) in matched(terms, &new.terms, |term| term.word.clone()) {
        let Some(Term { word, meaning: _, unlike: _ }) = old.or(new) else { continue };
        let spot = spot.key("terms").key(word).of(Target::Other("term", word.clone()));
        let text = |it: Option<&Term>| it.map(|it| it.meaning.clone());
        walk.field(&spot, "", Aspect::Meaning, (text(old), text(new)), NOTED);
        let unlike = |it: Option<&Term>| -> Vec<String> {
            let unlike = it.into_iter().flat_map(|it| &it.unlike);
            unlike.map(|(context, text)| format!("{context}: {text}")).collect()
        };
        walk.names(&spot, "unlike", Aspect::Meaning, (&unlike(old), &unlike(new)), WORDS_ONLY);
    }
    for (old, new) in matched(systems, &new.systems, |system| system.id.clone()) {
        let Some(System { id, engine: _, meaning: _ }) = old.or(new) else { continue };
        let spot = spot.key("systems").key(id.as_str()).of(Target::Other("system", id.to_string()));
        let text = |it: Option<&System>| it.map(|it| format!("{}, {}", worded(it.engine), it.meaning));
        walk.field(&spot, "", Aspect::Channel, (text(old), text(new)), WORDS_ONLY);
    }
    for (old, new) in matched(relations, &new.relations, |relation| relation.with.clone()) {
        let Some(Relation { with, kinds: _, veto: _ }) = old.or(new) else { continue };
        let spot = spot.key("relations").of(Target::Other("relation", with.to_string()));
        let text = |it: Option<&Relation>| {
            it.map(|it| {
                let kinds = it.kinds.iter().map(worded).collect::<Vec<_>>().join(", ");
                it.veto.map_or(kinds.clone(), |veto| format!("{kinds}, veto: {veto}"))
            })
        };
        walk.field(&spot, "", Aspect::Ownership, (text(old), text(new)), NOTED);
    }
}

/// A publication: private, but for when an event is told.
pub(super) fn publication(walk: &mut Walk, (old, new): (&Publication, &Publication)) {
    let Publication { document: _, contract: _, systems, table, strict, feed, until, columns, events } = old;
    let spot = &Spot::new(Target::Whole, &old.path(), &new.path());
    let texts = |it: &[_]| listed(it);
    walk.field(spot, "system", Aspect::Channel, (texts(systems), texts(&new.systems)), WORDS_ONLY);
    walk.field(spot, "table", Aspect::Channel, (Some(table.clone()), Some(new.table.clone())), WORDS_ONLY);
    let flag = |it: bool| it.then(|| "true".to_owned());
    walk.field(spot, "strict", Aspect::Channel, (flag(*strict), flag(new.strict)), WORDS_ONLY);
    let sides = (Some(worded(feed)), Some(worded(new.feed)));
    walk.field(spot, "feed", Aspect::Channel, sides, NOTED);
    walk.field(spot, "until", Aspect::Channel, (until.clone(), new.until.clone()), WORDS_ONLY);
    for (old, new) in matched(columns, &new.columns, |(path, _)| path.clone()) {
        let Some((path, _)) = old.or(new) else { continue };
        let spot = spot.key("columns").key(&path.to_string()).of(Target::Attribute(path.clone()));
        let text = |it: Option<&(_, Column)>| {
            it.map(|(_, column)| match column {
                Column::Named(name) => name.clone(),
                Column::Is(is) => format!("is {is}"),
            })
        };
        walk.note(
            &spot,
            "columns",
            Aspect::Channel,
            (text(old), text(new)),
            (Effect::Editorial, "where it is read is the producer's own; what it means is in the contract"),
        );
    }
    for (old, new) in matched(events, &new.events, |mapping| mapping.event.clone()) {
        let Some(EventMapping { event, when: _, reason: _, effective: _, details: _ }) = old.or(new) else {
            continue;
        };
        let spot = spot.key("events").key(event.as_str()).of(Target::Event(event.clone()));
        let unhandled =
            (Effect::Unhandled, "it is told at other moments, and `changes` does not say what that means");
        let when = When { comes: unhandled, goes: unhandled, changes: unhandled };
        let text = |it: Option<&EventMapping>| it.map(|it| it.when.clone());
        walk.field(&spot, "when", Aspect::Meaning, (text(old), text(new)), when);
        let text = |it: Option<&EventMapping>| it.and_then(|it| it.reason.clone());
        walk.field(&spot, "reason", Aspect::Meaning, (text(old), text(new)), when);
        let text = |it: Option<&EventMapping>| it.and_then(|it| it.effective.clone());
        walk.field(&spot, "effective", Aspect::Meaning, (text(old), text(new)), when);
        let texts = |it: Option<&EventMapping>| -> Vec<String> {
            it.into_iter().flat_map(|it| &it.details).map(|(name, is)| format!("{name}: {is}")).collect()
        };
        walk.names(&spot, "details", Aspect::Meaning, (&texts(old), &texts(new)), when);
    }
}

/// A subscription: the consumer's own.
pub(super) fn subscription(walk: &mut Walk, (old, new): (&Subscription, &Subscription)) {
    let Subscription {
        document: _,
        name: _,
        contract,
        view,
        purpose,
        role,
        reacts_to,
        starts_at,
        on_invalid,
        on_delete,
        sends,
        asks,
        needs: old_needs,
        into: old_into,
        reconciliation: old_reconciliation,
        accepted,
    } = old;
    let spot = &Spot::new(Target::Whole, &old.path(), &new.path());
    let sides = (Some(contract.to_string()), Some(new.contract.to_string()));
    walk.field(spot, "contract", Aspect::Channel, sides, NOTED);
    let text = |it: &Option<_>| it.as_ref().map(ToString::to_string);
    walk.field(spot, "view", Aspect::Channel, (text(view), text(&new.view)), NOTED);
    let text = |it: &Option<_>| it.as_ref().map(ToString::to_string);
    walk.field(spot, "purpose", Aspect::Privacy, (text(purpose), text(&new.purpose)), NOTED);
    let sides = (Some(role.to_string()), Some(new.role.to_string()));
    walk.field(spot, "role", Aspect::Reconciliation, sides, NOTED);
    walk.names(spot, "reactsTo", Aspect::Channel, (reacts_to, &new.reacts_to), NOTED);
    let text = |it: &StartsAt| match it {
        StartsAt::Now => None,
        StartsAt::Earliest => Some("earliest".to_owned()),
        StartsAt::At(moment) => Some(moment.clone()),
    };
    walk.field(spot, "startsAt", Aspect::Channel, (text(starts_at), text(&new.starts_at)), NOTED);
    let sides = (Some(worded(on_invalid)), Some(worded(new.on_invalid)));
    walk.field(spot, "onInvalid", Aspect::Channel, sides, NOTED);
    let sides = (Some(worded(on_delete)), Some(worded(new.on_delete)));
    walk.field(spot, "onDelete", Aspect::Meaning, sides, NOTED);
    walk.names(spot, "sends", Aspect::Channel, (sends, &new.sends), NOTED);
    walk.names(spot, "asks", Aspect::Channel, (asks, &new.asks), NOTED);
    needs(walk, spot, (old_needs.as_ref(), new.needs.as_ref()));
    into(walk, spot, (old_into.as_ref(), new.into.as_ref()));
    let from = walk.changes.len();
    reconciliation(walk, spot, (old_reconciliation.as_ref(), new.reconciliation.as_ref()));
    // How a consumer looks after its own copy is promised to nobody.
    for change in walk.changes[from..].iter_mut().filter(|it| it.effect == Effect::Breaking) {
        (change.effect, change.reason) = NOTED.changes;
    }
    let text = |it: &Option<Accepted>| {
        it.as_ref().map(|Accepted { version, meaning }| format!("{version}, {meaning}"))
    };
    walk.field(spot, "accepted", Aspect::Meaning, (text(accepted), text(&new.accepted)), WORDS_ONLY);
}

fn needs(walk: &mut Walk, spot: &Spot, (old, new): (Option<&Needs>, Option<&Needs>)) {
    let spot = &spot.key("needs");
    let because = |it: Option<&Needs>| it.map_or(String::new(), |it| it.because.clone());
    walk.plain_words(spot, "because", (&because(old), &because(new)));
    let texts = |it: Option<&Needs>| -> Vec<String> {
        let Some(needs) = it else { return Vec::new() };
        let Needs {
            because: _,
            freshness,
            lateness,
            ordering,
            replay,
            retention,
            tombstones,
            answer,
            consistency,
        } = needs;
        let named = [
            ("freshness", freshness.map(|it| it.to_string())),
            ("lateness", lateness.map(|it| it.to_string())),
            ("ordering", ordering.clone()),
            ("replay", replay.map(|it| it.to_string())),
            ("retention", retention.map(|it| it.to_string())),
            ("tombstones", tombstones.map(|it| it.to_string())),
            ("answer", answer.map(|it| it.to_string())),
            ("consistency", Some(worded(consistency))),
        ];
        named.into_iter().filter_map(|(name, text)| Some(format!("{name}: {}", text?))).collect()
    };
    walk.names(spot, "needs", Aspect::Guarantee, (&texts(old), &texts(new)), NOTED);
}

fn into(walk: &mut Walk, spot: &Spot, (old, new): (Option<&Into>, Option<&Into>)) {
    let spot = &spot.key("into");
    let text = |it: Option<&Into>| {
        it.map(|Into { system, table, columns: _ }| {
            table.as_ref().map_or(system.to_string(), |table| format!("{table} in {system}"))
        })
    };
    walk.field(spot, "table", Aspect::Channel, (text(old), text(new)), NOTED);
    let of = |it: Option<&Into>| -> Vec<(String, String)> {
        let columns = it.into_iter().flat_map(|it| &it.columns);
        columns.map(|ProjectionColumn { name, source }| (name.clone(), source_text(source))).collect()
    };
    for (old, new) in matched(&of(old), &of(new), |(name, _)| name.clone()) {
        let Some((name, _)) = old.or(new) else { continue };
        let spot = spot.key("columns").key(name).of(Target::Other("column", name.clone()));
        let text = |it: Option<&(String, String)>| it.map(|(_, text)| text.clone());
        walk.field(&spot, "", Aspect::Meaning, (text(old), text(new)), NOTED);
    }
}

fn source_text(source: &ColumnSource) -> String {
    match source {
        ColumnSource::Path(path) => path.to_string(),
        ColumnSource::Is { is, meaning, ty } => {
            let ty = ty.as_ref().map_or(String::new(), |ty| format!(", {ty}"));
            format!("is {is}{ty}: {meaning}")
        }
    }
}

/// An environment: where things are.
pub(super) fn environment(walk: &mut Walk, (old, new): (&Environment, &Environment)) {
    let Environment {
        document: _,
        id: _,
        systems,
        variables,
        log,
        topics,
        partitions,
        replicas,
        generations,
        hub,
    } = old;
    let spot = &Spot::new(Target::Whole, &old.path(), &new.path());
    for (old, new) in matched(systems, &new.systems, |it| (it.context.clone(), it.system.clone())) {
        let Some(Place { context, system, url: _, user: _, password: _, schema: _, relay: _ }) = old.or(new)
        else {
            continue;
        };
        let name = format!("{context}/{system}");
        let spot = spot.key("systems").key(&name).of(Target::Other("system", name.clone()));
        walk.unshown(&spot, "systems", (old, new));
    }
    for (old, new) in matched(variables, &new.variables, |(name, _)| name.clone()) {
        let Some((name, _)) = old.or(new) else { continue };
        let spot = spot.key("variables").key(name).of(Target::Other("variable", name.clone()));
        walk.unshown(&spot, "variables", (old, new));
    }
    let (LogPlace::Embedded { path: _ } | LogPlace::Kafka { properties: _ }) = log;
    walk.unshown(&spot.key("log"), "log", (Some(log), Some(&new.log)));
    let verdict = (Effect::Breaking, "readers find other topics");
    let sides = (Some(topics.clone()), Some(new.topics.clone()));
    walk.note(&spot.key("log").key("topics"), "topics", Aspect::Channel, sides, verdict);
    let number = |it: u32| Some(it.to_string());
    let sides = (number(*partitions), number(new.partitions));
    walk.field(&spot.key("log"), "partitions", Aspect::Channel, sides, NOTED);
    walk.field(
        &spot.key("log"),
        "replicas",
        Aspect::Channel,
        (number(*replicas), number(new.replicas)),
        WORDS_ONLY,
    );
    for (old, new) in matched(generations, &new.generations, |it| it.contract.to_string()) {
        let Some(Generations { contract, read: _, alive: _, ended: _ }) = old.or(new) else { continue };
        let spot = spot.key("log").key("generations").key(&contract.to_string());
        walk.field(&spot, "", Aspect::Channel, (old.map(numbered), new.map(numbered)), NOTED);
    }
    let text = |it: &Option<(String, Option<String>)>| it.as_ref().map(|(url, _)| url.clone());
    walk.field(spot, "hub", Aspect::Channel, (text(hub), text(&new.hub)), WORDS_ONLY);
}

fn numbered(it: &Generations) -> String {
    let alive: Vec<String> =
        it.alive.iter().map(|(number, partitions)| format!("{number} of {partitions} partitions")).collect();
    let ended: Vec<String> = it.ended.iter().map(|number| format!(", {number} ended")).collect();
    format!("{} read; {} alive{}", it.read, alive.join(", "), ended.concat())
}

/// The estate's settings: defaults are told of what inherits them.
pub(super) fn settings(walk: &mut Walk, (old, new): (&Settings, &Settings)) {
    let Settings { document, id, roots, purposes, zone, classification, rules } = old;
    let top = seamline_contract::path::ModelPath::top;
    let spot = &Spot::new(Target::Whole, &top(document), &top(&new.document));
    walk.field(spot, "id", Aspect::Channel, (Some(id.clone()), Some(new.id.clone())), WORDS_ONLY);
    let text = |it: &[Root]| it.iter().map(worded).collect::<Vec<_>>();
    walk.names(spot, "roots", Aspect::Channel, (&text(roots), &text(&new.roots)), WORDS_ONLY);
    for (old, new) in matched(purposes, &new.purposes, |(purpose, _)| purpose.clone()) {
        let Some((purpose, _)) = old.or(new) else { continue };
        let spot =
            spot.key("purposes").key(purpose.as_str()).of(Target::Other("purpose", purpose.to_string()));
        let text = |it: Option<&(_, String)>| it.map(|(_, meaning)| meaning.clone());
        let when = When { changes: NOTED.changes, ..RELIED_ON };
        walk.field(&spot, "", Aspect::Privacy, (text(old), text(new)), when);
    }
    let spot = &spot.key("defaults");
    walk.field(spot, "zone", Aspect::Meaning, (zone.clone(), new.zone.clone()), WORDS_ONLY);
    let text = |it: Option<seamline_contract::attribute::Classification>| it.map(|it| it.to_string());
    let sides = (text(*classification), text(new.classification));
    walk.field(spot, "classification", Aspect::Privacy, sides, WORDS_ONLY);
    let levels = |it: &[(String, Option<_>)]| -> Vec<String> {
        let text = |(rule, level): &(String, Option<seamline_contract::finding::Level>)| {
            format!("{rule}: {}", level.map_or("off".to_owned(), |level| level.to_string()))
        };
        it.iter().map(text).collect()
    };
    walk.names(spot, "rules", Aspect::Guarantee, (&levels(rules), &levels(&new.rules)), NOTED);
}
