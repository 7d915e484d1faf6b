//! What a value means does not change while nothing happens.

use crate::meaning::words;
use crate::review::Review;
use crate::rule::{Category, Rule};
use crate::walk::{Placed, attributes};
use seamline_contract::attribute::{Attribute, Type};
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::AttributeName;
use seamline_contract::path::Step;

/// A value changes when something happens, not when the clock strikes.
pub(crate) const MEANING_MOVES_BY_EVENT: Rule = Rule {
    id: "MEANING_MOVES_BY_EVENT",
    category: Category::Meaning,
    level: Level::Advice,
    reason: "A value that turns wrong at midnight without an event is wrong in every copy, and no comparison sees it.",
    check: meaning_moves_by_event,
};

/// Words of a meaning that tie it to the moment of reading.
const MOMENTS: [&str; 6] = ["today", "tomorrow", "yesterday", "currently", "now", "nowadays"];
/// The same, of two words.
const MOMENTS_OF_TWO: [&str; 2] = ["at present", "right now"];
/// Units of time that begin the name of a span up to now.
const SPANS: [&str; 6] = ["minute", "hour", "day", "week", "month", "year"];
/// What follows them.
const SPAN_ENDS: [&str; 7] = ["since", "until", "overdue", "left", "remaining", "old", "late"];

fn meaning_moves_by_event(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        for Placed { attribute, at, element_of } in attributes(contract) {
            let outermost = at.steps.get(1).and_then(|step| match step {
                Step::Key(name) => Some(name.as_str()),
                Step::Index(_) => None,
            });
            let decided = attribute.own_shape().is_some() && attribute.computed.is_none();
            if element_of.is_some() || !decided || outermost.is_none_or(|name| moved(contract, name)) {
                continue;
            }
            let Some(why) = by_the_clock(attribute) else { continue };
            findings.push(
                MEANING_MOVES_BY_EVENT
                    .finding(at.the_key(), format!("`{}` changes with the clock ({why}), and no event tells of it", attribute.name))
                    .help("publish the date it depends on and let each reader compare, or let an event set it when it changes")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

/// Whether an event changes the attribute, or it is of the key.
fn moved(contract: &Contract, name: &str) -> bool {
    let is = |it: &AttributeName| it.as_str() == name;
    contract.key.iter().any(is)
        || contract.events.iter().flat_map(|events| &events.events).any(|event| {
            event.becomes.iter().any(|(it, _)| is(it)) || event.sets.iter().any(|path| is(path.first()))
        })
}

fn by_the_clock(attribute: &Attribute) -> Option<String> {
    let shape = attribute.own_shape()?;
    let name: Vec<String> = words(attribute.name.as_str()).collect();
    let counts = matches!(shape.ty, Type::Integer | Type::Decimal { .. } | Type::Duration);
    let spans = name
        .windows(2)
        .any(|pair| SPANS.contains(&pair[0].as_str()) && SPAN_ENDS.contains(&pair[1].as_str()));
    if counts && (spans || name.last().is_some_and(|last| last == "age")) {
        return Some("a span up to now".to_owned());
    }
    let texts = [&attribute.meaning].into_iter().chain(shape.values.iter().map(|(_, meaning)| meaning));
    texts.flat_map(|text| moment(text)).next()
}

fn moment(text: &str) -> Option<String> {
    let said: Vec<String> = words(text).collect();
    // What holds from now on was decided once, and stays so.
    let goes_on = |idx: usize| said[idx] == "now" && said.get(idx + 1).is_some_and(|next| next == "on");
    let one = said.iter().enumerate().find(|(idx, word)| MOMENTS.contains(&word.as_str()) && !goes_on(*idx));
    let one = one.map(|(_, word)| word.clone());
    let two =
        || said.windows(2).map(|pair| pair.join(" ")).find(|pair| MOMENTS_OF_TWO.contains(&pair.as_str()));
    one.or_else(two).map(|word| format!("`{word}`"))
}
