//! Numbers say what they count in, days say where they begin.

use crate::review::Review;
use crate::rule::{Category, Rule};
use crate::walk::{Placed, attributes, details};
use seamline_contract::attribute::Type;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};

/// Every decimal has a unit. Integers may be counts, ranks or codes, so none is asked of them.
pub(crate) const QUANTITY_HAS_UNIT: Rule = Rule {
    id: "QUANTITY_HAS_UNIT",
    category: Category::Meaning,
    level: Level::Error,
    reason: "A number without a unit is read in the reader's own, and the difference passes every check of types.",
    check: quantity_has_unit,
};

fn quantity_has_unit(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        for Placed { attribute, at, element_of } in attributes(contract).into_iter().chain(details(contract))
        {
            let Some(shape) = attribute.own_shape() else { continue };
            let around = element_of.and_then(|outer| outer.own_shape()).and_then(|outer| outer.unit.as_ref());
            let quantity = matches!(shape.ty, Type::Decimal { .. }) || shape.approximate;
            if !quantity || shape.unit.is_some() || around.is_some() {
                continue;
            }
            let named = element_of.unwrap_or(attribute);
            findings.push(
                QUANTITY_HAS_UNIT
                    .finding(at.the_key(), format!("`{}` is a quantity without a unit", named.name))
                    .help("add `unit:`, as in `EUR`, `kg` or `1` for a ratio, or `{ in: currency }` where another attribute says it")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

/// Every date and every hour knows its zone.
pub(crate) const DATE_HAS_ZONE: Rule = Rule {
    id: "DATE_HAS_ZONE",
    category: Category::Meaning,
    level: Level::Error,
    reason: "A day without a zone begins at a different moment for each reader, and cover begins with it.",
    check: date_has_zone,
};

fn date_has_zone(review: &Review<'_>) -> Vec<Finding> {
    if review.estate.settings.zone.is_some() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for contract in review.living() {
        for Placed { attribute, at, element_of } in attributes(contract).into_iter().chain(details(contract))
        {
            let Some(shape) = attribute.own_shape() else { continue };
            let around = element_of.and_then(|outer| outer.own_shape()).and_then(|outer| outer.zone.as_ref());
            if shape.ty != Type::Date || shape.zone.is_some() || around.is_some() {
                continue;
            }
            let named = element_of.unwrap_or(attribute);
            findings.push(
                DATE_HAS_ZONE
                    .finding(
                        at.the_key(),
                        format!("`{}` is a day, and nothing says in which zone it begins", named.name),
                    )
                    .help(
                        "add `zone: Europe/Berlin` or another, or `defaults: { zone: … }` in `seamline.yaml`",
                    )
                    .owed_by(&contract.name.context),
            );
        }
        findings.extend(hours_without_zone(contract));
    }
    findings
}

/// Channels that are sent at hours of nowhere.
fn hours_without_zone(contract: &Contract) -> impl Iterator<Item = Finding> {
    let events = contract.events.as_ref().map(|events| &events.terms);
    let channels =
        [("events", events), ("state", contract.state.as_ref()), ("reference", contract.reference.as_ref())];
    let lacking = channels.into_iter().filter(|(_, terms)| terms.is_some_and(|it| it.cadence.lacks_zone()));
    lacking.map(|(channel, _)| {
        DATE_HAS_ZONE
            .finding(
                contract.path().key(channel).key("cadence"),
                format!("`{channel}` is sent at an hour, and nothing says in which zone"),
            )
            .help("write `Europe/Berlin` or another behind it, or `defaults: { zone: … }` in `seamline.yaml`")
            .owed_by(&contract.name.context)
    })
}
