//! A replay yields what its channel and its eras can give, and no more.

use crate::review::{Review, listed};
use crate::rule::{Category, Rule};
use crate::uses::Reading;
use seamline_contract::channel::{ChannelKind, Replay};
use seamline_contract::contract::Serves;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::{AttributeName, ContractRef, Major};
use seamline_contract::resolve::ResolvedContract;
use std::collections::BTreeSet;

/// Audit state is never expected of a compacted channel.
pub(crate) const COMPACTED_YIELDS_NO_AUDIT: Rule = Rule {
    id: "COMPACTED_YIELDS_NO_AUDIT",
    category: Category::Guarantee,
    level: Level::Error,
    reason: "Compaction throws away what was; whoever replays the rest sees each key as it is, never as it became so.",
    check: compacted_yields_no_audit,
};

fn compacted_yields_no_audit(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for contract in review.living() {
        let state = contract.guarantees.state.as_ref();
        if state.is_some_and(|state| state.replay == Replay::AuditState) {
            findings.push(
                COMPACTED_YIELDS_NO_AUDIT
                    .finding(
                        contract.path().key("guarantees").key("state").key("replay"),
                        "`state` is compacted, and cannot yield `auditState`",
                    )
                    .help("promise `currentState` here, and `auditState` of `events`")
                    .owed_by(&contract.name.context),
            );
        }
    }
    for reading in &review.readings {
        let (subscription, Some(contract)) = (reading.subscription, reading.contract) else { continue };
        let audits = subscription.needs.as_ref().and_then(|needs| needs.replay) == Some(Replay::AuditState);
        let only_state = !reading.uses.channels.is_empty()
            && reading.uses.channels.iter().all(|channel| channel.kind == ChannelKind::State);
        // Where no events promise it, another rule speaks of the need.
        let promised =
            contract.contract.guarantees.events.as_ref().is_some_and(|it| it.replay == Replay::AuditState);
        if audits && only_state && promised && contract.contract.state.is_some() {
            findings.push(
                COMPACTED_YIELDS_NO_AUDIT
                    .finding(
                        subscription.path().key("needs").key("replay"),
                        "the table is filled from `state`, which cannot yield `auditState`",
                    )
                    .help("name the events under `reactsTo`, or need `currentState`")
                    .owed_by(&subscription.name.context),
            );
        }
    }
    findings
}

/// What a consumer replays is known in every era it reaches into.
pub(crate) const ERA_READS_WHAT_IS_USED: Rule = Rule {
    id: "ERA_READS_WHAT_IS_USED",
    category: Category::Guarantee,
    level: Level::Error,
    reason: "History that was written under an older major without a way to read it yields best effort, whatever is promised.",
    check: era_reads_what_is_used,
};

fn era_reads_what_is_used(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for reading in &review.readings {
        let (subscription, Some(contract)) = (reading.subscription, reading.contract) else { continue };
        let audits = subscription.needs.as_ref().and_then(|needs| needs.replay) == Some(Replay::AuditState);
        if !audits || contract.contract.frozen {
            continue;
        }
        for (idx, serves) in contract.contract.serves.iter().enumerate() {
            let unknown = unknown(review, reading, contract, serves);
            if unknown.is_empty() {
                continue;
            }
            findings.push(
                ERA_READS_WHAT_IS_USED
                    .finding(
                        subscription.path().key("needs").key("replay"),
                        format!(
                            "{} cannot be read from what was written under version {}: that part yields best effort only",
                            listed(&unknown),
                            serves.version
                        ),
                    )
                    .help(format!(
                        "ask `{}` for `read: {{ {}: … }}`, or need `currentState`",
                        contract.contract.name.context, unknown[0]
                    ))
                    .note(contract.contract.path().key("serves").index(idx).key("read"), "what can be read")
                    .owed_by(&subscription.name.context),
            );
        }
    }
    findings
}

/// Used attributes that the next newer major has, and that the older one neither has nor can be read into.
fn unknown(
    review: &Review<'_>,
    reading: &Reading<'_>,
    contract: &ResolvedContract,
    serves: &Serves,
) -> Vec<AttributeName> {
    let of = |major: Major| ContractRef { name: contract.contract.name.clone(), major };
    let Some(older) = review.resolved(&of(serves.version)) else { return Vec::new() };
    if older.contract.events.is_none() {
        return Vec::new();
    }
    let majors = contract.contract.serves.iter().map(|it| it.version);
    let next = majors.filter(|it| *it > serves.version).min();
    let newer = next.and_then(|next| review.resolved(&of(next))).unwrap_or(contract);
    let used: BTreeSet<&AttributeName> = reading.uses.attributes.iter().map(|path| path.first()).collect();
    let known = |name: &AttributeName, slot: usize| {
        let same = older
            .slot(name)
            .is_some_and(|at| older.attributes[at].shape.ty == newer.attributes[slot].shape.ty);
        same || serves.read.iter().any(|(read, _)| read == name)
    };
    let there = used.into_iter().filter_map(|name| Some((name, newer.slot(name)?)));
    there.filter(|(name, slot)| !known(name, *slot)).map(|(name, _)| name.clone()).collect()
}
