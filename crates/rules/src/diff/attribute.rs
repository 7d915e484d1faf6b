//! Attributes: what they are called, of what form they are, what they mean, who decides them, who may see them.

use super::change::{Aspect, Effect, Target};
use super::walk::{LIMIT, NOTED, RELIED_ON, Spot, Verdict, WORDS_ONLY, Walk, When, matched};
use seamline_contract::attribute::{Attribute, Classification, Move, Origin, Shape, Type, Unit};
use seamline_contract::id::{AttributeName, AttributePath, EventName, PurposeId};
use seamline_contract::resolve::ResolvedAttribute;
use std::cmp::Ordering;

/// What an attribute inherits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inherited<'a> {
    pub(super) classification: Option<Classification>,
    pub(super) purposes: Option<&'a [PurposeId]>,
}

/// One side of an attribute: as written, with what is carried and inherited filled in.
#[derive(Debug, Clone)]
pub(super) struct Seen<'a> {
    name: &'a AttributeName,
    /// None where it is carried and does not resolve.
    shape: Option<&'a Shape>,
    meaning: &'a str,
    optional: bool,
    classification: Option<Classification>,
    purposes: Option<&'a [PurposeId]>,
    deprecated: Option<&'a str>,
    computed: Option<&'a str>,
    derived_from: Vec<String>,
    /// Who decides it, where that is somebody else.
    owner: Option<String>,
}

impl<'a> Seen<'a> {
    /// Returns an attribute of the state.
    pub(super) fn of(
        attribute: &'a Attribute,
        resolved: Option<&'a ResolvedAttribute>,
        inherited: Inherited<'a>,
    ) -> Seen<'a> {
        let mut seen = Seen::written(attribute, inherited);
        if let Some(resolved) = resolved {
            // A field that is added has to be placed here before this compiles again.
            let ResolvedAttribute {
                name: _,
                shape,
                meaning,
                optional,
                classification,
                purposes,
                owner,
                carried,
                computed: _,
            } = resolved;
            seen.shape = Some(shape);
            seen.meaning = meaning;
            seen.optional = *optional;
            seen.classification = *classification;
            seen.purposes = purposes.as_deref();
            seen.owner = carried.then(|| owner.to_string());
        }
        seen
    }

    fn written(attribute: &'a Attribute, inherited: Inherited<'a>) -> Seen<'a> {
        let Attribute {
            name,
            origin,
            meaning,
            optional,
            classification,
            purposes,
            deprecated,
            computed,
            derived_from,
        } = attribute;
        let (shape, owner) = match origin {
            Origin::Own(shape) => (Some(shape), None),
            Origin::Carried(from) => (None, Some(format!("{}.{}", from.contract.name, from.path))),
        };
        Seen {
            name,
            shape,
            meaning,
            optional: *optional,
            classification: classification.or(inherited.classification),
            purposes: purposes.as_deref().or(inherited.purposes),
            deprecated: deprecated.as_deref(),
            computed: computed.as_deref(),
            derived_from: derived_from.iter().map(ToString::to_string).collect(),
            owner,
        }
    }

    fn inherited(&self) -> Inherited<'a> {
        Inherited { classification: self.classification, purposes: self.purposes }
    }

    fn label(&self) -> String {
        let text = self.shape.map_or("carried".to_owned(), |shape| shape.ty.to_string());
        if self.optional { format!("{text}, optional") } else { text }
    }
}

/// Whose attributes these are: the state's, or those of an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Home<'a> {
    State,
    Event(&'a EventName),
}

impl Home<'_> {
    fn attribute(self, path: &AttributePath) -> Target {
        match self {
            Home::State => Target::Attribute(path.clone()),
            Home::Event(event) => Target::Detail(event.clone(), path.clone()),
        }
    }
}

/// Who reads and who writes. A reader may pass over what is new; a writer must give what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Written,
}

