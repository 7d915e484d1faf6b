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
    (
        "tombstones: 14d",
        "tombstones: 14d, compatibility: full",
        "additive GUARANTEE guarantees.state.compatibility compatibility",
    ),
    (
        "lateness: 1h",
        "lateness: 1h, compatibility: full",
        "additive GUARANTEE guarantees.events.compatibility compatibility",
    ),
    (
        "guarantees: { events",
        "guarantees: { requests: { freshness: 5s }, events",
        "additive GUARANTEE guarantees.requests.freshness freshness",
    ),
    ("state: {}", "state: {}\ncommands: { limit: 512KiB }", "breaking GUARANTEE commands limit"),
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

/// Expects that these changes of a file, the text before and after, are exactly this.
fn check_file(name: &str, (from, to): (&str, &str), expected: &[&str]) {
    let with = |text: &str| {
        let mut files = files(CONTRACT);
        files.insert(DocumentId(name.to_owned()), text.to_owned());
        estate(&files)
    };
    let lines: Vec<String> = diff(&Sides::new(&with(from), &with(to))).changes.iter().map(told).collect();
    assert_eq!(lines, expected, "{name}");
}

#[test]
fn what_is_promised_to_be_readable_both_ways_may_not_become_narrower() {
    let full = CONTRACT.replace("tombstones: 14d", "tombstones: 14d, compatibility: full");
    let changed = |from: &str, to: &str| {
        assert!(full.contains(from), "{from}");
        full.replace(from, to)
    };
    let new = "  note: {";
    for (text, expected) in [
        (
            changed(new, "  extra: { type: string, optional: true, meaning: More. }\n  note: {"),
            "additive SHAPE extra -",
        ),
        (changed(new, "  extra: { type: string, meaning: More. }\n  note: {"), "breaking SHAPE extra -"),
        (changed("optional: true, ", ""), "breaking SHAPE note optional"),
        (changed("length: 80", "length: 60"), "breaking SHAPE holder length"),
        (changed("with: [coverFrom]", "with: [coverFrom, note]"), "breaking SHAPE PolicyBound with"),
    ] {
        check_file(POLICY, (&full, &text), &[expected]);
    }
}

#[test]
fn reference_data_is_promised_anew() {
    let plain = CONTRACT.replace("state: {}\n", "state: {}\nreference: {}\n");
    let promised = |reference: &str| {
        let guarantees = format!("guarantees: {{ reference: {reference}, events");
        plain.replace("guarantees: { events", &guarantees)
    };
    let (one, two) = (promised("{ freshness: 1d, sets: 3 }"), promised("{ freshness: 2d }"));
    check_file(
        POLICY,
        (&one, &two),
        &[
            "breaking GUARANTEE guarantees.reference.freshness freshness",
            "breaking GUARANTEE guarantees.reference.sets sets",
        ],
    );
    check_file(
        POLICY,
        (&plain, &two),
        &[
            "additive GUARANTEE guarantees.reference.freshness freshness",
            "additive GUARANTEE guarantees.reference.sets sets",
        ],
    );
}

#[test]
fn what_an_answer_says_is_told_under_its_command() {
    let with = |details: &str| {
        let command = format!(
            "state: {{}}\ncommands:\n  Mend:\n    meaning: Asks for it.\n    for: [claims]\n    outcomes: {{ done: {{ meaning: It is., details: {{ {details} }} }} }}\n"
        );
        CONTRACT.replace("state: {}\n", &command)
    };
    let one = with("at: { type: timestamp, meaning: When. }");
    check_file(POLICY, (&one, &with("")), &["breaking SHAPE Mend outcomes"]);
    check_file(POLICY, (&with(""), &one), &["additive SHAPE Mend outcomes"]);
}

#[test]
fn a_detail_of_a_row_change_that_is_mapped_otherwise_is_unhandled() {
    let with = |details: &str| {
        format!(
            "apiVersion: seamline/v1\nkind: Publication\ncontract: policy\nsystem: core\ntable: t\nfeed: cdc\nuntil: 2027-12-31\nevents: {{ PolicyBound: {{ when: before == null, details: {{ {details} }} }} }}\n"
        )
    };
    let (one, two) = (with("agent: row.AGENT"), with("agent: row.BROKER"));
    let expected = "unhandled MEANING PolicyBound details";
    check_file("policies/policy.publication.yaml", (&one, &two), &[expected, expected]);
}

#[test]
fn a_shared_type_that_changes_is_told_of_each_attribute_of_it() {
    let contract = CONTRACT.replace(
        "  note: {",
        "  home: { type: geo.Place, meaning: Where., meanings: { city: Register. } }\n  note: {",
    );
    let with = |length: u8| {
        let mut files = files(&contract);
        let types = format!(
            "apiVersion: seamline/v1\nkind: Types\ntypes:\n  Place: {{ type: object, attributes: {{ city: {{ type: string, length: {length} }} }} }}\n"
        );
        files.insert(DocumentId("geo.types.yaml".to_owned()), types);
        estate(&files)
    };
    let lines: Vec<String> = diff(&Sides::new(&with(80), &with(90))).changes.iter().map(told).collect();
    assert_eq!(lines, ["breaking SHAPE home.city length"]);
}

#[test]
fn standards_waivers_and_migrations_differ_field_by_field() {
    let standard = "apiVersion: seamline/v1\nkind: Standard\nowner: architecture\nmeaning: A key.\nfor: contract\nmust: contract.key != []\n";
    let other = standard.replace("architecture", "security").replace("must:", "level: warn\nmust:");
    check_file(
        "a.standard.yaml",
        (standard, &other),
        &["additive OWNERSHIP the whole owner", "additive GUARANTEE the whole level"],
    );
    let waiver = "apiVersion: seamline/v1\nkind: Waiver\nrule: KEY_HOLDS_NO_PII\nscope: policies\nbecause: It is so.\napprover: architecture\nuntil: 2027-03-31\n";
    let other = waiver.replace("2027", "2028").replace("It is so.", "It was so.");
    check_file(
        "a.waiver.yaml",
        (waiver, &other),
        &["editorial MEANING the whole because", "additive GUARANTEE the whole until"],
    );
    let migration = "apiVersion: seamline/v1\nkind: Migration\nmeaning: The copy goes.\ncontract: policies/policy@1\nlegacy: { path: batch, meaning: Every night., table: etl }\nconsumers:\n  - subscription: cover\n    stage: mapped\n    key: { policy_no: POL_NO }\n    compare: { is_covered: S == 'A' }\n    gates: { parity: 99% over 1d, approval: [claims] }\n";
    let other =
        migration.replace("mapped", "dualRun").replace("99%", "98%").replace("table: etl", "table: etl2");
    check_file(
        "claims/etl.migration.yaml",
        (migration, &other),
        &[
            "editorial CHANNEL the whole table",
            "additive CHANNEL consumer cover stage",
            "additive GUARANTEE consumer cover gates",
            "additive GUARANTEE consumer cover gates",
        ],
    );
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
