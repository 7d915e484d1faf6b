//! Each rule beyond its page: one edit of the examples' estate, and all that is found.

use crate::pages::{Files, found, in_the_examples_estate};
use seamline_contract::path::DocumentId;

pub(crate) const POLICY: &str = "policies/policy.contract.yaml";
const CLAIMS: &str = "claims/claims.context.yaml";
pub(crate) const COVER: &str = "claims/cover.subscription.yaml";
pub(crate) const SUBSCRIPTION: &str = "apiVersion: seamline/v1
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
    cover_from: coverFrom
reconciliation: { every: 1h, page: 1 row }
";

/// Replaces a text that stands once in a file of the estate, and expects these rules at these lines, and no more.
pub(crate) fn check(file: &str, from: &str, to: &str, expected: &[&str]) {
    let mut files = in_the_examples_estate(Files::new());
    files.insert(DocumentId(COVER.to_owned()), SUBSCRIPTION.to_owned());
    let text = files.get_mut(&DocumentId(file.to_owned())).expect(file);
    assert_eq!(text.matches(from).count(), 1, "{from}");
    *text = text.replace(from, to);
    let found: Vec<String> = found(&files)
        .iter()
        .map(|line| {
            let mut parts = line.split('`');
            let rule = parts.nth(1).expect("a rule");
            let place = parts.nth(1).and_then(|place| place.rsplit_once(':')).expect("a place").0;
            format!("{rule} {place}")
        })
        .collect();
    assert_eq!(found, expected, "{to}");
}

#[test]
fn the_estate_of_the_cases_is_clean() {
    check(COVER, "5m", "5m", &[]);
}

