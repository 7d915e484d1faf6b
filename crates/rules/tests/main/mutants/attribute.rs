//! Edits of attributes: their words, their form, their owner, who may see them.

use super::Mutants;
use seamline_contract::attribute::{Attribute, Classification, Move, Origin, Shape, Type, Unit};
use seamline_contract::contract::Contract;
use seamline_contract::estate::Estate;
use seamline_contract::id::AttributeRef;
use seamline_rules::diff::change::{Aspect, Effect};

const NAMED_ELSEWHERE: &[&str] = &[
    "CARRIED_ATTRIBUTE_EXISTS",
    "DERIVED_IS_COMPOSED",
    "EVENT_NOT_CATCH_ALL_BY_SHAPE",
    "EXPRESSIONS_TYPE_CHECK",
    "KEY_ALWAYS_PRESENT",
    "NAMES_RESOLVE",
];
const EXPRESSIONS: &[&str] = &["EXPRESSIONS_TYPE_CHECK"];

/// Which attribute of which contract, by their places.
#[derive(Clone, Copy)]
struct At(usize, usize);

impl At {
    fn of(self, estate: &mut Estate) -> &mut Attribute {
        &mut estate.contracts[self.0].attributes[self.1]
    }

    fn shape(self, estate: &mut Estate) -> &mut Shape {
        match &mut self.of(estate).origin {
            Origin::Own(shape) => shape,
            Origin::Carried(_) => panic!("only own shapes are edited"),
        }
    }
}

pub(super) fn mutants(all: &mut Mutants<'_>) {
    let base = all.base;
    for (idx, contract) in base.contracts.iter().enumerate().filter(|(_, it)| !it.frozen) {
        for (slot, attribute) in contract.attributes.iter().enumerate() {
            let at = At(idx, slot);
            let Some(shape) = attribute.own_shape() else { continue };
            let target = format!("{}.{}", contract.name, attribute.name);
            words(all, at, &target, attribute);
            form(all, at, &target, attribute, shape);
            bounds(all, at, &target, shape);
            enumeration(all, at, &target, (attribute, shape));
            if !contract.key.contains(&attribute.name) {
                beside_key(all, at, &target, contract, attribute);
            }
        }
    }
}

fn words(all: &mut Mutants<'_>, at: At, target: &str, attribute: &Attribute) {
    let unhandled = Some((Aspect::Meaning, Effect::Unhandled));
    all.add("the meaning of an attribute says something else", target, unhandled, |it| {
        at.of(it).meaning = "Whatever the clerk thought it was.".to_owned();
    });
    all.add("the meaning of an attribute is empty", target, unhandled, |it| at.of(it).meaning.clear())
        .found_by("MEANING_PRESENT");
    let name = attribute.name.to_string();
    all.add("the meaning of an attribute repeats its name", target, unhandled, |it| at.of(it).meaning = name)
        .found_by("MEANING_SAYS_MORE_THAN_NAME");
}

fn form(all: &mut Mutants<'_>, at: At, target: &str, attribute: &Attribute, shape: &Shape) {
    let other = if shape.ty == Type::Boolean { Type::String } else { Type::Boolean };
    all.add("an attribute has another type", target, Some((Aspect::Shape, Effect::Breaking)), |it| {
        *at.shape(it) = Shape::of(other);
    })
    .perhaps(&["EXPRESSIONS_TYPE_CHECK", "NAMES_RESOLVE", "DERIVED_IS_PROJECTED"]);
    if let Some(Unit::Fixed(_)) = &shape.unit {
        let breaking = Some((Aspect::Meaning, Effect::Breaking));
        all.add("a quantity counts in another unit", target, breaking, |it| {
            at.shape(it).unit = Some(Unit::Fixed("furlong".to_owned()));
        });
        let decimal = matches!(shape.ty, Type::Decimal { .. });
        let operator = if decimal { "a decimal loses its unit" } else { "an integer loses its unit" };
        all.add(operator, target, breaking, |it| at.shape(it).unit = None)
            .found_if(decimal, "QUANTITY_HAS_UNIT");
    }
    if shape.ty == Type::Date {
        all.add("a day begins in another zone", target, Some((Aspect::Meaning, Effect::Breaking)), |it| {
            at.shape(it).zone = Some("Pacific/Auckland".to_owned());
        });
    }
    if attribute.optional {
        all.add(
            "an optional attribute always has a value",
            target,
            Some((Aspect::Shape, Effect::Additive)),
            |it| {
                at.of(it).optional = false;
            },
        )
        .perhaps(EXPRESSIONS);
    }
}

fn bounds(all: &mut Mutants<'_>, at: At, target: &str, shape: &Shape) {
    let breaking = Some((Aspect::Shape, Effect::Breaking));
    if shape.pattern.is_some() {
        all.add("a pattern is dropped", target, breaking, |it| at.shape(it).pattern = None);
    } else if shape.ty == Type::String {
        all.add("a text gets a pattern", target, Some((Aspect::Shape, Effect::Additive)), |it| {
            at.shape(it).pattern = Some("[A-Z]+".to_owned());
        });
    }
    if shape.min.is_some() {
        all.add("a least value is dropped", target, breaking, |it| at.shape(it).min = None);
    }
    if shape.length.is_some() {
        all.add("a greatest length is dropped", target, breaking, |it| at.shape(it).length = None);
    }
}

