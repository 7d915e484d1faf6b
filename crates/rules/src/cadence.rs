//! Comparing and calling fit what is promised.

use crate::review::Review;
use crate::rule::{Category, Rule};
use seamline_contract::contract::Reconciliation;
use seamline_contract::finding::{Finding, Level};
use seamline_contract::id::ContextId;
use seamline_contract::measure::{Count, Span, Threshold};
use seamline_contract::path::ModelPath;

/// A full pass may take this many times as long as a change may.
pub(crate) const CADENCE_TIMES_MAX: u128 = 500;

/// Above this share of rows nobody is called in time, in millionths.
pub(crate) const PAGE_SHARE_MAX_MILLIONTHS: u32 = 50_000;

/// Copies are compared as often as their freshness makes sense.
pub(crate) const CADENCE_FITS_FRESHNESS: Rule = Rule {
    id: "CADENCE_FITS_FRESHNESS",
    category: Category::Reconciliation,
    level: Level::Warn,
    reason: "Whoever is promised seconds and is told of a difference a day later was promised nothing.",
    check: cadence_fits_freshness,
};

/// What reconciles, and what of it is promised or needed.
struct Reconciled<'a> {
    top: ModelPath,
    owner: &'a ContextId,
    reconciliation: &'a Reconciliation,
    freshness: Option<(Span, ModelPath)>,
    rows: Option<Count>,
}

fn reconciled<'a>(review: &Review<'a>) -> Vec<Reconciled<'a>> {
    let mut all = Vec::new();
    for contract in review.living() {
        let Some(reconciliation) = &contract.reconciliation else { continue };
        let promised = contract.guarantees.state.as_ref().and_then(|state| state.freshness);
        let at = contract.path().key("guarantees").key("state").key("freshness");
        all.push(Reconciled {
            top: contract.path(),
            owner: &contract.name.context,
            reconciliation,
            freshness: promised.map(|within| (within.span, at)),
            rows: contract.expect.rows,
        });
    }
    for reading in &review.readings {
        let subscription = reading.subscription;
        let Some(reconciliation) = &subscription.reconciliation else { continue };
        let needed = subscription.needs.as_ref().and_then(|needs| needs.freshness);
        let at = subscription.path().key("needs").key("freshness");
        all.push(Reconciled {
            top: subscription.path(),
            owner: &subscription.name.context,
            reconciliation,
            freshness: needed.map(|within| (within.span, at)),
            rows: reading.contract.and_then(|contract| contract.contract.expect.rows),
        });
    }
    all
}

fn cadence_fits_freshness(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for it in reconciled(review) {
        let (Some(every), Some((freshness, at))) = (it.reconciliation.every, it.freshness) else { continue };
        if every.0.as_millis() <= freshness.0.as_millis().saturating_mul(CADENCE_TIMES_MAX) {
            continue;
        }
        findings.push(
            CADENCE_FITS_FRESHNESS
                .finding(
                    it.top.key("reconciliation").key("every"),
                    format!("a change takes `{freshness}`, and a difference is found after `{every}`"),
                )
                .help(format!(
                    "compare more often than {CADENCE_TIMES_MAX} times that, or ask for less freshness"
                ))
                .note(at, "how fresh")
                .owed_by(it.owner),
        );
    }
    findings
}

/// Somebody is told before somebody is called, and called before much is wrong.
pub(crate) const THRESHOLDS_CALL_IN_TIME: Rule = Rule {
    id: "THRESHOLDS_CALL_IN_TIME",
    category: Category::Reconciliation,
    level: Level::Warn,
    reason: "A threshold that always calls is switched off, and one that never calls was never on.",
    check: thresholds_call_in_time,
};

fn thresholds_call_in_time(review: &Review<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for it in reconciled(review) {
        let top = it.top.key("reconciliation");
        let mut say = |key: &str, message: String, help: &str| {
            let at = top.clone().key(key);
            findings.push(THRESHOLDS_CALL_IN_TIME.finding(at, message).help(help).owed_by(it.owner));
        };
        for (key, threshold) in [("page", it.reconciliation.page), ("warn", it.reconciliation.warn)] {
            match threshold {
                Some(Threshold::Rows(0) | Threshold::ShareMillionths(0)) => {
                    let message = format!("`{key}` is reached when nothing differs");
                    say(key, message, "begin with `1 row`");
                }
                Some(Threshold::ShareMillionths(share)) if share > PAGE_SHARE_MAX_MILLIONTHS => {
                    let message =
                        format!("nobody hears of it before {} differ", Threshold::ShareMillionths(share));
                    say(key, message, "name a share that the business would call an incident");
                }
                _ => {}
            }
        }
        let (Some(page), Some(warn)) = (it.reconciliation.page, it.reconciliation.warn) else { continue };
        if in_rows(warn, it.rows) >= in_rows(page, it.rows) {
            let message = format!("`warn` at {warn} comes no earlier than `page` at {page}");
            say("warn", message, "warn from less on, or leave it out");
        }
    }
    findings
}

/// A threshold in millionths of a row; shares of rows that nobody expects stay shares.
fn in_rows(threshold: Threshold, rows: Option<Count>) -> (bool, u128) {
    match (threshold, rows) {
        (Threshold::Rows(count), _) => (true, u128::from(count) * 1_000_000),
        (Threshold::ShareMillionths(share), Some(rows)) => (true, u128::from(share) * u128::from(rows.0)),
        (Threshold::ShareMillionths(share), None) => (false, u128::from(share)),
    }
}
