//! A derived contract is composed from its sources, and the first of them decides which rows exist.

use crate::review::{Review, attribute_path, listed};
use crate::rule::{Category, Rule};
use seamline_contract::attribute::Origin;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::AttributePath;
use seamline_contract::resolve::ResolvedContract;

/// What a derived contract carries comes from its sources, and may be missing where only the first has a row.
pub(crate) const DERIVED_IS_COMPOSED: Rule = Rule {
    id: "DERIVED_IS_COMPOSED",
    category: Category::Shape,
    level: Level::Error,
    reason: "A row that one source has and another has not must be a row all the same, with nothing made up.",
    check: derived_is_composed,
};

fn derived_is_composed(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resolved in review.living_resolved() {
        match &resolved.contract.derived {
            Some(derived) => findings.extend(composed(resolved, &derived.from)),
            None => findings.extend(computed_alone(resolved)),
        }
    }
    findings
}

fn composed(resolved: &ResolvedContract, sources: &[seamline_contract::id::ContractRef]) -> Vec<Finding> {
    let contract = &resolved.contract;
    let mut findings = Vec::new();
    for (attribute, written) in resolved.attributes.iter().zip(&contract.attributes) {
        let Origin::Carried(from) = &written.origin else { continue };
        let path = attribute_path(contract, &AttributePath::from(attribute.name.clone()));
        let known = sources.iter().position(|source| *source == from.contract);
        let finding = match known {
            None => DERIVED_IS_COMPOSED
                .finding(
                    path.key("from"),
                    format!("`{}` is none of the contracts this is derived from", from.contract),
                )
                .help(format!("add it to `derived.from`, which has {}", listed(sources))),
            Some(idx) if idx > 0 && !attribute.optional && !contract.key.contains(&attribute.name) => {
                DERIVED_IS_COMPOSED
                    .finding(
                        path.the_key(),
                        format!("`{}` has no value where `{}` has no row yet", attribute.name, from.contract),
                    )
                    .help("add `optional: true`")
            }
            Some(_) => continue,
        };
        let note = contract.path().key("derived").key("from");
        findings.push(finding.note(note, "its sources").owed_by(&contract.name.context));
    }
    findings
}

fn computed_alone(resolved: &ResolvedContract) -> Vec<Finding> {
    let contract = &resolved.contract;
    let computed = resolved.attributes.iter().filter(|attribute| attribute.computed.is_some());
    computed
        .map(|attribute| {
            let path = attribute_path(contract, &AttributePath::from(attribute.name.clone()));
            DERIVED_IS_COMPOSED
                .finding(path.key("computed"), format!("`{}` is computed, and nothing is derived here", attribute.name))
                .help("read it from the publication's table, or say `derived:` with the contracts it is computed from")
                .owed_by(&contract.name.context)
        })
        .collect()
}
