//! A key is always there, everywhere, and tells nothing about a person.

use crate::review::{Review, attribute_path, listed};
use crate::rule::{Category, Rule};
use seamline_contract::attribute::Classification;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::AttributePath;
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::subscription::{ColumnSource, Subscription};

/// No key is personal data.
pub(crate) const KEY_HOLDS_NO_PII: Rule = Rule {
    id: "KEY_HOLDS_NO_PII",
    category: Category::Privacy,
    level: Level::Error,
    reason: "A key stands in logs, partitions, tombstones and other people's tables, where nobody can erase it.",
    check: key_holds_no_pii,
};

fn key_holds_no_pii(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resolved in review.living_resolved() {
        let contract = &resolved.contract;
        for (idx, slot) in resolved.key.iter().enumerate() {
            let attribute = &resolved.attributes[*slot];
            let Some(classification) = attribute.classification.filter(|it| *it >= Classification::Pii)
            else {
                continue;
            };
            let path = AttributePath::from(attribute.name.clone());
            findings.push(
                KEY_HOLDS_NO_PII
                    .finding(
                        contract.path().key("key").index(idx),
                        format!("`{}` is `{classification}` and part of the key", attribute.name),
                    )
                    .help(
                        "identify the record by a number that means nothing, and carry this as an attribute",
                    )
                    .note(attribute_path(contract, &path).key("classification"), "what it is classified as")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

/// Keys are never optional, and every projection has them.
pub(crate) const KEY_ALWAYS_PRESENT: Rule = Rule {
    id: "KEY_ALWAYS_PRESENT",
    category: Category::Shape,
    level: Level::Error,
    reason: "Order, deletion and repair all go by key; a row without its whole key can be neither found nor mended.",
    check: key_always_present,
};

fn key_always_present(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resolved in review.living_resolved() {
        let contract = &resolved.contract;
        for slot in &resolved.key {
            let attribute = &resolved.attributes[*slot];
            // What is optional here is a finding of the language; what is optional at its owner only shows here.
            if attribute.optional && attribute.carried {
                let path = AttributePath::from(attribute.name.clone());
                findings.push(
                    KEY_ALWAYS_PRESENT
                        .finding(
                            attribute_path(contract, &path).key("from"),
                            format!(
                                "`{}` is part of the key, and optional where it is decided",
                                attribute.name
                            ),
                        )
                        .help("choose another key")
                        .owed_by(&contract.name.context),
                );
            }
        }
        for (idx, name) in contract.partition_by.iter().enumerate() {
            if !contract.key.contains(name) {
                findings.push(
                    KEY_ALWAYS_PRESENT
                        .finding(
                            contract.path().key("partitionBy").index(idx),
                            format!("`{name}` decides the partition and is no part of the key"),
                        )
                        .help(format!("choose from {}", listed(&contract.key)))
                        .owed_by(&contract.name.context),
                );
            }
        }
    }
    for reading in &review.readings {
        if let Some(contract) = reading.contract {
            findings.extend(projected(reading.subscription, contract));
        }
    }
    findings
}

fn projected(subscription: &Subscription, contract: &ResolvedContract) -> Option<Finding> {
    let (table, columns) = subscription.projection()?;
    let is_column = |name| {
        let path = AttributePath::from(name);
        columns.iter().any(|column| matches!(&column.source, ColumnSource::Path(it) if *it == path))
    };
    let missing: Vec<_> = contract.contract.key.iter().filter(|name| !is_column((*name).clone())).collect();
    if missing.is_empty() {
        return None;
    }
    Some(
        KEY_ALWAYS_PRESENT
            .finding(
                subscription.path().key("into").key("columns").the_key(),
                format!("`{table}` has no column for {}, the key", listed(missing)),
            )
            .help(format!("add a column for each of {}", listed(&contract.contract.key)))
            .note(contract.contract.path().key("key"), "the key")
            .owed_by(&subscription.name.context),
    )
}
