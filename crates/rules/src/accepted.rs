//! A consumer has read the meaning it relies on, and is told when it no longer says the same.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::meaning::meaning_digest;

/// Every consumer has accepted what it uses.
pub(crate) const MEANING_ACCEPTED: Rule = Rule {
    id: "MEANING_ACCEPTED",
    category: Category::Meaning,
    level: Level::Advice,
    reason: "Until a consumer says which meaning it read, nobody can tell it that the meaning changed.",
    check: meaning_accepted,
};

fn meaning_accepted(review: &Review<'_>) -> Vec<Finding> {
    let waiting =
        review.readings.iter().filter(|it| it.subscription.accepted.is_none() && it.contract.is_some());
    waiting
        .map(|reading| {
            let subscription = reading.subscription;
            MEANING_ACCEPTED
                .finding(
                    subscription.path().key("contract"),
                    format!(
                        "nobody has accepted what `{}` means to `{}`",
                        subscription.contract, subscription.name
                    ),
                )
                .help(format!("read it, then run `seamline accept {}`", subscription.name))
                .owed_by(&subscription.name.context)
        })
        .collect()
}

/// What was accepted is still what is promised.
pub(crate) const ACCEPTED_MEANING_STANDS: Rule = Rule {
    id: "ACCEPTED_MEANING_STANDS",
    category: Category::Meaning,
    level: Level::Error,
    reason: "A meaning that moved under a consumer breaks it without breaking a single type.",
    check: accepted_meaning_stands,
};

fn accepted_meaning_stands(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for reading in &review.readings {
        let subscription = reading.subscription;
        let (Some(contract), Some(accepted)) = (reading.contract, &subscription.accepted) else { continue };
        // What an unsound expression uses is not known, and it is a finding of its own.
        if reading.translations.iter().any(|translation| translation.program.is_err()) {
            continue;
        }
        let digest = meaning_digest(contract, &reading.uses);
        if digest == accepted.meaning {
            continue;
        }
        findings.push(
            ACCEPTED_MEANING_STANDS
                .finding(
                    subscription.path().key("accepted").key("meaning"),
                    format!(
                        "what `{}` uses no longer means what was accepted with version {}",
                        subscription.name, accepted.version
                    ),
                )
                .help(format!(
                    "read what changed, then run `seamline accept {}`; the digest is now `{digest}`",
                    subscription.name
                ))
                .note(contract.contract.path().key("version"), "the meaning now")
                .owed_by(&subscription.name.context),
        );
    }
    findings
}
