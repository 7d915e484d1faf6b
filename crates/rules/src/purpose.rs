//! Every value has a classification, and every use a purpose that is allowed.

use crate::review::{Review, attribute_path, nearest};
use crate::rule::{Category, Rule};
use crate::uses::Reading;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributePath, PurposeId};
use seamline_contract::path::ModelPath;

/// Every attribute has a classification.
pub(crate) const CLASSIFICATION_DECLARED: Rule = Rule {
    id: "CLASSIFICATION_DECLARED",
    category: Category::Privacy,
    level: Level::Error,
    reason: "Who may read a value is derived from its classification; without one it is derived from luck.",
    check: classification_declared,
};

fn classification_declared(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resolved in review.living_resolved() {
        let contract = &resolved.contract;
        let bare: Vec<_> = resolved.attributes.iter().filter(|it| it.classification.is_none()).collect();
        let Some(first) = bare.first() else { continue };
        let more =
            if bare.len() > 1 { format!(" and {} more have", bare.len() - 1) } else { " has".to_owned() };
        let path = AttributePath::from(first.name.clone());
        findings.push(
            CLASSIFICATION_DECLARED
                .finding(
                    attribute_path(contract, &path).the_key(),
                    format!("`{}`{more} no classification", first.name),
                )
                .help("add `classification: internal` to the contract, or to the estate's `defaults`, and a stricter one where due")
                .owed_by(&contract.name.context),
        );
    }
    findings
}

/// Data is used only for what it may be used for.
pub(crate) const PURPOSE_ALLOWED: Rule = Rule {
    id: "PURPOSE_ALLOWED",
    category: Category::Privacy,
    level: Level::Error,
    reason: "Data that was given for one purpose and used for another is a breach, however well it is synchronized.",
    check: purpose_allowed,
};

fn purpose_allowed(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let declared = || review.estate.settings.purposes.iter().map(|(purpose, _)| purpose);
    for contract in review.living() {
        let owner = &contract.name.context;
        let of_attributes = contract.attributes.iter().map(|attribute| {
            let at = contract.path().key("attributes").key(&attribute.name).key("purposes");
            (at, attribute.purposes.as_deref())
        });
        let all = of_attributes.chain([(contract.path().key("purposes"), contract.purposes.as_deref())]);
        for (at, purposes) in all {
            for (idx, purpose) in purposes.unwrap_or_default().iter().enumerate() {
                if !review.has_purpose(purpose) {
                    findings.push(unknown(purpose, at.clone().index(idx), declared()).owed_by(owner));
                }
            }
        }
    }
    for reading in &review.readings {
        let subscription = reading.subscription;
        let at = subscription.path().key("purpose");
        match &subscription.purpose {
            None => findings.push(
                PURPOSE_ALLOWED
                    .finding(at, "nothing says what the data is used for")
                    .help(format!("add `purpose:`; {}", nearest("", declared())))
                    .owed_by(&subscription.name.context),
            ),
            Some(purpose) if !review.has_purpose(purpose) => {
                findings.push(unknown(purpose, at, declared()).owed_by(&subscription.name.context));
            }
            Some(purpose) => findings.extend(disallowed(reading, purpose)),
        }
    }
    findings
}

fn unknown<'a>(purpose: &PurposeId, at: ModelPath, declared: impl Iterator<Item = &'a PurposeId>) -> Finding {
    PURPOSE_ALLOWED.finding(at, format!("the estate declares no purpose `{purpose}`")).help(format!(
        "{}, or declare it under `purposes` in `seamline.yaml`",
        nearest(purpose.as_str(), declared)
    ))
}

fn disallowed(reading: &Reading<'_>, purpose: &PurposeId) -> Vec<Finding> {
    let Some(contract) = reading.contract else { return Vec::new() };
    // Without the view that is meant nobody knows what is used.
    if contract.view(reading.subscription.view.as_ref()).is_err() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for path in &reading.uses.attributes {
        let Some(purposes) = contract.at(path).and_then(|at| at.purposes) else { continue };
        if purposes.contains(purpose) {
            continue;
        }
        let allowed = crate::review::listed(purposes);
        findings.push(
            PURPOSE_ALLOWED
                .finding(reading.place_of(path), format!("`{path}` may serve {allowed}, not `{purpose}`"))
                .help(format!(
                    "use less, take a view without it, or ask `{}` to allow it",
                    contract.contract.name.context
                ))
                .note(attribute_path(&contract.contract, path).key("purposes"), "what it may serve")
                .owed_by(&reading.subscription.name.context),
        );
    }
    findings
}