#[test]
fn each_need_is_held_against_its_promise() {
    let cases: [(&str, &[&str]); 11] = [
        ("freshness: 1m p99", &[]),
        ("freshness: 59s", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("freshness: 5m p99.9", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("lateness: 1d", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("replay: auditState", &[]),
        ("tombstones: 14d", &[]),
        ("tombstones: 15d", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("retention: 90d", &[]),
        ("retention: 91d", &["RETENTION_COVERS_REPLAY claims/cover.subscription.yaml:6"]),
        ("answer: 1s", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
        ("consistency: immediate", &["NEEDS_COVERED claims/cover.subscription.yaml:6"]),
    ];
    for (need, expected) in cases {
        check(COVER, "freshness: 5m", need, expected);
    }
    check(COVER, ", because: 'A caller waits.'", "", &["MEANING_PRESENT claims/cover.subscription.yaml:6"]);
    check(POLICY, "replay: auditState", "replay: bestEffort", &[]);
}

#[test]
fn what_is_sent_at_hours_is_as_fresh_as_its_hours_are_apart() {
    let together = "CHANNELS_LEAVE_TOGETHER policies/policy.contract.yaml:15";
    check(POLICY, "state: {}", "state: { cadence: every 4m }", &[together]);
    let uncovered = "NEEDS_COVERED claims/cover.subscription.yaml:6";
    for cadence in ["every 5m", "hourly :00", "weekly mon 06:00 UTC"] {
        check(POLICY, "state: {}", &format!("state: {{ cadence: {cadence} }}"), &[uncovered, together]);
    }
}

#[test]
fn names_across_documents_lead_somewhere() {
    let cases = [
        ("becomes: { cover: given }", "becomes: { coverFrom: given }", 16),
        ("with: [coverFrom]", "effective: cover", 16),
        ("state: {}", "state: { for: [claims, portal] }", 18),
    ];
    for (from, to, line) in cases {
        check(POLICY, from, to, &[&format!("NAMES_RESOLVE policies/policy.contract.yaml:{line}")]);
    }
    check(COVER, "claims-db", "claims", &["NAMES_RESOLVE claims/cover.subscription.yaml:8"]);
    check(
        COVER,
        "cover_from: coverFrom",
        "cover_from: from",
        &["NAMES_RESOLVE claims/cover.subscription.yaml:12"],
    );
    let publication = "policies/policy.publication.yaml";
    check(
        publication,
        "system: core",
        "system: cores",
        &["NAMES_RESOLVE policies/policy.publication.yaml:4"],
    );
    let mapped = "feed: store\nevents: { PolicyBound: { when: 'before == null' }, PolicyEnded: { when: 'after == null' }, \
        PolicyLost: { when: 'after == null' } }";
    let fed = format!("system: core\n{mapped}");
    check(publication, "system: core", &fed, &["NAMES_RESOLVE policies/policy.publication.yaml:6"]);
    let relations = "team: claims\nrelations: [{ with: police, as: conformist }]";
    check(CLAIMS, "team: claims", relations, &["NAMES_RESOLVE claims/claims.context.yaml:5"]);
}

#[test]
fn a_view_bounds_what_is_used_and_by_whom() {
    let view = |text: &str| format!("views: {{ cover: {{ {text} }} }}\nstate: {{}}");
    let mut files = in_the_examples_estate(Files::new());
    let policy = files.get_mut(&DocumentId(POLICY.to_owned())).unwrap();
    *policy = policy.replace("state: {}", &view("for: [claims], only: [cover], events: [PolicyBound]"));
    files.insert(DocumentId(COVER.to_owned()), SUBSCRIPTION.replace("purpose:", "view: cover\npurpose:"));
    let found = found(&files);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].contains("has no event `PolicyEnded`"), "{found:#?}");
    assert!(found[0].contains("has no attribute `coverFrom`"), "{found:#?}");
}

#[test]
fn two_contracts_do_not_publish_one_column() {
    let mut files = in_the_examples_estate(Files::new());
    let contract = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: Who sold it.\n\
        key: saleId\nattributes:\n  saleId: { type: uuid, meaning: 'Identifies one sale.' }\n  \
        begins: { type: date, meaning: 'First day of cover as sold.' }\n";
    let publication = "apiVersion: seamline/v1\nkind: Publication\ncontract: sale\nsystem: core\n\
        table: policy_current\ncolumns: { begins: cover_from }\n";
    files.insert(DocumentId("policies/sale.contract.yaml".to_owned()), contract.to_owned());
    files.insert(DocumentId("policies/sale.publication.yaml".to_owned()), publication.to_owned());
    let found = found(&files);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("`ONE_OWNER` at `policies/sale.publication.yaml:6:20`"), "{found:#?}");
}

#[test]
fn references_lead_to_majors_that_live() {
    check(POLICY, "status: active", "status: retired", &["MAJOR_LIVES claims/cover.subscription.yaml:3"]);
    let serves = "serves: [{ version: 0, until: 2030-01-01 }]\nstate: {}";
    check(POLICY, "state: {}", serves, &["MAJOR_LIVES policies/policy.contract.yaml:18"]);
    let circle = "coverTo: { from: policies/policy@1.coverTo }\n";
    let written =
        "coverTo: { type: date, optional: true, meaning: 'Last day of cover. None while open-ended.' }\n";
    check(POLICY, written, circle, &["CARRIED_ATTRIBUTE_EXISTS policies/policy.contract.yaml:14"]);
}

#[test]
fn a_key_is_not_optional_where_it_is_decided() {
    let mut files = in_the_examples_estate(Files::new());
    let contract = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: What ends.\n\
        key: lastDay\nattributes:\n  lastDay: { from: policies/policy@1.coverTo }\n";
    files.insert(DocumentId("claims/ending.contract.yaml".to_owned()), contract.to_owned());
    let found = found(&files);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("`KEY_ALWAYS_PRESENT` at `claims/ending.contract.yaml:8:20`"), "{found:#?}");
}

#[test]
fn an_hour_says_where_it_is_read_off_a_clock() {
    let of = |cadence: &str, defaults: &str| {
        let contract = format!(
            "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: What is charged.\nkey: code\n\
             attributes:\n  code: {{ type: string, meaning: Names a tariff. }}\nreference: {{ cadence: {cadence} }}\n\
             guarantees: {{ reference: {{ freshness: 1h }} }}\n\
             reconciliation: {{ every: 1d, page: 1 row, runbook: runbooks/policy.md }}\n"
        );
        let settings = format!(
            "apiVersion: seamline/v1\nkind: Estate\nid: insurer\nroots: [.]\npurposes: {{ claims-handling: Deciding on a claim., \
             advertising: Selling one policy more. }}\ndefaults: {{ {defaults}classification: internal }}\nrules: {{ MEANING_ACCEPTED: off }}\n"
        );
        let files = [("seamline.yaml", settings), ("policies/tariff.contract.yaml", contract)];
        let files = files.map(|(name, text)| (DocumentId(name.to_owned()), text));
        let found = found(&in_the_examples_estate(Files::from(files)));
        found
            .into_iter()
            .filter(|it| it.contains("DATE_HAS_ZONE") && it.contains("tariff"))
            .collect::<Vec<_>>()
    };
    let found = of("daily 04:00", "");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("policies/tariff.contract.yaml:9:"), "{found:#?}");
    for (cadence, defaults) in
        [("daily 04:00 UTC", ""), ("every 1h", ""), ("'hourly :15'", ""), ("daily 04:00", "zone: UTC, ")]
    {
        assert_eq!(of(cadence, defaults), [""; 0], "{cadence}");
    }
}

