//! How changes get out fits what the contract says.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::channel::Cadence;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::publication::Feed;

/// A feed yields what the contract's channels need.
pub(crate) const FEED_FITS_CONTRACT: Rule = Rule {
    id: "FEED_FITS_CONTRACT",
    category: Category::Exchange,
    level: Level::Error,
    reason: "What a feed does not see it cannot tell, and nobody learns that it is missing.",
    check: feed_fits_contract,
};

fn feed_fits_contract(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for publication in &review.estate.publications {
        let Some(contract) = review.current(&publication.contract) else { continue };
        let wrong = match publication.feed {
            Feed::Projections if contract.derived.is_none() => Some((
                "`projections` feeds a contract that is derived from others, and this one is not",
                "leave `feed` out, or say `derived` in the contract",
            )),
            Feed::Snapshot if !is_reference_at_times(contract) => Some((
                "a `snapshot` is the whole set at fixed times: it yields neither events nor state as it changes",
                "let the contract have `reference` with a `cadence` and neither `events` nor `state`, or feed it in another way",
            )),
            _ => None,
        };
        findings.extend(wrong.map(|(message, help)| {
            FEED_FITS_CONTRACT
                .finding(publication.path().key("feed"), message)
                .help(help)
                .note(contract.path().the_key(), "the contract")
                .owed_by(&publication.contract.context)
        }));
    }
    findings
}

fn is_reference_at_times(contract: &Contract) -> bool {
    let at_times = |terms: &seamline_contract::channel::ChannelTerms| terms.cadence != Cadence::Continuous;
    contract.reference.as_ref().is_some_and(at_times) && contract.events.is_none() && contract.state.is_none()
}
