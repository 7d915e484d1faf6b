//! What two texts of an estate differ in, what it does to readers, and whom it breaks.

use crate::pages::{Files, in_the_examples_estate};
use seamline_contract::estate::Estate;
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::diff::change::{Bump, Change, Effect};
use seamline_rules::diff::impact::impacts;
use seamline_rules::diff::verdict::findings;
use seamline_rules::diff::{Diff, Sides, diff};
use std::collections::BTreeSet;

const POLICY: &str = "policies/policy.contract.yaml";
const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
version: 1.2.0
status: active
meaning: Where a policy stands in its life.
key: policyId
classification: internal
attributes:
  policyId: { type: string, meaning: 'Identifies a policy for life.' }
  cover: { type: enum, meaning: 'Whether cover is given.', values: { given: 'It is.', none: 'It is not.' }, moves: [-> given, given -> none] }
  coverFrom: { type: date, meaning: 'First day of cover.', zone: UTC }
  premium: { type: 'decimal(12,2)', unit: EUR, meaning: 'Agreed for a year.', min: '0', max: '1000000' }
  holder: { type: string, meaning: 'Legal name.', classification: pii, purposes: [claims-handling], length: 80 }
  note: { type: string, optional: true, meaning: 'What the clerk wrote.', pattern: '[a-z]*' }
invariants: { someCover: 'cover != null' }
events:
  PolicyBound: { meaning: 'Cover begins.', becomes: { cover: given }, with: [coverFrom], sets: [premium] }
  PolicyEnded: { meaning: 'Cover ends.', becomes: { cover: none }, reasons: { LAPSED: 'Nobody paid.' } }
views:
  short: { for: [claims], only: [cover, coverFrom], events: [PolicyEnded] }