#[test]
fn a_cache_may_do_without_reconciliation_and_a_projection_may_not() {
    let reconciliation = "reconciliation: { every: 1h, page: 1 row }\n";
    check(COVER, reconciliation, "", &["RECONCILIATION_DECLARED claims/cover.subscription.yaml:1"]);
    check(COVER, reconciliation, "role: cache\n", &[]);
}

#[test]
fn every_kind_of_expression_is_checked() {
    let at = |line: usize| format!("EXPRESSIONS_TYPE_CHECK policies/policy.contract.yaml:{line}");
    let invariant = |text: &str| format!("invariants: {{ ends: {text} }}\nstate: {{}}");
    check(POLICY, "state: {}", &invariant("coverTo == null || coverFrom <= coverTo"), &[]);
    check(POLICY, "state: {}", &invariant("coverFrom <= coverTo"), &[&at(18)]);
    check(POLICY, "state: {}", &invariant("coverFrom"), &[&at(18)]);
    check(POLICY, "state: {}", &invariant("coverFrom <= until"), &[&at(18)]);
    let flag = |text: &str| {
        format!("flags: {{ open: {{ is: {text}, meaning: 'No last day was agreed.' }} }}, with: [coverFrom]")
    };
    check(POLICY, "with: [coverFrom]", &flag("coverTo == null"), &[]);
    check(POLICY, "with: [coverFrom]", &flag("coverTo"), &[&at(16)]);
}

#[test]
fn an_older_major_lives_as_long_as_the_newest_serves_it() {
    let dead = |serves: &str| {
        let mut files = in_the_examples_estate(Files::new());
        files.insert(DocumentId(COVER.to_owned()), SUBSCRIPTION.to_owned());
        let policy = files[&DocumentId(POLICY.to_owned())].clone();
        files.insert(DocumentId("policies/policy@1.contract.yaml".to_owned()), policy.clone());
        let newer = policy.replace("version: 1.0.0", "version: 2.0.0").replace("state: {}", serves);
        files.insert(DocumentId(POLICY.to_owned()), newer);
        let at = "`MAJOR_LIVES` at `claims/cover.subscription.yaml:3";
        found(&files).iter().any(|finding| finding.starts_with(at))
    };
    assert!(dead("state: {}"), "somebody subscribes to what is written no more");
    assert!(!dead("serves: [{ version: 1, until: 2030-01-01 }]\nstate: {}"));
}

