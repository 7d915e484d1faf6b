//! What is published is made for its readers, not copied from the producer's tables.

use crate::meaning::words;
use crate::review::Review;
use crate::rule::{Category, Rule};
use crate::walk::{Placed, attributes, details};
use seamline_contract::attribute::{Attribute, Type};
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeName, ContractRef};
use seamline_contract::path::ModelPath;
use std::collections::{BTreeMap, BTreeSet};

/// Names are words of the business.
pub(crate) const NAMES_ARE_BUSINESS_WORDS: Rule = Rule {
    id: "NAMES_ARE_BUSINESS_WORDS",
    category: Category::Shape,
    level: Level::Warn,
    reason: "A name out of the producer's tables or code changes with them, and takes every reader along.",
    check: names_are_business_words,
};

/// Words of a name that only a database or a program knows.
const INTERNAL_WORDS: [&str; 14] = [
    "col",
    "dao",
    "db",
    "dto",
    "fk",
    "hibernate",
    "jpa",
    "pk",
    "rowid",
    "sql",
    "tbl",
    "tmp",
    "varchar",
    "xref",
];
/// Whole names of bookkeeping that object-relational mappers add.
const INTERNAL_NAMES: [&str; 14] = [
    "created by",
    "delete flag",
    "deleted flag",
    "entity id",
    "entity type",
    "is deleted",
    "last modified",
    "last modified by",
    "modified by",
    "opt lock",
    "row id",
    "row version",
    "soft deleted",
    "updated by",
];
/// Names that are numbered where a word is missing.
const NUMBERED: [&str; 7] = ["attr", "attribute", "column", "custom", "field", "flag", "param"];

fn names_are_business_words(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        for Placed { attribute, at, element_of } in attributes(contract).into_iter().chain(details(contract))
        {
            if element_of.is_some() || !internal(attribute.name.as_str()) {
                continue;
            }
            findings.push(
                NAMES_ARE_BUSINESS_WORDS
                    .finding(at.the_key(), format!("`{}` is a name of the producer's inside", attribute.name))
                    .help("say it in a word of the business, or leave it out; the publication's `columns` keep the name")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

fn internal(name: &str) -> bool {
    let said: Vec<String> = words(name).collect();
    let numbered = NUMBERED.iter().any(|stem| {
        name.strip_prefix(stem)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|c| c.is_ascii_digit()))
    });
    numbered
        || INTERNAL_NAMES.contains(&said.join(" ").as_str())
        || said.iter().any(|word| INTERNAL_WORDS.contains(&word.as_str()))
}

/// A number of another record is carried from the contract that gives it out.
pub(crate) const FOREIGN_KEYS_ARE_CARRIED: Rule = Rule {
    id: "FOREIGN_KEYS_ARE_CARRIED",
    category: Category::Shape,
    level: Level::Warn,
    reason: "A key that is decided twice looks like one record and is two; carried, it has one meaning and one owner.",
    check: foreign_keys_are_carried,
};

fn foreign_keys_are_carried(review: &Review<'_>) -> Vec<Finding> {
    let mut keys: BTreeMap<String, ContractRef> = BTreeMap::new();
    for resolved in review.living_resolved() {
        if let [slot] = resolved.key.as_slice()
            && !resolved.attributes[*slot].carried
        {
            keys.entry(resolved.attributes[*slot].name.to_string()).or_insert(resolved.contract.reference());
        }
    }
    let mut findings = Vec::new();
    for contract in review.living() {
        for Placed { attribute, at, element_of } in attributes(contract).into_iter().chain(details(contract))
        {
            if element_of.is_some() || is_key(contract, attribute) {
                continue;
            }
            findings.extend(uncarried(contract, attribute, at, &keys));
        }
    }
    findings
}

fn is_key(contract: &Contract, attribute: &Attribute) -> bool {
    contract.attributes.iter().any(|it| std::ptr::eq(it, attribute)) && contract.key.contains(&attribute.name)
}

fn uncarried(
    contract: &Contract,
    attribute: &Attribute,
    at: ModelPath,
    keys: &BTreeMap<String, ContractRef>,
) -> Option<Finding> {
    attribute.own_shape()?;
    let name = &attribute.name;
    let there =
        keys.get(name.as_str()).filter(|there| there.name != contract.name && name.as_str() != "id")?;
    Some(
        FOREIGN_KEYS_ARE_CARRIED
            .finding(at.the_key(), format!("`{name}` is the key of `{}`, and decided here", there.name))
            .help(format!("carry it: `from: {there}.{name}`"))
            .owed_by(&contract.name.context),
    )
}

/// An id leads to a contract.
pub(crate) const IDS_LEAD_SOMEWHERE: Rule = Rule {
    id: "IDS_LEAD_SOMEWHERE",
    category: Category::Shape,
    level: Level::Advice,
    reason: "An id that leads to no contract is a row number of the producer's; nobody else can follow it.",
    check: ids_lead_somewhere,
};

fn ids_lead_somewhere(review: &Review<'_>) -> Vec<Finding> {
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    for contract in review.living() {
        keys.extend(contract.key.iter().map(AttributeName::as_str));
    }
    let mut findings = Vec::new();
    for contract in review.living() {
        for Placed { attribute, at, element_of } in attributes(contract).into_iter().chain(details(contract))
        {
            let name = attribute.name.as_str();
            let number =
                attribute.own_shape().is_some_and(|shape| matches!(shape.ty, Type::Integer | Type::Uuid));
            if element_of.is_some() || !number || !name.ends_with("Id") || keys.contains(name) {
                continue;
            }
            findings.push(
                IDS_LEAD_SOMEWHERE
                    .finding(at.the_key(), format!("`{name}` leads to no contract of the estate"))
                    .help("leave it out, or publish what it identifies and carry it from there")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

/// Objects within objects, at most.
pub(crate) const GRAPH_DEPTH_MAX: usize = 2;

/// No attribute is a graph of the producer's entities.
pub(crate) const PAYLOAD_IS_FLAT: Rule = Rule {
    id: "PAYLOAD_IS_FLAT",
    category: Category::Shape,
    level: Level::Warn,
    reason: "A graph of entities shows how the producer stores things, and changes whenever that does.",
    check: payload_is_flat,
};

fn payload_is_flat(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        for attribute in &contract.attributes {
            let depth = depth(attribute);
            if depth <= GRAPH_DEPTH_MAX {
                continue;
            }
            let at = contract.path().key("attributes").key(&attribute.name).the_key();
            findings.push(
                PAYLOAD_IS_FLAT
                    .finding(at, format!("`{}` holds objects {depth} deep", attribute.name))
                    .help(
                        "publish what readers ask for as attributes of its own, or a contract for each part",
                    )
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

/// How many objects stand in each other; lists and maps count for nothing.
fn depth(attribute: &Attribute) -> usize {
    match attribute.own_shape().map(|shape| &shape.ty) {
        Some(Type::Object(members)) => 1 + members.iter().map(depth).max().unwrap_or(0),
        Some(Type::List(element) | Type::Map(element)) => depth(element),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::internal;

    #[test]
    fn names_of_the_inside_are_told_from_words() {
        for name in ["rowVersion", "customerFk", "flag1", "isDeleted", "tblName", "createdBy", "field12"] {
            assert!(internal(name), "{name}");
        }
        for name in ["column", "legalEntity", "flag", "version", "createdOn", "deletedOn", "fieldOffice"] {
            assert!(!internal(name), "{name}");
        }
    }
}