/// Holds two sides of an attribute against each other.
pub(super) fn attribute(
    walk: &mut Walk,
    (home, path): (Home<'_>, &AttributePath),
    spot: &Spot,
    (old, new): (Option<&Seen<'_>>, Option<&Seen<'_>>),
) {
    let spot = &spot.of(home.attribute(path));
    let (Some(old), Some(new)) = (old, new) else {
        let sides = (old.map(Seen::label), new.map(Seen::label));
        walk.field(spot, "", Aspect::Shape, sides, RELIED_ON);
        return;
    };
    if old.name != new.name {
        let sides = (Some(old.name.to_string()), Some(new.name.to_string()));
        let verdict = (Effect::Breaking, "who reads the old name finds nothing");
        walk.note(spot, "name", Aspect::Shape, sides, verdict);
    }
    walk.words(spot, "meaning", (old.meaning, new.meaning));
    owner(walk, spot, old, new);
    privacy(walk, spot, (old.classification, new.classification), (old.purposes, new.purposes));
    let optional = |it: &Seen<'_>| it.optional.then(|| "true".to_owned());
    let when = When {
        comes: (Effect::Breaking, "readers may find no value where there always was one"),
        goes: (Effect::Additive, "there always is a value now"),
        ..NOTED
    };
    walk.field(spot, "optional", Aspect::Shape, (optional(old), optional(new)), when);
    let deprecated = (old.deprecated.map(ToOwned::to_owned), new.deprecated.map(ToOwned::to_owned));
    let when = When { comes: (Effect::Additive, "readers should leave it"), ..WORDS_ONLY };
    walk.field(spot, "deprecated", Aspect::Guarantee, deprecated, when);
    if let (Some(old_shape), Some(new_shape)) = (old.shape, new.shape) {
        shape(walk, (home, path), spot, (old_shape, new_shape), (old.inherited(), new.inherited()));
    }
}

fn owner(walk: &mut Walk, spot: &Spot, old: &Seen<'_>, new: &Seen<'_>) {
    let when = When {
        comes: (Effect::Breaking, "another decides it now"),
        goes: (Effect::Breaking, "another decides it now"),
        changes: (Effect::Breaking, "another decides it now"),
    };
    walk.field(spot, "from", Aspect::Ownership, (old.owner.clone(), new.owner.clone()), when);
    walk.names(spot, "derivedFrom", Aspect::Ownership, (&old.derived_from, &new.derived_from), NOTED);
    let computed = (old.computed.map(ToOwned::to_owned), new.computed.map(ToOwned::to_owned));
    let verdict = (Effect::Breaking, "it is computed in another way");
    let when = When { comes: verdict, goes: verdict, changes: verdict };
    walk.field(spot, "computed", Aspect::Meaning, computed, when);
}

/// Classification and purposes, inherited ones filled in.
pub(super) fn privacy(
    walk: &mut Walk,
    spot: &Spot,
    (old, new): (Option<Classification>, Option<Classification>),
    (old_purposes, new_purposes): (Option<&[PurposeId]>, Option<&[PurposeId]>),
) {
    let verdict = if new > old {
        (Effect::Breaking, "who may read it still has to be asked again")
    } else {
        (Effect::Additive, "more may read it than before")
    };
    let text = |it: Option<Classification>| it.map(|it| it.to_string());
    let keyed = spot.key("classification");
    walk.note(&keyed, "classification", Aspect::Privacy, (text(old), text(new)), verdict);
    match (old_purposes, new_purposes) {
        (Some(old), Some(new)) => {
            let when = When {
                comes: (Effect::Additive, "it may serve one purpose more"),
                goes: (Effect::Breaking, "who reads it for that purpose may no longer"),
                ..NOTED
            };
            walk.names(spot, "purposes", Aspect::Privacy, (old, new), when);
        }
        (old, new) => {
            let text = |it: Option<&[PurposeId]>| {
                it.map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            };
            let when = When {
                comes: (Effect::Breaking, "it may serve only these now"),
                goes: (Effect::Additive, "it may serve any purpose now"),
                ..NOTED
            };
            walk.field(spot, "purposes", Aspect::Privacy, (text(old), text(new)), when);
        }
    }
}

fn shape(
    walk: &mut Walk,
    (home, path): (Home<'_>, &AttributePath),
    spot: &Spot,
    (old, new): (&Shape, &Shape),
    inherited: (Inherited<'_>, Inherited<'_>),
) {
    let Shape { ty, values: _, open, moves: _, unit, zone, pattern, min, max, length, approximate } = old;
    let sides = (Some(ty.to_string()), Some(new.ty.to_string()));
    walk.note(&spot.key("type"), "type", Aspect::Shape, sides, type_verdict(ty, &new.ty));
    values(walk, (home, path), spot, (old, new));
    let flag = |it: bool| it.then(|| "true".to_owned());
    let when = When {
        comes: (Effect::Breaking, "values may come that are not listed"),
        goes: (Effect::Additive, "only what is listed comes"),
        ..NOTED
    };
    walk.field(spot, "open", Aspect::Shape, (flag(*open), flag(new.open)), when);
    moves(walk, spot, (old, new));
    let unit_text = |it: &Option<Unit>| {
        it.as_ref().map(|unit| match unit {
            Unit::Fixed(unit) => unit.clone(),
            Unit::In(attribute) => format!("in {attribute}"),
        })
    };
    let when = When {
        comes: (Effect::Additive, "it was not said before"),
        goes: (Effect::Breaking, "nobody knows what it counts in"),
        changes: (Effect::Breaking, "the same number says something else"),
    };
    walk.field(spot, "unit", Aspect::Meaning, (unit_text(unit), unit_text(&new.unit)), when);
    let when = When { changes: (Effect::Breaking, "the same day is another span of time"), ..when };
    walk.field(spot, "zone", Aspect::Meaning, (zone.clone(), new.zone.clone()), when);
    walk.field(spot, "pattern", Aspect::Shape, (pattern.clone(), new.pattern.clone()), LIMIT);
    bound(walk, spot, "min", (min, &new.min), Ordering::Greater);
    bound(walk, spot, "max", (max, &new.max), Ordering::Less);
    let number = |it: Option<u64>| it.map(|it| it.to_string());
    bound(walk, spot, "length", (&number(*length), &number(new.length)), Ordering::Less);
    let when = When {
        comes: (Effect::Breaking, "values are no longer exact"),
        goes: (Effect::Breaking, "values travel in another form"),
        ..NOTED
    };
    walk.field(spot, "approximate", Aspect::Shape, (flag(*approximate), flag(new.approximate)), when);
    inner(walk, (home, path), spot, (ty, &new.ty), inherited);
}

fn inner(
    walk: &mut Walk,
    (home, path): (Home<'_>, &AttributePath),
    spot: &Spot,
    types: (&Type, &Type),
    inherited: (Inherited<'_>, Inherited<'_>),
) {
    match types {
        (Type::Object(old), Type::Object(new)) => {
            let spot = spot.key("attributes");
            members(walk, (home, Some(path)), &spot, (old, new), inherited, Side::Read);
        }
        (Type::Map(old), Type::Map(new)) | (Type::List(old), Type::List(new)) => {
            let sides = (Seen::written(old, inherited.0), Seen::written(new, inherited.1));
            let path = below(Some(path), &old.name);
            attribute(walk, (home, &path), &spot.key("of"), (Some(&sides.0), Some(&sides.1)));
        }
        _ => {}
    }
}

/// Holds members, or details, against each other. `spot` is that of the mapping.
pub(super) fn members(
    walk: &mut Walk,
    (home, parent): (Home<'_>, Option<&AttributePath>),
    spot: &Spot,
    (old, new): (&[Attribute], &[Attribute]),
    inherited: (Inherited<'_>, Inherited<'_>),
    side: Side,
) {
    for (old, new) in matched(old, new, |it| it.name.clone()) {
        let Some(name) = old.or(new).map(|it| &it.name) else { continue };
        let path = below(parent, name);
        let spot = spot.key(name.as_str()).of(home.attribute(&path));
        let old = old.map(|it| Seen::written(it, inherited.0));
        let new = new.map(|it| Seen::written(it, inherited.1));
        if let (Side::Written, None, Some(due)) = (side, &old, &new)
            && !due.optional
        {
            let verdict = (Effect::Breaking, "who writes it does not give it yet");
            walk.note(&spot, "", Aspect::Shape, (None, Some(due.label())), verdict);
            continue;
        }
        attribute(walk, (home, &path), &spot, (old.as_ref(), new.as_ref()));
    }
}

fn below(parent: Option<&AttributePath>, name: &AttributeName) -> AttributePath {
    match parent {
        None => AttributePath::from(name.clone()),
        Some(parent) => parent.below(name.clone()),
    }
}

fn values(
    walk: &mut Walk,
    (home, path): (Home<'_>, &AttributePath),
    spot: &Spot,
    (old, new): (&Shape, &Shape),
) {
    let when = When {
        comes: match old.open {
            true => (Effect::Additive, "readers expect values that are not listed"),
            false => (Effect::Breaking, "readers know all values, and not this one"),
        },
        goes: (Effect::Breaking, "records that hold it are still there"),
        ..NOTED
    };
    let in_both = old.ty == Type::Enum && new.ty == Type::Enum;
    for (old, new) in
        matched(&old.values, &new.values, |(value, _)| value.clone()).into_iter().filter(|_| in_both)
    {
        let Some((value, _)) = old.or(new) else { continue };
        let target = match home {
            Home::State => Target::Value(path.clone(), value.clone()),
            Home::Event(event) => Target::DetailValue(event.clone(), path.clone(), value.clone()),
        };
        let spot = spot.key("values").key(value.as_str()).of(target);
        match (old, new) {
            (Some((_, old)), Some((_, new))) => walk.words_at(&spot, "meaning", (old, new)),
            (old, new) => {
                let text = |it: Option<&(_, String)>| it.map(|(_, meaning)| meaning.clone());
                walk.field(&spot, "", Aspect::Shape, (text(old), text(new)), when);
            }
        }
    }
}

fn moves(walk: &mut Walk, spot: &Spot, (old, new): (&Shape, &Shape)) {
    let when = When {
        comes: (Effect::Breaking, "it may take a step that it never took"),
        goes: (Effect::Additive, "it takes fewer steps"),
        ..NOTED
    };
    match (&old.moves, &new.moves) {
        (Some(old), Some(new)) => walk.names(spot, "moves", Aspect::Meaning, (old, new), when),
        (old, new) => {
            let text = |it: &Option<Vec<Move>>| {
                it.as_ref().map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            };
            let when = When {
                comes: (Effect::Additive, "it takes fewer steps"),
                goes: (Effect::Breaking, "it may take any step"),
                ..when
            };
            walk.field(spot, "moves", Aspect::Meaning, (text(old), text(new)), when);
        }
    }
}

fn bound(
    walk: &mut Walk,
    spot: &Spot,
    facet: &'static str,
    (old, new): (&Option<String>, &Option<String>),
    narrower: Ordering,
) {
    let order = old.as_deref().zip(new.as_deref()).and_then(|(old, new)| compared(new, old));
    let changes = if order == Some(narrower) { LIMIT.comes } else { LIMIT.goes };
    let same = order == Some(Ordering::Equal);
    let sides = if same { (None, None) } else { (old.clone(), new.clone()) };
    walk.field(spot, facet, Aspect::Shape, sides, When { changes, ..LIMIT });
}

/// Orders two bounds: numbers as numbers, texts of one length as texts, as days and instants are ordered.
fn compared(one: &str, two: &str) -> Option<Ordering> {
    match (one.parse::<rust_decimal::Decimal>(), two.parse::<rust_decimal::Decimal>()) {
        (Ok(one), Ok(two)) => Some(one.cmp(&two)),
        _ => (one.len() == two.len()).then(|| one.cmp(two)),
    }
}

fn type_verdict(old: &Type, new: &Type) -> Verdict {
    match (old, new) {
        (Type::Decimal { precision: old, scale: one }, Type::Decimal { precision: new, scale: two })
            if one == two && new < old =>
        {
            LIMIT.comes
        }
        _ => (Effect::Breaking, "readers expect another type"),
    }
}