#[test]
fn mappings_between_majors_are_checked_over_the_major_they_read() {
    let frozen = "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: deprecated\nmeaning: Old.\n\
        key: policyId\nattributes:\n  policyId: { type: string }\n  \
        live: { type: boolean }\nstate: {}\n";
    let expected = |read: &str, write: &str| {
        let mut files = in_the_examples_estate(Files::new());
        files.insert(DocumentId("policies/policy@1.contract.yaml".to_owned()), frozen.to_owned());
        let policy = files.get_mut(&DocumentId(POLICY.to_owned())).expect("the policy");
        let serves = format!(
            "serves: [{{ version: 1, until: 2030-01-01, read: {{ {read} }}, write: {{ {write} }} }}]\nstate: {{}}"
        );
        *policy = policy.replace("version: 1.0.0", "version: 2.0.0").replace("state: {}", &serves);
        found(&files)
    };
    let read = "cover: \"live ? 'given' : 'ended'\"";
    assert_eq!(expected(read, "live: \"cover == 'given'\""), [""; 0]);
    for (read, write) in [
        (read, "live: cover"),
        (read, "alive: \"cover == 'given'\""),
        ("cover: status", "live: \"cover == 'given'\""),
        ("cover: live", "live: \"cover == 'given'\""),
    ] {
        let found = expected(read, write);
        assert_eq!(found.len(), 1, "{read} {write} {found:#?}");
        assert!(
            found[0].starts_with("`EXPRESSIONS_TYPE_CHECK` at `policies/policy.contract.yaml:18:"),
            "{found:#?}"
        );
    }
}

#[test]
fn readers_are_those_whom_a_channel_names() {
    let at = "READER_ENTITLED claims/cover.subscription.yaml:3";
    let named = |events: &str, state: &str| {
        (format!("events:\n  for: [{events}]\n"), format!("state: {{ for: [{state}] }}"))
    };
    let (events, state) = named("claims", "claims");
    check(POLICY, "events:\n  PolicyBound", &format!("{events}  PolicyBound"), &[]);
    check(POLICY, "state: {}", &state, &[]);
    let (events, state) = named("policies", "policies");
    check(POLICY, "events:\n  PolicyBound", &format!("{events}  PolicyBound"), &[at]);
    check(POLICY, "state: {}", &state, &[at]);
    // Both channels name nobody, and one attribute is above internal.
    let person = "coverFrom: { type: date, classification: pii,";
    check(POLICY, "coverFrom: { type: date,", person, &[at, at]);
}

#[test]
fn what_is_carried_is_never_laxer_than_at_its_owner() {
    let carrying = |extra: &str| {
        let mut files = in_the_examples_estate(Files::new());
        let policy = files.get_mut(&DocumentId(POLICY.to_owned())).expect("the policy");
        *policy = policy
            .replace("coverTo: {", "coverTo: { classification: confidential, purposes: [claims-handling],");
        let contract = format!(
            "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: What ends.\n\
             key: policyId\nattributes:\n  policyId: {{ from: policies/policy@1.policyId }}\n  \
             ends: {{ from: policies/policy@1.coverTo{extra} }}\n"
        );
        files.insert(DocumentId("claims/ending.contract.yaml".to_owned()), contract);
        found(&files)
    };
    assert_eq!(carrying(""), [""; 0]);
    assert_eq!(carrying(", classification: pii"), [""; 0]);
    for extra in [", classification: internal", ", purposes: [claims-handling, advertising]"] {
        let found = carrying(extra);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with("`CARRIED_DECIDES_NOTHING` at `claims/ending.contract.yaml:9:"),
            "{found:#?}"
        );
    }
}

#[test]
fn a_translation_reads_only_what_its_view_carries() {
    let mut files = in_the_examples_estate(Files::new());
    let policy = files.get_mut(&DocumentId(POLICY.to_owned())).expect("the policy");
    *policy =
        policy.replace("state: {}", "views: { cover: { for: [claims], only: [coverFrom] } }\nstate: {}");
    let translating = SUBSCRIPTION
        .replace("purpose:", "view: cover\npurpose:")
        .replace("reactsTo: [PolicyEnded]\n", "")
        .replace("coverFrom", "{ is: \"cover == 'given'\", meaning: 'A claim can be opened.' }");
    files.insert(DocumentId(COVER.to_owned()), translating);
    let found = found(&files);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("`NAMES_RESOLVE` at `claims/cover.subscription.yaml:12:"), "{found:#?}");
}

