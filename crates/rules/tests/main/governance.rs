//! Standards and waivers: what they are held against, and what they cover.

use crate::pages::{Files, in_the_examples_estate, told};
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::review::{Facts, Outcome, reviewed};

/// A contract with an attribute that has no unit, and a detail that has none.
const PREMIUM: &str = "apiVersion: seamline/v1
kind: Contract
version: 1.0.0
status: active
meaning: What is due for a policy.
key: policyId
attributes:
  policyId: { from: policies/policy@1.policyId }
  premium: { type: 'decimal(12,2)', meaning: 'Agreed for twelve months.' }
events:
  PremiumAgreed: { meaning: 'Both sides signed.', sets: [premium] }
guarantees: { events: { retention: 90d } }
views:
  due: { for: [claims], only: [premium], events: [PremiumAgreed] }
";
const COVER: &str = "apiVersion: seamline/v1
kind: Subscription
contract: policies/policy@1
purpose: claims-handling
into:
  system: claims-db
  table: cover
  columns: { policy_no: policyId, cover: cover }
reconciliation: { every: 1h, page: 1 row }
";

fn outcome(files: &[(&str, &str)], today: &str) -> (Outcome, Vec<String>) {
    let files = files.iter().map(|(name, text)| (DocumentId((*name).to_owned()), (*text).to_owned()));
    let reading = read_estate(
        &in_the_examples_estate(files.collect::<Files>()),
        DocumentId("seamline.yaml".to_owned()),
    );
    assert_eq!(reading.findings, []);
    let facts = Facts { runbooks: ["runbooks/policy.md".to_owned()].into(), today: Some(today.to_owned()) };
    let outcome = reviewed(&reading.estate, &facts);
    let lines = outcome.findings.iter().map(|finding| told(&reading, finding)).collect();
    (outcome, lines)
}

fn waiver(rule: &str, scope: &str) -> String {
    format!(
        "apiVersion: seamline/v1\nkind: Waiver\nrule: {rule}\nscope: {scope}\nbecause: It moves next year.\napprover: architecture\nuntil: 2027-03-31\n"
    )
}

fn standard(judged: &str, must: &str) -> String {
    format!(
        "apiVersion: seamline/v1\nkind: Standard\nowner: architecture\nlevel: warn\nmeaning: It is asked for.\nfor: {judged}\nmust: \"{must}\"\nfix: Mend it.\n"
    )
}

/// Returns which rules are waived and which are left, of the contract without a unit under one waiver.
fn under(rule: &str, scope: &str, today: &str) -> (Vec<&'static str>, Vec<&'static str>) {
    let waiver = waiver(rule, scope);
    let files = [("policies/premium.contract.yaml", PREMIUM), ("rules/w.waiver.yaml", waiver.as_str())];
    let (outcome, _) = outcome(&files, today);
    let waived = outcome.waived.iter().map(|it| it.finding.rule).collect();
    (waived, outcome.findings.iter().map(|finding| finding.rule).collect())
}

#[test]
fn a_waiver_covers_its_rule_within_its_scope() {
    let unit = "QUANTITY_HAS_UNIT";
    for scope in ["policies/premium@1.premium", "policies/premium@1", "policies"] {
        assert_eq!(
            under(unit, scope, "2027-01-15"),
            (vec![unit], vec!["RECONCILIATION_DECLARED"]),
            "{scope}"
        );
    }
    for scope in [
        "policies/premium@1.policyId",
        "policies/premium@1.PremiumAgreed",
        "policies/premium@1/due",
        "policies/policy@1",
        "claims",
    ] {
        let (waived, left) = under(unit, scope, "2027-01-15");
        assert_eq!(waived, [""; 0], "{scope}");
        assert!(left.contains(&unit) && left.contains(&"WAIVER_NEEDED"), "{scope}: {left:?}");
    }
}

#[test]
fn the_last_day_of_a_waiver_is_a_day_of_it() {
    let unit = "QUANTITY_HAS_UNIT";
    let on = |today: &str| under(unit, "policies/premium@1.premium", today);
    assert_eq!(on("2027-03-31").0, [unit]);
    let (waived, left) = on("2027-04-01");
    assert_eq!(waived, [""; 0]);
    assert!(left.contains(&unit) && left.contains(&"WAIVER_IN_TIME"), "{left:?}");
    assert!(!left.contains(&"WAIVER_NEEDED"), "{left:?}");
}

