//! A consumer reads only what it is entitled to.

use crate::review::Review;
use crate::rule::{Category, Rule};
use crate::uses::Reading;
use seamline_contract::channel::ChannelKind;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::ContextId;
use seamline_contract::path::ModelPath;
use seamline_contract::resolve::ResolvedContract;

/// The view or channel a consumer reads is for its context.
pub(crate) const READER_ENTITLED: Rule = Rule {
    id: "READER_ENTITLED",
    category: Category::Privacy,
    level: Level::Error,
    reason: "Access is granted from the contracts: what names no reader lets none in, and what names all hides none.",
    check: reader_entitled,
};

fn reader_entitled(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for reading in &review.readings {
        let Some(contract) = reading.contract else { continue };
        let reader = &reading.subscription.name.context;
        if *reader == contract.contract.name.context {
            continue;
        }
        findings.extend(on_channels(reading, contract));
        for (idx, name) in reading.subscription.sends.iter().enumerate() {
            let Some(command) = contract.contract.commands.iter().find(|it| it.name == *name) else {
                continue;
            };
            if !command.senders.contains(reader) {
                let at = reading.subscription.path().key("sends").index(idx);
                let note = contract.contract.path().key("commands").key(name).key("for");
                findings.push(refused(reader, contract, &format!("command `{name}`"), at, note));
            }
        }
    }
    findings
}

fn on_channels(reading: &Reading<'_>, contract: &ResolvedContract) -> Vec<Finding> {
    let subscription = reading.subscription;
    let reader = &subscription.name.context;
    let Ok(view) = contract.view(subscription.view.as_ref()) else { return Vec::new() };
    let top = contract.contract.path();
    if let Some(view) = view {
        if view.readers.contains(reader) {
            return Vec::new();
        }
        let note = top.key("views").key(&view.id).key("for");
        let what = format!("view `{}`", view.id);
        return vec![refused(reader, contract, &what, subscription.path().key("view"), note)];
    }
    let mut findings = Vec::new();
    for channel in &reading.uses.channels {
        let (name, terms) = match channel.kind {
            ChannelKind::Events => ("events", contract.contract.events.as_ref().map(|events| &events.terms)),
            ChannelKind::State => ("state", contract.contract.state.as_ref()),
        };
        let Some(terms) = terms else { continue };
        if !contract.entitles(reader, terms) {
            let what = format!("channel `{name}`");
            let (channel, at) = (top.clone().key(name), subscription.path().key("contract"));
            findings.push(match &terms.readers {
                None => unnamed(reader, contract, &what, at, channel),
                Some(_) => refused(reader, contract, &what, at, channel.key("for")),
            });
        }
    }
    findings
}

/// A channel without `for` lets nobody in, since something of the contract is not for everybody.
fn unnamed(
    reader: &ContextId,
    contract: &ResolvedContract,
    what: &str,
    at: ModelPath,
    channel: ModelPath,
) -> Finding {
    let owner = &contract.contract.name.context;
    let message = format!(
        "{what} of `{}` is not for `{reader}`: it names no reader, and attributes of the contract are above `internal`",
        contract.contract.reference()
    );
    READER_ENTITLED
        .finding(at, message)
        .help(format!("name a view that is, or ask `{owner}` to name `{reader}` there under `for`"))
        .note(channel, "no `for`")
        .owed_by(reader)
}

fn refused(
    reader: &ContextId,
    contract: &ResolvedContract,
    what: &str,
    at: ModelPath,
    note: ModelPath,
) -> Finding {
    let owner = &contract.contract.name.context;
    READER_ENTITLED
        .finding(at, format!("{what} of `{}` is not for `{reader}`", contract.contract.reference()))
        .help(format!("name a view that is, or ask `{owner}` to add `{reader}` to `for`"))
        .note(note, "who may")
        .owed_by(reader)
}
