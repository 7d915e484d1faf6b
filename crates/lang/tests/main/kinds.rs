//! The kinds beside contracts: what is read of them, and what is refused.

use crate::{CONTRACT, lines, read};
use seamline_contract::channel::Compatibility;
use seamline_contract::finding::Level;
use seamline_contract::migration::Stage;
use seamline_contract::waiver::Scope;

const WAIVER: &str = "\
apiVersion: seamline/v1
kind: Waiver
rule: KEY_HOLDS_NO_PII
scope: insurance/policy@2.policyId
because: The number is printed on every letter.
approver: architecture
until: 2027-03-31
";
const STANDARD: &str = "\
apiVersion: seamline/v1
kind: Standard
owner: data-protection
level: warn
meaning: Personal data has a purpose.
for: attribute
where: attribute.classification == 'pii'
must: attribute.purposes != null
fix: Name the purposes.
";
const MIGRATION: &str = "\
apiVersion: seamline/v1
kind: Migration
context: claims
meaning: The nightly copy goes.
contract: insurance/policy@2
legacy: { path: batch, meaning: Every night., system: claims-db, table: etl_policy, until: 2027-12-31 }
consumers:
  - subscription: cover
    stage: dualRun
    key: { policy_no: POL_NO }
    compare: { covered: STATUS == 'A' }
    gates: { parity: 99.9% over 13d, rollback: rehearsed, approval: [claims] }
";

#[test]
fn every_kind_of_the_language_is_read() {
    let reading =
        read(&[("w.waiver.yaml", WAIVER), ("s.standard.yaml", STANDARD), ("m.migration.yaml", MIGRATION)]);
    assert_eq!(lines(&reading), [""; 0]);
    let estate = reading.estate;
    assert!(matches!(estate.waivers[0].scope, Scope::Attribute(_)));
    assert_eq!(estate.standards[0].level, Level::Warn);
    let mover = &estate.migrations[0].consumers[0];
    assert_eq!(mover.stage, Stage::DualRun);
    let gates = mover.gates.as_ref().unwrap();
    assert_eq!(
        (gates.parity.to_string(), gates.unexplained.to_string()),
        ("99.9% over 13d".to_owned(), "0 rows".to_owned())
    );
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    for (name, text, from, to, expected) in [
        (
            "w.waiver.yaml",
            WAIVER,
            "because: The number is printed on every letter.",
            "because:",
            "5:1 LANGUAGE_REQUIRED nothing says why",
        ),
        ("w.waiver.yaml", WAIVER, "until: 2027-03-31\n", "", "1:1 LANGUAGE_REQUIRED a waiver has no `until`"),
        (
            "w.waiver.yaml",
            WAIVER,
            "2027-03-31",
            "soon",
            "7:8 LANGUAGE_VALUE `soon` is not a day such as `2027-03-31`",
        ),
        (
            "s.standard.yaml",
            STANDARD,
            "for: attribute",
            "for: attributes",
            "6:6 LANGUAGE_VALUE `attributes` is not one of context, contract, attribute, event, view, subscription, publication",
        ),
        (
            "s.standard.yaml",
            STANDARD,
            "must: attribute.purposes != null\n",
            "",
            "1:1 LANGUAGE_REQUIRED a standard has no `must`",
        ),
        (
            "m.migration.yaml",
            MIGRATION,
            "dualRun",
            "dualrun",
            "9:12 LANGUAGE_VALUE `dualrun` is not one of mapped, defined, dualRun, compared, cutOver, legacyOff",
        ),
        (
            "m.migration.yaml",
            MIGRATION,
            "key: { policy_no: POL_NO }",
            "key: {}",
            "10:5 LANGUAGE_REQUIRED `key` names no column",
        ),
        (
            "m.migration.yaml",
            MIGRATION,
            "table: etl_policy",
            "table: etl_policy, topic: t",
            "6:85 LANGUAGE_VALUE a legacy path ends in one place: `topic` is a second",
        ),
        ("m.migration.yaml", MIGRATION, "[claims]", "[]", "12:59 LANGUAGE_REQUIRED nobody approves"),
    ] {
        assert!(text.contains(from), "{from}");
        let reading = read(&[(name, text.replace(from, to).as_str())]);
        assert_eq!(lines(&reading), [format!("{name}:{expected}")]);
    }
}

#[test]
fn a_migration_and_a_subscription_of_one_name_are_twins() {
    let subscription = "apiVersion: seamline/v1\nkind: Subscription\ncontext: claims\ncontract: insurance/policy@2\npurpose: p\nsends: [Ask]\n";
    let reading = read(&[("m.migration.yaml", MIGRATION), ("m.subscription.yaml", subscription)]);
    let expected =
        "m.migration.yaml:1:1 LANGUAGE_IDENTITY the subscription or migration `claims/m` is written twice";
    assert_eq!(lines(&reading), [expected]);
}

