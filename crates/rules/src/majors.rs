//! The major that somebody names exists and is still promised.

use crate::review::{Review, listed};
use crate::rule::{Category, Rule};
use seamline_contract::attribute::Origin;
use seamline_contract::contract::{Contract, Status};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{ContextId, ContractRef};
use seamline_contract::path::ModelPath;

/// A reference names a major that exists and is not retired.
pub(crate) const MAJOR_LIVES: Rule = Rule {
    id: "MAJOR_LIVES",
    category: Category::Shape,
    level: Level::Error,
    reason: "Who builds on a contract that is not there, or is promised no more, builds on nothing.",
    check: major_lives,
};

fn major_lives(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for subscription in &review.estate.subscriptions {
        let at = subscription.path().key("contract");
        let owner = &subscription.name.context;
        findings.extend(
            dead(review, &subscription.contract, at.clone(), owner)
                .or_else(|| unwritten(review, &subscription.contract, at, owner)),
        );
    }
    for contract in review.living() {
        let owner = &contract.name.context;
        for (idx, from) in contract.derived.iter().flat_map(|derived| &derived.from).enumerate() {
            let at = contract.path().key("derived").key("from").index(idx);
            findings.extend(dead(review, from, at, owner));
        }
        for attribute in &contract.attributes {
            let Origin::Carried(from) = &attribute.origin else { continue };
            // That it exists at all is asked of what is carried.
            if review.contract(&from.contract).is_some() {
                let at = contract.path().key("attributes").key(&attribute.name).key("from");
                findings.extend(dead(review, &from.contract, at, owner));
            }
        }
        findings.extend(unserved(review, contract));
    }
    findings
}

fn dead(review: &Review<'_>, reference: &ContractRef, at: ModelPath, owner: &ContextId) -> Option<Finding> {
    let majors = review.majors(reference);
    let Some(contract) = review.contract(reference) else {
        let finding = MAJOR_LIVES.finding(at, format!("there is no contract `{reference}`")).owed_by(owner);
        return Some(match majors.last() {
            Some(_) => finding.help(format!("its majors are {}", listed(&majors))),
            None => finding.help(review.instead_of(reference, review.living().map(Contract::reference))),
        });
    };
    if contract.status != Status::Retired {
        return None;
    }
    let newer =
        majors.iter().rev().find(|it| review.contract(it).is_some_and(|it| it.status != Status::Retired));
    let help = match newer {
        Some(newer) => format!("move to `{newer}`"),
        None => format!("ask `{}` what replaces it", reference.name.context),
    };
    Some(
        MAJOR_LIVES
            .finding(at, format!("`{reference}` is retired"))
            .help(help)
            .note(contract.path().key("status"), "retired here")
            .owed_by(owner),
    )
}

/// An older major whose text is there is written only as long as the newest serves it.
fn unwritten(
    review: &Review<'_>,
    reference: &ContractRef,
    at: ModelPath,
    owner: &ContextId,
) -> Option<Finding> {
    let current = review.current(&reference.name)?;
    let newest = current.reference();
    let is_served = current.serves.iter().any(|it| it.version == reference.major);
    if reference.major >= newest.major || is_served {
        return None;
    }
    let entry = format!("serves: [{{ version: {}, until: YYYY-MM-DD }}]", reference.major);
    Some(
        MAJOR_LIVES
            .finding(
                at,
                format!("`{reference}` is written no more: version {} does not serve it", current.version),
            )
            .help(format!("move to `{newest}`, or let its owner keep it alive by `{entry}`"))
            .note(current.path().key("version"), "the newest is here")
            .owed_by(owner),
    )
}

/// An older major that is served has its frozen text.
fn unserved(review: &Review<'_>, contract: &Contract) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (idx, serves) in contract.serves.iter().enumerate() {
        let reference = ContractRef { name: contract.name.clone(), major: serves.version };
        let older = review.contract(&reference).filter(|it| it.version.major < contract.version.major);
        if older.is_none() {
            let file = format!("{}@{}.contract.yaml", contract.name.contract, serves.version);
            findings.push(
                MAJOR_LIVES
                    .finding(
                        contract.path().key("serves").index(idx).key("version"),
                        format!("version {} is served, and its text is not there", serves.version),
                    )
                    .help(format!("add its frozen text as `{file}`"))
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}