state: {}
guarantees: { events: { retention: 90d, replay: auditState, lateness: 1h }, state: { freshness: 1m, tombstones: 14d } }
reconciliation: { every: 15m, countBy: cover, page: 10 rows, warn: 5 rows, runbook: runbooks/policy.md }
";
const COVER: &str = "apiVersion: seamline/v1
kind: Subscription
contract: policies/policy@1
purpose: claims-handling
reactsTo: [PolicyEnded]
needs: { freshness: 5m, because: 'A caller waits.' }
into:
  system: claims-db
  table: cover
  columns:
    policy_no: policyId
    is_covered: { is: \"cover == 'given'\", meaning: 'A claim may be opened.' }
reconciliation: { every: 1h, page: 1 row }
";

fn files(contract: &str) -> Files {
    let mut files = in_the_examples_estate(Files::new());
    files.insert(DocumentId(POLICY.to_owned()), contract.to_owned());
    files.insert(DocumentId("claims/cover.subscription.yaml".to_owned()), COVER.to_owned());
    files
}

fn estate(files: &Files) -> Estate {
    let reading = read_estate(files, DocumentId("seamline.yaml".to_owned()));
    let errors: Vec<_> = reading.findings.iter().map(|finding| &finding.message).collect();
    assert!(errors.is_empty(), "{errors:?}");
    reading.estate
}

/// Replaces texts that stand once in the contract.
fn edited(edits: &[(&str, &str)]) -> Estate {
    let mut contract = CONTRACT.to_owned();
    for (from, to) in edits {
        assert_eq!(contract.matches(from).count(), 1, "{from}");
        contract = contract.replace(from, to);
    }
    estate(&files(&contract))
}

fn told(change: &Change) -> String {
    let facet = if change.facet.is_empty() { "-" } else { change.facet };
    format!("{} {} {} {facet}", change.effect, change.aspect, change.target)
}

/// Expects that these edits change exactly this, as `effect ASPECT target facet`.
fn check(edits: &[(&str, &str)], expected: &[&str]) -> Diff {
    let found = diff(&Sides::new(&edited(&[]), &edited(edits)));
    let lines: Vec<String> = found.changes.iter().map(told).collect();
    assert_eq!(lines, expected, "{edits:?}");
    found
}

#[test]
fn an_estate_does_not_differ_from_itself() {
    let found = check(&[], &[]);
    assert!(found.contracts.is_empty());
}

/// One edit, and the one change that it is.
const CASES: &[(&str, &str, &str)] = &[
    // Shape.
    (
        "cover: given }, with: [coverFrom]",
        "cover: given }, with: [coverFrom, note]",
        "additive SHAPE PolicyBound with",
    ),
    ("with: [coverFrom], sets", "with: [], sets", "breaking SHAPE PolicyBound with"),
    ("type: 'decimal(12,2)'", "type: 'decimal(10,2)'", "additive SHAPE premium type"),
    ("type: 'decimal(12,2)'", "type: 'decimal(14,2)'", "breaking SHAPE premium type"),
    ("type: 'decimal(12,2)'", "type: 'decimal(12,3)'", "breaking SHAPE premium type"),
    ("optional: true, ", "", "additive SHAPE note optional"),
    ("type: date, ", "type: date, optional: true, ", "breaking SHAPE coverFrom optional"),
    ("none: 'It is not.'", "none: 'It is not.', held: 'Waits.'", "breaking SHAPE cover.held -"),
    ("min: '0'", "min: '1'", "additive SHAPE premium min"),
    ("min: '0'", "min: '-1'", "breaking SHAPE premium min"),
    ("max: '1000000'", "max: '10000000'", "breaking SHAPE premium max"),
    ("length: 80", "length: 60", "additive SHAPE holder length"),
    ("length: 80", "length: 100", "breaking SHAPE holder length"),
    (", pattern: '[a-z]*'", "", "breaking SHAPE note pattern"),
    ("type: string, optional", "type: string, length: 9, optional", "additive SHAPE note length"),
    // Meaning.
    ("'First day of cover.'", "'First day a claim may be made for.'", "unhandled MEANING coverFrom meaning"),
    ("given: 'It is.'", "given: 'It is, and paid.'", "unhandled MEANING cover.given meaning"),
    ("'Cover ends.'", "'Cover ends at midnight.'", "unhandled MEANING PolicyEnded meaning"),
    ("'Nobody paid.'", "'Two letters had no answer.'", "unhandled MEANING PolicyEnded reasons"),
    ("unit: EUR", "unit: CHF", "breaking MEANING premium unit"),
    ("zone: UTC", "zone: Europe/Berlin", "breaking MEANING coverFrom zone"),
    ("[-> given, given -> none]", "[-> given, given -> none, none -> given]", "breaking MEANING cover moves"),
    ("[-> given, given -> none]", "[-> given]", "additive MEANING cover moves"),
    (
        "becomes: { cover: given }",
        "becomes: { cover: [given, none] }",
        "breaking MEANING PolicyBound becomes",
    ),
    ("sets: [premium]", "sets: [premium, note]", "additive MEANING PolicyBound sets"),
    ("becomes: { cover: none }", "becomes: { cover: none }, ends: true", "breaking MEANING PolicyEnded ends"),
    (
        "LAPSED: 'Nobody paid.'",
        "LAPSED: 'Nobody paid.', FRAUD: 'It was a lie.'",
        "breaking MEANING PolicyEnded reasons",
    ),
    (
        "meaning: 'Cover begins.'",
        "meaning: 'Cover begins.', effective: coverFrom",
        "breaking MEANING PolicyBound effective",
    ),
    (
        "Where a policy stands in its life.",
        "Where a policy stands. Nothing of payments.",
        "additive MEANING the whole meaning",
    ),
    // Guarantee.
    ("retention: 90d", "retention: 30d", "breaking GUARANTEE guarantees.events.retention retention"),
    ("retention: 90d", "retention: 400d", "additive GUARANTEE guarantees.events.retention retention"),
    ("replay: auditState", "replay: currentState", "breaking GUARANTEE guarantees.events.replay replay"),
    (", lateness: 1h", "", "breaking GUARANTEE guarantees.events.lateness lateness"),
    ("lateness: 1h", "lateness: 1h p99.9", "additive GUARANTEE guarantees.events.lateness lateness"),
    ("freshness: 1m", "freshness: 2m", "breaking GUARANTEE guarantees.state.freshness freshness"),
    ("freshness: 1m", "freshness: 1m p90", "breaking GUARANTEE guarantees.state.freshness freshness"),
    ("tombstones: 14d", "tombstones: 7d", "breaking GUARANTEE guarantees.state.tombstones tombstones"),
    ("status: active", "status: deprecated", "additive GUARANTEE the whole status"),
    ("status: active", "status: retired", "breaking GUARANTEE the whole status"),
    ("'cover != null'", "'coverFrom != null'", "breaking GUARANTEE invariant someCover -"),
    ("state: {}", "state: { limit: 512KiB }", "breaking GUARANTEE state limit"),
    ("state: {}", "state: { cadence: hourly :05 }", "breaking GUARANTEE state cadence"),
    // Privacy.
    (
        "type: date, ",
        "type: date, classification: confidential, ",
        "breaking PRIVACY coverFrom classification",
    ),
    ("classification: pii", "classification: confidential", "additive PRIVACY holder classification"),
    ("purposes: [claims-handling], ", "", "additive PRIVACY holder purposes"),
    ("type: date, ", "type: date, purposes: [claims-handling], ", "breaking PRIVACY coverFrom purposes"),
    ("only: [cover, coverFrom]", "only: [cover]", "breaking PRIVACY view/short only"),
    ("only: [cover, coverFrom]", "only: [cover, coverFrom, premium]", "additive PRIVACY view/short only"),
    ("key: policyId\n", "key: policyId\nsubject: holder\n", "additive PRIVACY the whole subject"),
    ("state: {}", "state: { for: [claims] }", "breaking PRIVACY state for"),
    // Reconciliation.
    ("every: 15m", "every: 1h", "breaking RECONCILIATION the whole every"),
    ("every: 15m", "every: 5m", "additive RECONCILIATION the whole every"),
    ("countBy: cover, ", "", "additive RECONCILIATION the whole countBy"),
    ("page: 10 rows", "page: 1 row", "additive RECONCILIATION the whole page"),
    ("page: 10 rows", "page: 100 rows", "breaking RECONCILIATION the whole page"),
    ("page: 10 rows", "page: 1% of rows", "breaking RECONCILIATION the whole page"),
    ("warn: 5 rows, ", "", "editorial RECONCILIATION the whole warn"),
    (
        "runbook: runbooks/policy.md",
        "runbook: runbooks/other.md",
        "editorial RECONCILIATION the whole runbook",
    ),
    ("warn: 5 rows, ", "warn: 5 rows, repair: manual, ", "breaking RECONCILIATION the whole repair"),
    // Channel.
    (
        "views:\n  short:",
        "views:\n  long: { for: [claims], only: [cover] }\n  short:",
        "additive CHANNEL view/long -",
    ),
    ("events: [PolicyEnded] }", "events: [PolicyEnded], state: false }", "breaking CHANNEL view/short state"),
    ("events: [PolicyEnded] }", "events: [PolicyEnded, PolicyBound] }", "additive CHANNEL view/short events"),
    ("state: {}", "state: {}\nreference: {}", "additive CHANNEL reference -"),
    ("key: policyId\n", "key: policyId\nexpect: { rows: 2M }\n", "additive CHANNEL the whole rows"),
];

#[test]
fn each_change_is_what_it_does_to_readers() {
    for (from, to, expected) in CASES {
        check(&[(*from, *to)], &[expected]);
    }
}

#[test]
fn backwards_the_same_changed_with_what_came_and_went_exchanged() {
    let sides = |change: &Change| {
        let text = |side: &Option<_>| {
            side.as_ref().map(|side: &seamline_rules::diff::change::Side| side.text.clone())
        };
        (
            change.target.to_string(),
            change.facet,
            change.aspect.to_string(),
            text(&change.old),
            text(&change.new),
        )
    };
    let whole = edited(&[]);
    for (from, to, _) in CASES {
        let other = edited(&[(*from, *to)]);
        let forth: BTreeSet<_> = diff(&Sides::new(&whole, &other)).changes.iter().map(sides).collect();
        let back: BTreeSet<_> = diff(&Sides::new(&other, &whole)).changes.iter().map(sides).collect();
        let exchanged: BTreeSet<_> = back
            .into_iter()
            .map(|(target, facet, aspect, old, new)| (target, facet, aspect, new, old))
            .collect();
        assert_eq!(forth, exchanged, "{from} {to}");
    }
}

const WORDS: (&str, &str) = ("'First day of cover.'", "'First day a claim may be made for.'");

fn declared(version: &str, change: &str) -> [(&'static str, String); 2] {
    let changes =
        format!("state: {{}}\nchanges:\n  - {{ version: {version}, {change}, because: 'It was asked.' }}");
    [("version: 1.2.0", format!("version: {version}")), ("state: {}", changes)]
}

/// Returns the rules that stop these edits, under a version with one declared change.
fn stopped(edits: &[(&str, &str)], version: &str, change: &str) -> Vec<String> {
    let declared = declared(version, change);
    let mut all: Vec<(&str, &str)> = edits.to_vec();
    all.extend(declared.iter().map(|(from, to)| (*from, to.as_str())));
    let (old, new) = (edited(&[]), edited(&all));
    let found = diff(&Sides::new(&old, &new));
    let impacts = impacts(&Sides::new(&old, &new), &found);
    findings(&found, &impacts).iter().map(|finding| format!("{} {}", finding.level, finding.rule)).collect()
}

#[test]
fn words_are_what_is_declared_of_them() {
    assert_eq!(stopped(&[WORDS], "1.2.1", "clarified: coverFrom"), [""; 0]);
    assert_eq!(stopped(&[WORDS], "1.3.0", "refined: coverFrom"), [""; 0]);
    assert_eq!(stopped(&[WORDS], "1.2.1", "refined: coverFrom"), ["error VERSION_COVERS_CHANGES"]);
    assert_eq!(
        stopped(&[WORDS], "1.3.0", "clarified: premium"),
        ["error WORDS_DECLARED", "error DECLARED_IS_TRUE", "error VERSION_COVERS_CHANGES"]
    );
}

#[test]
fn what_is_declared_is_held_against_the_rest() {
    let unit = ("unit: EUR", "unit: CHF");
    let words = ("'Agreed for a year.'", "'Agreed for twelve months.'");
    let lies = stopped(&[words, unit], "1.2.1", "clarified: premium");
    assert_eq!(lies, ["error DECLARED_IS_TRUE", "error VERSION_COVERS_CHANGES"]);
    let value = ("none: 'It is not.'", "none: 'It is not.', held: 'Waits.'");
    assert!(stopped(&[value], "1.3.0", "refined: cover").contains(&"error DECLARED_IS_TRUE".to_owned()));
    assert!(stopped(&[], "1.3.0", "added: note").contains(&"error DECLARED_IS_TRUE".to_owned()));
    assert_eq!(
        stopped(
            &[("retention: 90d", "retention: 400d")],
            "1.3.0",
            "strengthened: guarantees.events.retention"
        ),
        [""; 0]
    );
    assert_eq!(
        stopped(&[("retention: 90d", "retention: 400d")], "1.3.0", "deprecated: note"),
        ["error DECLARED_IS_TRUE", "advice CHANGE_DECLARED"]
    );
}

#[test]
fn a_new_name_is_the_same_attribute() {
    let renamed = ("  note: {", "  remark: {");
    let changes = declared("2.0.0", "renamed: { note: remark }");
    let edits = [renamed, (changes[0].0, &changes[0].1), (changes[1].0, &changes[1].1)];
    let lines: Vec<String> =
        diff(&Sides::new(&edited(&[]), &edited(&edits))).changes.iter().map(told).collect();
    assert_eq!(lines, ["breaking CHANNEL the whole major", "breaking SHAPE remark name"]);
    let undeclared: Vec<String> =
        diff(&Sides::new(&edited(&[]), &edited(&[renamed]))).changes.iter().map(told).collect();
    assert_eq!(undeclared, ["breaking SHAPE note -", "additive SHAPE remark -"]);
}

#[test]
fn a_breaking_change_names_whom_it_breaks_and_by_what() {
    let by = |edit: (&str, &str)| -> Vec<String> {
        let (old, new) = (edited(&[]), edited(&[edit]));
        let found = diff(&Sides::new(&old, &new));
        impacts(&Sides::new(&old, &new), &found)
            .into_iter()
            .map(|it| format!("{} {}: {}", it.subscription, it.fate, it.by.join(", ")))
            .collect()
    };
    let value = ("none: 'It is not.'", "none: 'It is not.', held: 'Waits.'");
    assert_eq!(
        by(value),
        ["claims/cover breaks: the reaction to `PolicyEnded`, the translated column `is_covered`"]
    );
    assert_eq!(
        by(("given: 'It is.'", "given: 'It is, and paid.'")),
        [
            "claims/cover must read it and accept it: the reaction to `PolicyEnded`, the translated column `is_covered`"
        ]
    );
    assert_eq!(by(("unit: EUR", "unit: CHF")), [""; 0], "it does not use the premium");
    assert_eq!(by(("freshness: 1m", "freshness: 10m")), ["claims/cover breaks: `needs.freshness`"]);
    assert_eq!(by(("freshness: 1m", "freshness: 2m")), [""; 0], "it is fresh enough still");
}

#[test]
fn what_is_not_promised_yet_may_change_as_it_likes() {
    let old = edited(&[("status: active", "status: draft")]);
    let new = edited(&[("status: active", "status: draft"), ("unit: EUR", "unit: CHF")]);
    let found = diff(&Sides::new(&old, &new));
    assert_eq!(found.contracts[0].required, Bump::None);
    assert_eq!(found.changes[0].effect, Effect::Breaking);
}
