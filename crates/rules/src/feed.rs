//! How changes get out: fitting what the contract says, and what a producer keeps for itself only through a mapping.

use crate::review::{Review, listed};
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
            Feed::Projections if contract.events.is_some() || contract.reference.is_some() => Some((
                "`projections` show what is, and not what happened: they feed neither events nor sets",
                "leave `events` and `reference` out of the contract, or let a service publish it with `feed: outbox`",
            )),
            Feed::Projections if contract.state.is_none() => Some((
                "`projections` feed state, and the contract has none",
                "add `state: {}` to the contract",
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

/// Events out of an internal store, or out of row changes, are mapped one by one.
pub(crate) const STORE_PUBLISHED_BY_MAPPING: Rule = Rule {
    id: "STORE_PUBLISHED_BY_MAPPING",
    category: Category::Exchange,
    level: Level::Error,
    reason: "An internal event store that is passed through makes every detail of the producer a promise to others.",
    check: store_published_by_mapping,
};

fn store_published_by_mapping(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for publication in &review.estate.publications {
        let fed = match publication.feed {
            Feed::Store => "an event store",
            Feed::Cdc => "row changes",
            Feed::Outbox | Feed::Snapshot | Feed::Projections => continue,
        };
        let owner = &publication.contract.context;
        for mapping in publication.events.iter().filter(|mapping| mapping.when.trim() == "true") {
            findings.push(
                STORE_PUBLISHED_BY_MAPPING
                    .finding(
                        publication.path().key("events").key(&mapping.event).key("when"),
                        format!("every change of {fed} becomes `{}`", mapping.event),
                    )
                    .help("say by which change it happens, as in `before == null`")
                    .owed_by(owner),
            );
        }
        let Some(contract) = review.current(&publication.contract) else { continue };
        let events = contract.events.iter().flat_map(|events| &events.events);
        let unmapped: Vec<_> = events
            .map(|event| &event.name)
            .filter(|name| !publication.events.iter().any(|mapping| mapping.event == **name))
            .collect();
        if unmapped.is_empty() {
            continue;
        }
        findings.push(
            STORE_PUBLISHED_BY_MAPPING
                .finding(
                    publication.path().key("feed"),
                    format!("nothing says by which change of {fed} {} happened", listed(&unmapped)),
                )
                .help(format!("add `events: {{ {}: {{ when: … }} }}`", unmapped[0]))
                .note(contract.path().key("events").the_key(), "what is promised")
                .owed_by(owner),
        );
    }
    findings
}
