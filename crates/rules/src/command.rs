//! Commands ask their receiver; events tell what happened; a saga acts on what something became.

use crate::meaning::words;
use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::channel::Command;
use seamline_contract::contract::Contract;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::CommandName;
use std::collections::BTreeMap;

/// A command stands in the contract of who decides on it.
pub(crate) const COMMAND_BELONGS_TO_RECEIVER: Rule = Rule {
    id: "COMMAND_BELONGS_TO_RECEIVER",
    category: Category::Ownership,
    level: Level::Error,
    reason: "A command that its sender defines is an order nobody agreed to carry out.",
    check: command_belongs_to_receiver,
};

fn command_belongs_to_receiver(review: &Review<'_>) -> Vec<Finding> {
    let mut receivers: BTreeMap<&CommandName, Vec<(&Contract, &Command)>> = BTreeMap::new();
    for contract in review.living() {
        for command in &contract.commands {
            receivers.entry(&command.name).or_default().push((contract, command));
        }
    }
    let mut findings = Vec::new();
    for contract in review.living() {
        let owner = &contract.name.context;
        for command in &contract.commands {
            let at = contract.path().key("commands").key(&command.name);
            if let Some(idx) = command.senders.iter().position(|sender| sender == owner) {
                findings.push(
                    COMMAND_BELONGS_TO_RECEIVER
                        .finding(at.clone().key("for").index(idx), format!("`{owner}` sends `{}` to itself", command.name))
                        .help("write it into the contract of the context that decides on it, and name its senders under `for`")
                        .owed_by(owner),
                );
            }
            let receiver = receivers[&command.name]
                .iter()
                .find(|(other, command)| other.name.context != *owner && command.senders.contains(owner));
            if let Some((receiver, _)) = receiver {
                findings.push(
                    COMMAND_BELONGS_TO_RECEIVER
                        .finding(
                            at.the_key(),
                            format!("`{owner}` sends `{}`, and defines it as well", command.name),
                        )
                        .help("leave it to its receiver, and name it under `sends` in a subscription")
                        .note(receiver.path().key("commands").key(&command.name).the_key(), "its receiver's")
                        .owed_by(owner),
                );
            }
        }
    }
    findings
}

/// Who sends commands on events reacts to what something became.
pub(crate) const SAGA_REACTS_TO_BECOMES: Rule = Rule {
    id: "SAGA_REACTS_TO_BECOMES",
    category: Category::Exchange,
    level: Level::Error,
    reason: "A process that acts on an event must know which transition it was; a value that was set names none.",
    check: saga_reacts_to_becomes,
};

fn saga_reacts_to_becomes(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for reading in review.readings.iter().filter(|reading| !reading.subscription.sends.is_empty()) {
        let (subscription, Some(contract)) = (reading.subscription, reading.contract) else { continue };
        for (idx, name) in subscription.reacts_to.iter().enumerate() {
            let Some(event) = contract.contract.event(name) else { continue };
            if !event.becomes.is_empty() || event.ends {
                continue;
            }
            let there = contract.contract.path().key("events").key(name);
            findings.push(
                SAGA_REACTS_TO_BECOMES
                    .finding(
                        subscription.path().key("reactsTo").index(idx),
                        format!(
                            "`{}` sends commands, and `{name}` says of nothing what it becomes",
                            subscription.name
                        ),
                    )
                    .help(format!(
                        "react to a transition, or ask `{}` for one",
                        contract.contract.name.context
                    ))
                    .note(there.the_key(), "it only sets values")
                    .owed_by(&subscription.name.context),
            );
        }
    }
    findings
}

/// Words that begin an order.
const IMPERATIVES: [&str; 32] = [
    "add",
    "approve",
    "assign",
    "block",
    "calculate",
    "cancel",
    "change",
    "close",
    "confirm",
    "correct",
    "create",
    "delete",
    "do",
    "handle",
    "mark",
    "modify",
    "notify",
    "pay",
    "perform",
    "publish",
    "register",
    "reject",
    "remove",
    "reserve",
    "send",
    "set",
    "ship",
    "start",
    "stop",
    "submit",
    "sync",
    "update",
];

/// Participles that do not end with `ed`.
const IRREGULAR: [&str; 36] = [
    "become",
    "begun",
    "bound",
    "bought",
    "broken",
    "brought",
    "built",
    "chosen",
    "cut",
    "drawn",
    "fell",
    "fallen",
    "found",
    "frozen",
    "given",
    "held",
    "kept",
    "left",
    "lost",
    "made",
    "met",
    "paid",
    "put",
    "run",
    "sent",
    "set",
    "shut",
    "sold",
    "spent",
    "split",
    "taken",
    "told",
    "undone",
    "withdrawn",
    "won",
    "written",
];

/// An event's name tells what has happened.
pub(crate) const EVENT_IN_PAST_TENSE: Rule = Rule {
    id: "EVENT_IN_PAST_TENSE",
    category: Category::Exchange,
    level: Level::Warn,
    reason: "An event that is worded as an order is a command in disguise, with nobody who may refuse it.",
    check: event_in_past_tense,
};

fn event_in_past_tense(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        for event in contract.events.iter().flat_map(|events| &events.events) {
            if !orders(event.name.as_str()) {
                continue;
            }
            findings.push(
                EVENT_IN_PAST_TENSE
                    .finding(
                        contract.path().key("events").key(&event.name).the_key(),
                        format!("`{}` tells what to do, not what happened", event.name),
                    )
                    .help("name what has happened, as in `PolicySuspended`; what others are to do is a command of theirs")
                    .owed_by(&contract.name.context),
            );
        }
    }
    findings
}

/// Whether a name begins with an order and no later word tells that it was carried out.
fn orders(name: &str) -> bool {
    let words: Vec<String> = words(name).collect();
    let Some((first, rest)) = words.split_first() else { return false };
    let past = |word: &String| word.ends_with("ed") || IRREGULAR.contains(&word.as_str());
    IMPERATIVES.contains(&first.as_str()) && !rest.iter().any(past)
}

#[cfg(test)]
mod tests {
    use super::{IMPERATIVES, IRREGULAR, orders};

    #[test]
    fn an_order_is_told_from_what_happened() {
        for name in ["SendInvoice", "CorrectShippingAddress", "UpdateCustomer", "CancelOrder"] {
            assert!(orders(name), "{name}");
        }
        for name in [
            "PriceSet",
            "SetUpCompleted",
            "OrderPlaced",
            "PolicyBound",
            "ChangeRequested",
            "PremiumFellOverdue",
        ] {
            assert!(!orders(name), "{name}");
        }
    }

    #[test]
    fn words_stand_sorted() {
        assert!(IMPERATIVES.is_sorted());
        assert!(IRREGULAR.iter().all(|word| !word.ends_with("ed")));
    }
}
