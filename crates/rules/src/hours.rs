//! What is sent at hours leaves as a whole.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::channel::Cadence;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};

/// The channels of a contract have one cadence, those of the older majors that it serves, too.
pub(crate) const CHANNELS_LEAVE_TOGETHER: Rule = Rule {
    id: "CHANNELS_LEAVE_TOGETHER",
    category: Category::Exchange,
    level: Level::Error,
    reason: "One change goes to all channels of its contract, and cannot be sent and be kept back at once.",
    check: channels_leave_together,
};

fn channels_leave_together(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resolved in review.living_resolved() {
        let own = &resolved.contract;
        let served = resolved.served.iter().map(|served| &served.contract.contract);
        let all: Vec<_> = std::iter::once(own).chain(served).flat_map(channels).collect();
        let Some((first, rest)) = all.split_first() else { continue };
        for (contract, channel, cadence) in rest.iter().filter(|(.., cadence)| *cadence != first.2) {
            // The text of an older major is frozen: it is the newest that must follow.
            let of = if contract.version.major == own.version.major {
                String::new()
            } else {
                format!(" of the served version {}", contract.version)
            };
            findings.push(
                CHANNELS_LEAVE_TOGETHER
                    .finding(
                        own.path().key(first.1).the_key(),
                        format!(
                            "`{}` is {}, and `{channel}`{of} is {}",
                            first.1,
                            told(first.2),
                            told(cadence)
                        ),
                    )
                    .help("give all of them one cadence, or make of them two contracts")
                    .note(contract.path().key(channel).the_key(), "the other channel")
                    .owed_by(&own.name.context),
            );
        }
    }
    findings
}

fn channels(contract: &Contract) -> impl Iterator<Item = (&Contract, &'static str, &Cadence)> {
    let events = contract.events.as_ref().map(|events| (contract, "events", &events.terms.cadence));
    let state = contract.state.as_ref().map(|state| (contract, "state", &state.cadence));
    events.into_iter().chain(state)
}

fn told(cadence: &Cadence) -> String {
    match cadence {
        Cadence::Continuous => "sent as it happens".to_owned(),
        Cadence::At(text) => format!("sent `{text}`"),
    }
}