fn enumeration(all: &mut Mutants<'_>, at: At, target: &str, (attribute, shape): (&Attribute, &Shape)) {
    for (idx, (value, _)) in shape.values.iter().enumerate() {
        let target = format!("{target}.{value}");
        let unhandled = Some((Aspect::Meaning, Effect::Unhandled));
        all.add("the meaning of a value says something else", &target, unhandled, |it| {
            at.shape(it).values[idx].1 = "Whatever the clerk thought it was.".to_owned();
        });
        all.add("the meaning of a value is empty", &target, unhandled, |it| {
            at.shape(it).values[idx].1.clear()
        })
        .found_by("MEANING_PRESENT");
        all.add("the meaning of a value joins two questions", &target, unhandled, |it| {
            at.shape(it).values[idx].1 = "Shipped or paid for.".to_owned();
        })
        .found_if(attribute.computed.is_none(), "MEANING_NOT_OVERLOADED");
        all.add("a value is dropped", &target, Some((Aspect::Shape, Effect::Breaking)), |it| {
            at.shape(it).values.remove(idx);
        })
        .perhaps(EXPRESSIONS);
    }
    if shape.ty == Type::Enum {
        let effect = if shape.open { Effect::Additive } else { Effect::Breaking };
        all.add("a value is added", target, Some((Aspect::Shape, effect)), |it| {
            let value = "disputed".parse().expect("a value");
            at.shape(it).values.push((value, "Somebody objected.".to_owned()));
        })
        .perhaps(EXPRESSIONS);
    }
    if shape.moves.is_some() {
        let breaking = Some((Aspect::Meaning, Effect::Breaking));
        all.add("an enumeration may move as it likes", target, breaking, |it| at.shape(it).moves = None);
        let (first, last) = (shape.values[0].0.clone(), shape.values[shape.values.len() - 1].0.clone());
        let back = Move { from: Some(last), to: Some(first) };
        if !shape.moves.iter().flatten().any(|it| *it == back) {
            all.add("an enumeration may take one move more", target, breaking, |it| {
                at.shape(it).moves.get_or_insert_default().push(back);
            });
        }
    }
}

fn beside_key(all: &mut Mutants<'_>, at: At, target: &str, contract: &Contract, attribute: &Attribute) {
    let breaking = |aspect| Some((aspect, Effect::Breaking));
    if !attribute.optional {
        all.add("an attribute may have no value", target, breaking(Aspect::Shape), |it| {
            at.of(it).optional = true
        })
        .perhaps(EXPRESSIONS);
    }
    all.add("an attribute is dropped", target, breaking(Aspect::Shape), |it| {
        it.contracts[at.0].attributes.remove(at.1);
    })
    .perhaps(NAMED_ELSEWHERE);
    all.add("an attribute has another name", target, breaking(Aspect::Shape), |it| {
        at.of(it).name = "quiteAnotherName".parse().expect("a name");
    })
    .perhaps(NAMED_ELSEWHERE);
    all.add("an attribute has a name of the producer's inside", target, breaking(Aspect::Shape), |it| {
        at.of(it).name = "rowVersion".parse().expect("a name");
    })
    .perhaps(NAMED_ELSEWHERE)
    .found_by("NAMES_ARE_BUSINESS_WORDS");
    let strictest = Some(Classification::Sensitive);
    let counted = contract.reconciliation.as_ref().and_then(|it| it.count_by.as_ref());
    let is_counted = counted == Some(&attribute.name) && matches!(attribute.origin, Origin::Own(_));
    if attribute.classification != strictest {
        all.add("an attribute is classified more strictly", target, breaking(Aspect::Privacy), |it| {
            at.of(it).classification = strictest;
        })
        .perhaps(&["CARRIED_DECIDES_NOTHING", "COUNTS_SPARE_PII", "KEY_HOLDS_NO_PII", "READER_ENTITLED"])
        .found_if(is_counted, "COUNTS_SPARE_PII");
    }
    let resolved = attribute.classification.or(contract.classification).or(all.base.settings.classification);
    if resolved > Some(Classification::Public) {
        all.add(
            "an attribute is classified less strictly",
            target,
            Some((Aspect::Privacy, Effect::Additive)),
            |it| {
                at.of(it).classification = Some(Classification::Public);
            },
        );
    }
    reowned(all, at, target, contract);
}

/// The attribute is carried from the first contract of another context.
fn reowned(all: &mut Mutants<'_>, at: At, target: &str, contract: &Contract) {
    let other = all.base.contracts.iter().find(|other| {
        let own = other.attributes.iter().any(|it| it.own_shape().is_some() && !other.key.contains(&it.name));
        other.name.context != contract.name.context && !other.frozen && own
    });
    let Some(other) = other else { return };
    let there = other.attributes.iter().find(|it| it.own_shape().is_some() && !other.key.contains(&it.name));
    let path = there.expect("one of its own").name.clone().into();
    let from = AttributeRef { contract: other.reference(), path };
    let changes = |event: &seamline_contract::channel::Event| {
        let name = &contract.attributes[at.1].name;
        event.becomes.iter().any(|(it, _)| it == name) || event.sets.iter().any(|path| path.first() == name)
    };
    let changed = contract.events.iter().flat_map(|events| &events.events).any(changes);
    all.add(
        "an attribute is decided by another",
        target,
        Some((Aspect::Ownership, Effect::Breaking)),
        |it| {
            let attribute = at.of(it);
            attribute.origin = Origin::Carried(from);
            attribute.derived_from.clear();
            attribute.computed = None;
        },
    )
    .found_if(changed, "CARRIED_DECIDES_NOTHING")
    .perhaps(&[
        "CARRIED_ATTRIBUTE_EXISTS",
        "CARRIED_DECIDES_NOTHING",
        "COUNTS_SPARE_PII",
        "DERIVED_IS_COMPOSED",
        "EXPRESSIONS_TYPE_CHECK",
        "NAMES_RESOLVE",
        "PURPOSE_ALLOWED",
        "READER_ENTITLED",
    ]);
}