#[test]
fn a_waiver_of_what_is_no_rule_says_so() {
    for (rule, expected) in [
        ("QUANTITY_HAS_UNITS", "there is no rule or standard `QUANTITY_HAS_UNITS`, so nothing is waived"),
        ("LANGUAGE_VALUE", "`LANGUAGE_VALUE` is a rule of the language, which nobody can waive"),
    ] {
        let (_, lines) = outcome(&[("rules/w.waiver.yaml", waiver(rule, "policies").as_str())], "2027-01-15");
        assert_eq!(lines, [format!("`WAIVER_NEEDED` at `rules/w.waiver.yaml:3:7`: {expected}")]);
    }
}

#[test]
fn the_scope_of_a_waiver_leads_somewhere() {
    for (scope, expected) in [
        ("policy", "there is no context `policy`"),
        ("policies/policy@7", "there is no contract `policies/policy@7`"),
        ("policies/policy@1.covers", "`policies/policy@1` has no attribute `covers`"),
        ("policies/policy@1.PolicyEnds", "`policies/policy@1` has no event or command `PolicyEnds`"),
        ("policies/policy@1/short", "`policies/policy@1` has no view `short`"),
        ("claims/covers", "there is no subscription or migration `claims/covers`"),
    ] {
        let (_, lines) =
            outcome(&[("rules/w.waiver.yaml", waiver("ONE_OWNER", scope).as_str())], "2027-01-15");
        let expected = format!("`NAMES_RESOLVE` at `rules/w.waiver.yaml:4:8`: {expected}");
        assert!(lines.contains(&expected), "{scope}: {lines:#?}");
    }
}

/// What it is for, what must hold, and the places where it does not.
const STANDARDS: &[(&str, &str, &[&str])] = &[
    ("context", "context.team == 'claims'", &["policies/policies.context.yaml:1:1"]),
    ("contract", "contract.consumers.size() == 1 && contract.consumers[0].role == 'projection'", &[]),
    (
        "contract",
        "contract.guarantees.state != null && contract.guarantees.state.freshness != null && contract.guarantees.state.freshness < duration('30s')",
        &["policies/policy.contract.yaml:1:1"],
    ),
    (
        "attribute",
        "attribute.optional || attribute.inKey || attribute.zone != null",
        &["policies/policy.contract.yaml:9:3"],
    ),
    ("attribute", "contract.status == 'active' && context.systems.exists(s, s.engine == 'postgres')", &[]),
    ("event", "event.with.all(a, a != 'coverTo')", &["policies/policy.contract.yaml:17:3"]),
    ("view", "view.state", &[]),
    (
        "subscription",
        "contract != null && contract.status == 'active' && subscription.needs != null",
        &["claims/cover.subscription.yaml:1:1"],
    ),
    (
        "subscription",
        "subscription.uses.all(a, a.classification == 'internal') && subscription.uses.size() == 2",
        &[],
    ),
    (
        "publication",
        "publication.feed == 'outbox' && contract != null && contract.id == publication.contract",
        &[],
    ),
    ("publication", "publication.strict", &["policies/policy.publication.yaml:1:1"]),
];

#[test]
fn a_standard_is_held_against_each_thing_that_it_is_for() {
    for (judged, must, expected) in STANDARDS {
        let standard = standard(judged, must);
        let files = [("claims/cover.subscription.yaml", COVER), ("rules/s.standard.yaml", standard.as_str())];
        let (outcome, lines) = outcome(&files, "2027-01-15");
        let places: Vec<&str> = lines.iter().map(|line| line.split('`').nth(3).unwrap()).collect();
        assert_eq!(places, *expected, "{must}: {lines:#?}");
        for finding in outcome.findings {
            assert_eq!(finding.level, seamline_contract::finding::Level::Warn);
            assert_eq!(finding.standard.unwrap().as_str(), "s");
            assert_eq!(finding.help.as_deref(), Some("Mend it"));
        }
    }
}

#[test]
fn a_standard_that_cannot_be_judged_by_is_found_itself() {
    for (judged, must, expected) in [
        ("contract", "contract.team == 'x'", "there is no member `team`"),
        ("contract", "attribute.optional", "`attribute` is not declared"),
        ("contract", "contract.meaning", "`must` yields `string`, and a condition is due"),
        ("contract", "contract.rows > 5", "`contract.rows` may have no value here"),
        ("subscription", "contract.status == 'active'", "`contract` may have no value here"),
        ("contract", "contract.status == 'activ'", "`activ` is not one of the values"),
        (
            "contract",
            "contract.attributes.all(a, contract.attributes.exists(b, b.values.exists(v, v.name == a.name)))",
            "the expression may take",
        ),
        (
            "contract",
            "contract.key[7] == 'x'",
            "`must` cannot be judged of `policies/policy@1`: there is no element 7",
        ),
    ] {
        let (_, lines) = outcome(&[("rules/s.standard.yaml", standard(judged, must).as_str())], "2027-01-15");
        let found =
            lines.iter().all(|line| line.starts_with("`STANDARD_SOUND` at `rules/s.standard.yaml:7:"));
        assert!(lines.len() == 1 && found && lines[0].contains(expected), "{must}: {lines:#?}");
    }
}

