//! What a producer keeps for itself leaves it only through a mapping.

use crate::review::{Review, listed};
use crate::rule::{Category, Rule};
use seamline_contract::finding::{Finding, Level};
use seamline_contract::publication::Feed;

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