#[test]
fn what_is_promised_of_every_channel_is_kept() {
    let text = CONTRACT.replace(
        "state: {}\n",
        "state: {}\nreference: { cadence: daily 06:00 UTC }\nrequests: {}\ncommands:\n  limit: 1KiB\n  Mend:\n    meaning: Asks for it.\n    for: [claims]\n    outcomes: { done: { meaning: It was done., details: { at: { type: timestamp, meaning: When. } } } }\nguarantees:\n  events: { ordering: perKey, retention: 30d, compatibility: full }\n  reference: { freshness: 1d, sets: 3 }\n  requests: { freshness: 5s, answer: 1s }\n  commands: { answer: 1m }\n",
    );
    let reading = read(&[("policy.contract.yaml", &text)]);
    assert_eq!(lines(&reading), [""; 0]);
    let contract = &reading.estate.contracts[0];
    let guarantees = &contract.guarantees;
    assert_eq!(guarantees.events.as_ref().unwrap().compatibility, Compatibility::Full);
    let reference = guarantees.reference.as_ref().unwrap();
    assert_eq!((reference.freshness.unwrap().to_string(), reference.sets), ("1d p99".to_owned(), 3));
    assert_eq!(guarantees.requests_freshness.unwrap().to_string(), "5s p99");
    assert_eq!(guarantees.requests_answer.unwrap().to_string(), "1s p99");
    assert_eq!(contract.command_terms.limit_bytes, 1024);
    assert_eq!(contract.commands[0].outcomes[0].details.len(), 1);
}

const PUBLICATION: &str = "\
apiVersion: seamline/v1
kind: Publication
context: insurance
contract: policy
system: core
table: policy
feed: cdc
until: 2027-12-31
columns: { claimsStatus: { is: \"STATUS == 'A' ? 'eligible' : 'ineligible'\" } }
events:
  PolicyBound: { when: before == null, effective: row.BOUND_AT, details: { agent: row.AGENT } }
";

#[test]
fn row_changes_are_mapped_to_events_with_their_details() {
    let reading = read(&[("policy.publication.yaml", PUBLICATION)]);
    assert_eq!(lines(&reading), [""; 0]);
    let mapping = &reading.estate.publications[0].events[0];
    assert_eq!(mapping.details, [("agent".parse().unwrap(), "row.AGENT".to_owned())]);
    let outbox = read(&[("policy.publication.yaml", &PUBLICATION.replace("cdc", "outbox"))]);
    assert_eq!(
        lines(&outbox),
        [
            "policy.publication.yaml:9:28 LANGUAGE_VALUE a column is computed by a feed of `cdc`, `store` or `snapshot` only",
            "policy.publication.yaml:10:1 LANGUAGE_VALUE events are told from row changes by a feed of `cdc` or `store` only",
        ]
    );
}

#[test]
fn a_lock_agrees_with_the_estate_that_it_locks() {
    let settings =
        "apiVersion: seamline/v1\nkind: Estate\nroots: [., { git: 'https://g/other', at: main, path: . }]\n";
    let lock = "apiVersion: seamline/v1\nkind: Lock\nroots:\n  - { root: 'https://g/other', resolved: 1a2b, digest: b3-00112233 }\ndocuments:\n  insurance/policy@2: { kind: Contract, version: 2.1.0, digest: b3-00112233, meaning: b3-44556677 }\n";
    let locked = |settings: &str, lock: &str| {
        lines(&read(&[
            ("seamline.yaml", settings),
            ("seamline.lock", lock),
            ("policy.contract.yaml", CONTRACT),
        ]))
    };
    assert_eq!(locked(settings, lock), [""; 0]);
    assert_eq!(
        locked(&settings.replace("g/other", "g/another"), lock),
        [
            "seamline.lock:4:13 LANGUAGE_ROOT the estate has no root `https://g/other` to lock",
            "seamline.yaml:3:12 LANGUAGE_ROOT the root `https://g/another` is not in the lock",
        ]
    );
    // Of a repository that is read twice, the folder tells which; the revision is that which was asked for.
    let exact = |at: &str, path: &str| {
        lock.replace("resolved: 1a2b", &format!("at: {at}, path: {path}, resolved: 1a2b"))
    };
    assert_eq!(locked(settings, &exact("main", ".")), [""; 0]);
    assert_eq!(
        locked(settings, &exact("v1", ".")),
        [
            "seamline.lock:4:36 LANGUAGE_ROOT `https://g/other` is locked as of `v1`, and is asked for at `main`"
        ]
    );
    assert_eq!(locked(settings, &exact("main", "data")).len(), 2);
    assert_eq!(
        locked(settings, &lock.replace("2.1.0", "2.0.0")),
        ["seamline.lock:6:50 LANGUAGE_ROOT `insurance/policy@2` is locked at `2.0.0`, and is `2.1.0`"]
    );
    assert_eq!(
        locked(settings, &lock.replace("b3-44556677", "b3-x").replace("insurance/policy@2", "policy")),
        [
            "seamline.lock:6:3 LANGUAGE_VALUE `policy` is not a reference such as `policy-administration/policy@2`",
            "seamline.lock:6:75 LANGUAGE_VALUE `b3-x` is not a digest such as `b3-9f2c41d7`",
        ]
    );
}
