//! The cases that a check of the source link makes. Pure.

use crate::auditor::Gap;
use crate::case::{CaseKind, NewCase};
use crate::custody::source::SourceCheck;
use crate::pattern::{Pattern, patterns};
use seamline_message::key::RecordKey;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Returns one case for each kind of thing that is wrong with a contract at its source.
pub fn cases(check: &SourceCheck) -> Vec<NewCase> {
    let subject = check.contract.to_string();
    let case = |kind: CaseKind, summary: String, details: serde_json::Value| NewCase {
        kind,
        fingerprint: format!("{}/source/{subject}", kind.word()),
        subject: subject.clone(),
        owed_by: check.contract.name.context.clone(),
        summary,
        details: details.to_string(),
    };
    let mut cases = Vec::new();
    let mut kinds: BTreeMap<String, BTreeSet<&RecordKey>> = BTreeMap::new();
    for drift in check.reports.iter().flat_map(|report| &report.drifts) {
        kinds.entry(drift.kind.to_string()).or_default().extend(drift.key.as_ref().ok());
    }
    if !kinds.is_empty() {
        let counts: Vec<String> = kinds.iter().map(|(kind, keys)| format!("{} {kind}", keys.len())).collect();
        let summary = format!("source and log differ: {}", counts.join(", "));
        let drifts = check.reports.iter().flat_map(|report| &report.drifts);
        let found: Vec<_> = patterns(drifts).iter().map(Pattern::document).collect();
        cases.push(case(CaseKind::Drift, summary, json!({ "patterns": found })));
    }
    if !check.gaps.is_empty() {
        let lost = |gap: &Gap| json!({ "channel": gap.channel, "key": gap.key.as_str(), "missing": gap.missing.to_string() });
        let first: Vec<serde_json::Value> = check.gaps.iter().take(20).map(lost).collect();
        let summary = format!("{} events are in no record", check.gaps.len());
        cases.push(case(CaseKind::Chain, summary, json!({ "events": first })));
    }
    if !check.foreign.is_empty() {
        let summary = format!("{} records in the log were written by no relay", check.foreign.len());
        let first: Vec<&String> = check.foreign.iter().take(20).collect();
        cases.push(case(CaseKind::Quarantine, summary, json!({ "records": first })));
    }
    let named = |keys: &BTreeSet<(String, RecordKey)>| -> Vec<serde_json::Value> {
        keys.iter().take(20).map(|(topic, key)| json!({ "topic": topic, "key": key.as_str() })).collect()
    };
    if !check.conflicts.is_empty() || !check.disordered.is_empty() {
        let (two, back) = (check.conflicts.len(), check.disordered.len());
        let summary =
            format!("{two} keys have one sequence with two contents, {back} an event after a later one");
        let details = json!({ "conflicts": named(&check.conflicts), "disordered": named(&check.disordered) });
        cases.push(case(CaseKind::Conflict, summary, details));
    }
    if check.missing != 0 {
        let summary = format!("{} outbox rows are unaccounted for", check.missing);
        cases.push(case(CaseKind::Accounting, summary, json!({ "missing": check.missing.to_string() })));
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::cases;
    use crate::case::CaseKind;
    use crate::custody::source::SourceCheck;
    use seamline_message::key::RecordKey;
    use std::collections::BTreeSet;

    #[test]
    fn two_contents_and_a_fallen_order_are_a_case_and_nothing_is_none() {
        let mut check = SourceCheck {
            contract: "policy-administration/policy@2".parse().unwrap(),
            reports: Vec::new(),
            gaps: Vec::new(),
            missing: 0,
            awaiting_backfill: 0,
            foreign: Vec::new(),
            conflicts: BTreeSet::new(),
            disordered: BTreeSet::new(),
            cases: Vec::new(),
        };
        assert_eq!(cases(&check), []);
        let at = ("topic".to_owned(), RecordKey::from_texts(&["a".to_owned()]));
        check.conflicts.insert(at.clone());
        check.disordered.insert(at);
        let made = cases(&check);
        let named: Vec<_> = made.iter().map(|case| (case.kind, case.fingerprint.as_str())).collect();
        assert_eq!(named, [(CaseKind::Conflict, "conflict/source/policy-administration/policy@2")]);
        assert!(made[0].details.contains(r#""topic":"topic""#), "{}", made[0].details);
    }
}
