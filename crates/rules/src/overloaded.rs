//! One enumeration answers one question.

use crate::meaning::words;
use crate::review::{Review, listed};
use crate::rule::{Category, Rule};
use crate::walk::{Placed, attributes, details};
use seamline_contract::attribute::{Attribute, Shape};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::EnumValue;
use seamline_contract::path::ModelPath;
use std::collections::{BTreeMap, BTreeSet};

/// Values and their meanings answer one question.
pub(crate) const MEANING_NOT_OVERLOADED: Rule = Rule {
    id: "MEANING_NOT_OVERLOADED",
    category: Category::Meaning,
    level: Level::Warn,
    reason: "A status that answers two questions at once forces each reader to guess the answer to its own.",
    check: meaning_not_overloaded,
};

/// Questions that a value can answer, with words that answer them. Words of a life (open, active, closed) belong to none.
const QUESTIONS: [(&str, &[&str]); 5] = [
    ("approval", &["approved", "disapproved", "rejected", "submitted"]),
    ("cover", &["bound", "covered", "insured", "lapsed", "underwritten", "uninsured"]),
    (
        "delivery",
        &["allocated", "delivered", "dispatched", "packed", "picked", "returned", "shipped", "transit"],
    ),
    (
        "payment",
        &[
            "billed",
            "collected",
            "delinquent",
            "dunning",
            "invoiced",
            "overdue",
            "paid",
            "refunded",
            "unpaid",
        ],
    ),
    ("verification", &["unverified", "verified"]),
];

fn meaning_not_overloaded(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        for Placed { attribute, at, element_of } in attributes(contract).into_iter().chain(details(contract))
        {
            // What is computed is a summary for a screen; each of its sources still stands beside it.
            let Some(shape) = attribute.own_shape().filter(|_| attribute.computed.is_none()) else {
                continue;
            };
            let named = element_of.unwrap_or(attribute);
            if let Some((place, message)) = overloaded(named, shape, &at) {
                findings.push(
                    MEANING_NOT_OVERLOADED
                        .finding(place, message)
                        .help("give each question an attribute of its own, each decided by the context that knows the answer")
                        .owed_by(&contract.name.context),
                );
            }
        }
    }
    findings
}

fn overloaded(named: &Attribute, shape: &Shape, at: &ModelPath) -> Option<(ModelPath, String)> {
    let both = shape.values.iter().find_map(|(value, meaning)| Some((value, two_sides(meaning)?)));
    if let Some((value, (one, other))) = both {
        let place = at.clone().key("values").key(value);
        return Some((place, format!("`{value}` answers two questions: {one}, or {other}")));
    }
    let mut asked: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (value, _) in &shape.values {
        for question in questions(value.as_str()) {
            asked.entry(question).or_default().push(format!("`{value}`"));
        }
    }
    if asked.len() > 1 {
        let said = |(question, values): (&str, Vec<String>)| format!("{question} ({})", values.join(", "));
        let questions = asked.into_iter().map(said).collect::<Vec<_>>().join(", ");
        let place = at.clone().key("values").the_key();
        return Some((
            place,
            format!("the values of `{}` answer several questions: {questions}", named.name),
        ));
    }
    let groups = groups(shape);
    let (one, other) = (groups.first()?, groups.get(1)?);
    let message = format!(
        "no move of `{}` leads from {} to {}: these are two questions",
        named.name,
        listed(one),
        listed(other)
    );
    Some((at.clone().key("moves"), message))
}

fn questions(text: &str) -> BTreeSet<&'static str> {
    let said: BTreeSet<String> = words(text).collect();
    let asked = QUESTIONS.iter().filter(|(_, answers)| answers.iter().any(|word| said.contains(*word)));
    asked.map(|(question, _)| *question).collect()
}

/// The questions on both sides of an `or`, where they are not the same.
fn two_sides(meaning: &str) -> Option<(&'static str, &'static str)> {
    let (one, other) = meaning.split_once(" or ")?;
    let (one, other) = (questions(one), questions(other));
    let (first, second) = (*one.first()?, *other.first()?);
    one.is_disjoint(&other).then_some((first, second))
}

/// The values that moves join, group by group, in the order of the values. Where there are no moves there are no groups.
fn groups(shape: &Shape) -> Vec<Vec<&EnumValue>> {
    let moves = shape.moves.as_deref().unwrap_or_default();
    let steps: Vec<(&EnumValue, &EnumValue)> =
        moves.iter().filter_map(|it| it.from.as_ref().zip(it.to.as_ref())).collect();
    let mut groups: Vec<Vec<&EnumValue>> = Vec::new();
    for (from, to) in &steps {
        let (joined, mut apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.contains(from) || group.contains(to));
        let mut group: Vec<&EnumValue> = joined.into_iter().flatten().collect();
        for value in [*from, *to] {
            if !group.contains(&value) {
                group.push(value);
            }
        }
        apart.push(group);
        groups = apart;
    }
    let place = |value: &EnumValue| shape.values.iter().position(|(it, _)| it == value);
    groups.iter_mut().for_each(|group| group.sort_by_key(|value| place(value)));
    groups.sort_by_key(|group| group.first().map(|value| place(value)));
    groups
}

#[cfg(test)]
mod tests {
    use super::{QUESTIONS, two_sides};
    use crate::meaning::words;

    #[test]
    fn an_or_between_two_questions_is_seen() {
        assert_eq!(two_sides("Bound or paid for."), Some(("cover", "payment")));
        assert_eq!(two_sides("Cancelled or expired."), None);
        assert_eq!(two_sides("Overdue or in dunning."), None);
    }

    #[test]
    fn answers_are_written_as_words_are_compared_and_answer_one_question() {
        let all: Vec<&str> = QUESTIONS.iter().flat_map(|(_, answers)| answers.iter().copied()).collect();
        for word in &all {
            assert_eq!(words(word).collect::<Vec<_>>(), [*word]);
            assert_eq!(all.iter().filter(|other| *other == word).count(), 1, "{word}");
        }
    }
}