#[test]
fn a_member_above_internal_confines_its_channel() {
    let at = "READER_ENTITLED claims/cover.subscription.yaml:3";
    let address = |classification: &str| {
        format!(
            "address: {{ type: object, meaning: 'Where the holder lives.', attributes: {{ street: {{ type: string{classification}, \
             meaning: 'As the holder wrote it.' }} }} }}\n  coverTo: {{"
        )
    };
    check(POLICY, "coverTo: {", &address(""), &[]);
    check(POLICY, "coverTo: {", &address(", classification: pii"), &[at, at]);
}

#[test]
fn an_unsound_expression_is_one_finding() {
    let accepted = "cover_from: { is: coverSince, meaning: 'First day.' }\naccepted: { version: 1.0.0, meaning: b3-00000000 }";
    let at = "EXPRESSIONS_TYPE_CHECK claims/cover.subscription.yaml:12";
    check(COVER, "cover_from: coverFrom", accepted, &[at]);
}

pub(crate) fn contract(key: &str, attributes: &str) -> String {
    format!(
        "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: What was sold.\n\
         key: {key}\nattributes:\n{attributes}"
    )
}

#[test]
fn what_is_carried_keeps_the_strictest_classification_on_its_way() {
    let address = "  id: { type: uuid, meaning: 'Identifies one sale.' }\n  address:\n    type: object\n    \
        classification: pii\n    meaning: Where it goes.\n    attributes:\n      \
        street: { type: string, meaning: 'As the buyer wrote it.' }\n";
    let mut files = in_the_examples_estate(Files::new());
    let mut add =
        |id: &str, text: String| files.insert(DocumentId(format!("claims/{id}.contract.yaml")), text);
    // A member inherits from what it is a member of, and a contract between passes that on.
    add("sale", contract("id", address));
    add(
        "label",
        contract(
            "policyId",
            "  policyId: { from: policies/policy@1.policyId }\n  line: { from: claims/sale@1.address.street }\n",
        ),
    );
    add("parcel", contract("line", "  line: { from: claims/label@1.line }\n"));
    let found = found(&files);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("`KEY_HOLDS_NO_PII` at `claims/parcel.contract.yaml:6:6`"), "{found:#?}");
}

#[test]
fn two_contexts_do_not_publish_one_column_of_a_shared_database() {
    let publication = |contract: &str, system: &str| {
        format!(
            "apiVersion: seamline/v1\nkind: Publication\ncontract: {contract}\nsystem: {system}\ntable: sales\n"
        )
    };
    let environment = |claims: &str| {
        format!(
            "apiVersion: seamline/v1\nkind: Environment\nsystems:\n  \
             policies/core: {{ url: 'postgres://db/one' }}\n  claims/claims-db: {{ url: 'postgres://db/{claims}' }}\n\
             log: {{ embedded: log.db }}\n"
        )
    };
    for (database, findings) in [("one", 1), ("two", 0)] {
        let mut files = in_the_examples_estate(Files::new());
        let mut add = |id: &str, text: String| files.insert(DocumentId(id.to_owned()), text);
        add("production.environment.yaml", environment(database));
        let attributes =
            |id: &str| format!("  {id}: {{ type: uuid, meaning: 'Identifies what was sold.' }}\n");
        add("policies/sale.contract.yaml", contract("saleId", &attributes("saleId")));
        add("policies/sale.publication.yaml", publication("sale", "core"));
        add("claims/sold.contract.yaml", contract("saleId", &attributes("saleId")));
        add("claims/sold.publication.yaml", publication("sold", "claims-db"));
        let found = found(&files);
        // That they share a database at all is advised against as well.
        let (shared, owned): (Vec<_>, Vec<_>) =
            found.iter().partition(|it| it.starts_with("`TRANSACTION_WITHIN_CONTEXT`"));
        assert_eq!((shared.len(), owned.len()), (findings, findings), "{found:#?}");
        assert!(owned.iter().all(|it| it.starts_with("`ONE_OWNER`")), "{found:#?}");
    }
}