#[test]
fn a_condition_says_which_things_a_standard_is_about() {
    let standard = standard("attribute", "false").replace("must:", "where: attribute.type == 'date'\nmust:");
    let (_, lines) = outcome(&[("rules/s.standard.yaml", standard.as_str())], "2027-01-15");
    assert_eq!(
        lines,
        [
            "`STANDARD_HOLDS` at `policies/policy.contract.yaml:13:3`: `policies/policy@1.coverFrom` does not keep the standard `s`: It is asked for",
            "`STANDARD_HOLDS` at `policies/policy.contract.yaml:14:3`: `policies/policy@1.coverTo` does not keep the standard `s`: It is asked for",
        ]
    );
}

#[test]
fn a_standard_is_waived_by_its_id() {
    let standard = standard("publication", "publication.strict");
    let waived = |rule: &str| {
        let waiver = waiver(rule, "policies/policy@1");
        let files = [("rules/s.standard.yaml", standard.as_str()), ("rules/w.waiver.yaml", waiver.as_str())];
        outcome(&files, "2027-01-15").0.waived.len()
    };
    assert_eq!(waived("s"), 1);
    assert_eq!(waived("STANDARD_HOLDS"), 0);
}

#[test]
fn the_names_of_a_migration_lead_somewhere() {
    let migration = "apiVersion: seamline/v1\nkind: Migration\nmeaning: The nightly copy goes.\ncontract: policies/policy@1\nlegacy: { path: batch, meaning: 'At two in the morning.', system: claims-db, until: 2027-12-31 }\nconsumers:\n  - subscription: cover\n    stage: mapped\n    key: { policy_no: POL_NO }\n    compare: { cover: \"S == 'A' ? 'given' : 'ended'\" }\n    countBy: cover\n";
    let found = |from: &str, to: &str| {
        assert!(migration.contains(from));
        let migration = migration.replace(from, to);
        let files =
            [("claims/cover.subscription.yaml", COVER), ("claims/etl.migration.yaml", migration.as_str())];
        outcome(&files, "2027-01-15").1
    };
    assert_eq!(found("", ""), [""; 0]);
    for (from, to, expected) in [
        ("policies/policy@1", "policies/policy@2", "4:11`: there is no contract `policies/policy@2`"),
        ("claims-db", "core", "5:67`: `claims` has no system `core`"),
        ("subscription: cover", "subscription: covers", "7:19`: there is no subscription `claims/covers`"),
        ("policy_no:", "policy_nr:", "9:12`: `cover` has no column `policy_nr`"),
        ("{ cover: \"S", "{ cove: \"S", "10:16`: `cover` has no column `cove`"),
        ("countBy: cover", "countBy: covered", "11:14`: `cover` has no column `covered`"),
    ] {
        let expected = format!("`NAMES_RESOLVE` at `claims/etl.migration.yaml:{expected}");
        assert!(found(from, to).contains(&expected), "{expected}: {:#?}", found(from, to));
    }
    // What types the legacy columns have nobody knows; what the expression makes of them is typed.
    for (from, to, expected) in [
        (" ? 'given' : 'ended'", "", "this yields `boolean`"),
        ("'ended'", "1", ""),
        ("S == 'A'", "S = 'A'", ""),
    ] {
        let found = found(from, to);
        let is_it = |line: &String| {
            line.starts_with("`EXPRESSIONS_TYPE_CHECK` at `claims/etl.migration.yaml:10:")
                && line.contains(expected)
        };
        assert!(found.iter().any(is_it), "{from} → {to}: {found:#?}");
    }
    for to in ["T == 'A' && U.size() > 2", "[S, T].exists(it, it == 'A')", "S in ['A', 'B']"] {
        assert_eq!(found("S == 'A'", to), [""; 0], "{to}");
    }
}

#[test]
fn a_waiver_of_what_only_a_comparison_finds_is_not_idle() {
    let waived = |rule: &str| {
        let waiver = waiver(rule, "policies/policy@1");
        outcome(&[("rules/w.waiver.yaml", waiver.as_str())], "2027-01-15").1
    };
    assert_eq!(waived("CONSUMERS_KEPT"), [""; 0]);
    assert!(waived("CONSUMERS_KEP")[0].starts_with("`WAIVER_NEEDED`"));
}
