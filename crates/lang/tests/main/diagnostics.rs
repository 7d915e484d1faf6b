//! Findings of the language: each thing that can be wrong, where it is, and how people read it.

use crate::{CONTRACT, broken, lines, read};
use seamline_contract::environment::RelayBy;
use seamline_lang::print::{Paint, text};

/// Breaks the contract and returns its findings without the file's name.
fn findings(from: &str, to: &str) -> Vec<String> {
    lines(&broken(from, to)).into_iter().map(|line| line.replacen("policy.contract.yaml:", "", 1)).collect()
}

fn printed(from: &str, to: &str) -> String {
    let reading = broken(from, to);
    text(&reading.sources, &reading.findings, Paint::Plain)
}

/// What is broken, how, and the one finding of it.
const BREAKS: &[(&str, &str, &str)] = &[
    (
        "classification: internal",
        "clasification: internal",
        "8:1 LANGUAGE_UNKNOWN_KEY a contract has no key `clasification`",
    ),
    ("status: active\n", "", "1:1 LANGUAGE_REQUIRED a contract has no `status`"),
    (
        "version: 2.1.0",
        "version: 2.1",
        "4:10 LANGUAGE_VALUE `2.1` is not a version of three numbers such as `2.1.0`",
    ),
    (
        "status: active",
        "status: activ",
        "5:9 LANGUAGE_VALUE `activ` is not one of proposed, draft, active, deprecated, retired",
    ),
    ("status: active", "status: active\nstatus: draft", "6:1 LANGUAGE_DUPLICATE `status` stands here twice"),
    ("state: {}", "<<: {}", "18:1 LANGUAGE_PLAIN_YAML a merge hides what this mapping says"),
    ("status: active", "status: !!str active", "5:15 LANGUAGE_PLAIN_YAML a tag has no meaning here"),
    ("kind: Contract", "kind: Contrakt", "2:7 LANGUAGE_KIND `Contrakt` is not a kind"),
    (
        "seamline/v1",
        "seamline/v2",
        "1:13 LANGUAGE_KIND `seamline/v2` is not a version of the language that is read here",
    ),
    (
        "context: insurance\n",
        "",
        "1:1 LANGUAGE_CONTEXT no context is written, and no folder above has one context file",
    ),
    ("key: policyId", "key: policyID", "7:6 LANGUAGE_NAME there is no attribute `policyID`"),
    ("type: string,", "type: text,", "10:21 LANGUAGE_VALUE `text` is not a type"),
    (
        "type: string,",
        "type: string, optional: true,",
        "10:39 LANGUAGE_VALUE `policyId` is of the key, so it always has a value",
    ),
    (
        "type: string,",
        "type: 'decimal(5,2)', min: '0.5', max: much,",
        "10:54 LANGUAGE_VALUE `much` is not a value of type `decimal(5,2)`",
    ),
    (
        "type: string,",
        "type: integer, min: 1.5,",
        "10:35 LANGUAGE_VALUE `1.5` is not a value of type `integer`",
    ),
    (
        "type: string,",
        "type: string, zone: UTC,",
        "10:29 LANGUAGE_VALUE `zone` says nothing about a value of type `string`",
    ),
    ("type: string,", "type: money.Amount,", "10:21 LANGUAGE_NAME there is no shared type `money.Amount`"),
    (
        "type: string,",
        "like: claimsState,",
        "10:21 LANGUAGE_VALUE `claimsState` leads to no attribute that this contract decides",
    ),
    (
        "type: string,",
        "like: policyId,",
        "10:21 LANGUAGE_VALUE `policyId` leads in a circle, or through more than 8 others",
    ),
    (
        "  policyId:",
        "  while: { type: string, meaning: 'When.' }\n  policyId:",
        "10:3 LANGUAGE_RESERVED `while` is reserved by expressions",
    ),
    ("eligible -> ineligible]", "eligible -> eligible]", "15:26 LANGUAGE_VALUE staying is never a move"),
    (
        "eligible -> ineligible]",
        "eligible -> ineligble]",
        "15:26 LANGUAGE_VALUE `ineligble` is not a value of this enum",
    ),
    (
        "claimsStatus: eligible }",
        "claimsStatus: eligable }",
        "17:78 LANGUAGE_NAME there is no value `eligable`",
    ),
    (
        ", becomes: { claimsStatus: eligible }",
        "",
        "17:3 LANGUAGE_REQUIRED `PolicyBound` does not say what it changes",
    ),
    ("PolicyBound:", "policyBound:", "17:3 LANGUAGE_UNKNOWN_KEY a channel has no key `policyBound`"),
    (
        "state: {}",
        "state: { cadence: daily 25:00 }",
        "18:19 LANGUAGE_VALUE `daily 25:00` is not a cadence such as `every 15m`, `hourly :30` or `daily 06:00 Europe/Berlin`",
    ),
    (
        "state: {}",
        "views: { ledger: { for: [claims], only: [] } }",
        "18:10 LANGUAGE_VALUE the id `ledger` is taken by a contract's own topics",
    ),
    (
        "state: {}",
        "changes: [ { version: 2.0.0, because: Why., added: a, removed: b } ]",
        "18:12 LANGUAGE_REQUIRED a change does one thing",
    ),
    ("state: {}", "state: yes", "18:8 LANGUAGE_VALUE a channel is a mapping: keys with values"),
    ("key: policyId", "key:", "7:1 LANGUAGE_VALUE a list is due here"),
];

#[test]
fn one_break_is_one_finding_at_its_place() {
    for (from, to, expected) in BREAKS {
        assert_eq!(findings(from, to), [*expected], "{from} → {to}");
    }
}

#[test]
fn everything_wrong_is_found_at_once_and_the_rest_is_read() {
    let text = CONTRACT
        .replace("version: 2.1.0", "version: 2.1.0\nowner: nobody")
        .replace("type: enum", "typ: enum");
    let reading = read(&[("policy.contract.yaml", &text)]);
    assert_eq!(
        lines(&reading),
        [
            "policy.contract.yaml:5:1 LANGUAGE_UNKNOWN_KEY a contract has no key `owner`",
            "policy.contract.yaml:12:3 LANGUAGE_REQUIRED an attribute is decided here by its `type`, or carried `from` its owner",
            "policy.contract.yaml:13:5 LANGUAGE_UNKNOWN_KEY an attribute has no key `typ`",
        ]
    );
    let contract = &reading.estate.contracts[0];
    assert_eq!(contract.attributes.len(), 1);
    assert_eq!(contract.events.as_ref().unwrap().events.len(), 1);
    assert_eq!(reading.findings[0].context.as_ref().unwrap().as_str(), "insurance");
}

#[test]
fn a_comma_in_unquoted_prose_is_one_finding_and_the_sentence_is_read_whole() {
    let reading = broken("'The risk was accepted.'", "The risk was accepted, at last, in full");
    assert_eq!(
        lines(&reading),
        [
            "policy.contract.yaml:17:27 LANGUAGE_PROSE_COMMA the comma ends the unquoted text of `meaning` between braces: did you mean one sentence?"
        ]
    );
    let events = reading.estate.contracts[0].events.as_ref().unwrap();
    assert_eq!(events.events[0].meaning, "The risk was accepted, at last, in full");
    insta::assert_snapshot!(text(&reading.sources, &reading.findings, Paint::Plain), @r"
    error[LANGUAGE_PROSE_COMMA]: the comma ends the unquoted text of `meaning` between braces: did you mean one sentence?
      --> policy.contract.yaml:17:27
       |
    17 |   PolicyBound: { meaning: The risk was accepted, at last, in full, becomes: { claimsStatus: eligible } }
       |                           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: quote it: `meaning: 'The risk was accepted, at last, in full'`
    ");
}

#[test]
fn an_unquoted_decimal_between_braces_is_one_finding() {
    let reading = broken("type: string,", "type: decimal(12,2), unit: EUR,");
    assert_eq!(
        lines(&reading),
        ["policy.contract.yaml:10:21 LANGUAGE_PROSE_COMMA the comma ends an unquoted text between braces"]
    );
    assert_eq!(reading.findings[0].help.as_deref(), Some("quote it: `type: 'decimal(12,2)'`"));
}

#[test]
fn a_comment_that_cuts_prose_is_a_finding_and_one_behind_a_sentence_is_none() {
    assert_eq!(
        findings("Where a policy stands.", "See ticket #7, and #8 too"),
        ["6:10 LANGUAGE_PROSE_COMMENT the unquoted text ends here: ` #7, and #8 too` is a comment"]
    );
    assert_eq!(
        findings("Where a policy stands.", "Where it stands in list #7"),
        ["6:10 LANGUAGE_PROSE_COMMENT the unquoted text ends here: ` #7` is a comment"]
    );
    assert_eq!(findings("Where a policy stands.", "Where a policy stands. # for now"), [""; 0]);
}

#[test]
fn expressions_that_need_quotes_say_so() {
    for place in [
        "invariants: { a: claimsStatus == 'x' ? true : false }",
        "invariants:\n  a: claimsStatus == 'x' ? true : false",
    ] {
        let reading = broken("state: {}", place);
        assert_eq!(reading.findings.len(), 1, "{place}");
        assert_eq!(reading.findings[0].rule, "LANGUAGE_NOT_YAML");
        assert_eq!(
            reading.findings[0].help.as_deref(),
            Some("an expression with `? :` is written in double quotes")
        );
    }
}

#[test]
fn a_text_that_is_no_single_document_says_why() {
    for (text, expected) in [
        ("", "a.contract.yaml:1:1 LANGUAGE_NOT_YAML the file is empty"),
        ("# only this\n", "a.contract.yaml:1:1 LANGUAGE_NOT_YAML the file is empty"),
        ("a: b\n---\nc: d\n", "a.contract.yaml:2:1 LANGUAGE_NOT_YAML a second document begins here"),
        (
            "- a\n",
            "a.contract.yaml:1:1 LANGUAGE_KIND a document is a mapping that begins with `apiVersion` and `kind`",
        ),
        (
            "just text",
            "a.contract.yaml:1:1 LANGUAGE_KIND a document is a mapping that begins with `apiVersion` and `kind`",
        ),
    ] {
        assert_eq!(lines(&read(&[("a.contract.yaml", text)])), [expected], "{text:?}");
    }
}

#[test]
fn a_context_is_inherited_from_the_nearest_folder_above() {
    let context = |team: &str| format!("apiVersion: seamline/v1\nkind: Context\nmeaning: A.\nteam: {team}\n");
    let bare = CONTRACT.replace("context: insurance\n", "");
    let reading = read(&[
        ("far.context.yaml", &context("far")),
        ("a/near.context.yaml", &context("near")),
        ("a/b/policy.contract.yaml", &bare),
        ("c/policy.contract.yaml", &bare),
    ]);
    assert_eq!(lines(&reading), [""; 0]);
    let unreadable = read(&[("a/near.context.yaml", &context("near")), ("a/policy.contract.yaml", "{")]);
    assert_eq!(unreadable.findings[0].context.as_ref().unwrap().as_str(), "near");
    let names: Vec<String> =
        reading.estate.contracts.iter().map(|contract| contract.name.to_string()).collect();
    assert_eq!(names, ["near/policy", "far/policy"]);
}

#[test]
fn two_documents_with_one_identity_are_a_finding_that_names_both() {
    let reading = read(&[("a/policy.contract.yaml", CONTRACT), ("b/policy.contract.yaml", CONTRACT)]);
    insta::assert_snapshot!(text(&reading.sources, &reading.findings, Paint::Plain), @r"
    error[LANGUAGE_IDENTITY]: the contract `insurance/policy@2` is written twice
     --> b/policy.contract.yaml:1:1
      |
    1 | apiVersion: seamline/v1
      | ^^^^^^^^^^
      |
      = note: it is written here, too
      |
     ::: a/policy.contract.yaml:1:1
      |
    1 | apiVersion: seamline/v1
      | ^^^^^^^^^^
      |
      = help: keep one of the two, or give this one another id or context
    ");
}

#[test]
fn file_names_and_texts_must_agree() {
    let with_id = CONTRACT.replace("kind: Contract\n", "kind: Contract\nid: claim\n");
    for (name, text, expected) in [
        (
            "policy.contract.yaml",
            with_id.as_str(),
            "3:5 LANGUAGE_FILE_NAME the id is `claim`, the file's name says `policy`",
        ),
        (
            "policy@1.contract.yaml",
            CONTRACT,
            "4:10 LANGUAGE_FILE_NAME the version is `2.1.0`, the file's name says major `1`",
        ),
        (
            "policy.context.yaml",
            CONTRACT,
            "2:7 LANGUAGE_FILE_NAME the kind is `Contract`, the file's name says context",
        ),
    ] {
        assert_eq!(lines(&read(&[(name, text)])), [format!("{name}:{expected}")]);
    }
    let frozen = read(&[("policy@2.contract.yaml", CONTRACT)]);
    assert_eq!(lines(&frozen), [""; 0]);
    assert!(frozen.estate.contracts[0].frozen);
}

#[test]
fn like_takes_the_shape_of_another_attribute_of_the_contract() {
    let reading = broken(
        "  claimsStatus:\n",
        "  before: { like: claimsStatus, optional: true, meaning: 'The status before.' }\n  claimsStatus:\n",
    );
    assert_eq!(lines(&reading), [""; 0]);
    let attributes = &reading.estate.contracts[0].attributes;
    assert_eq!(attributes[1].own_shape(), attributes[2].own_shape());
    assert!(attributes[1].optional && attributes[1].meaning == "The status before.");
}

#[test]
fn a_document_with_more_findings_than_are_kept_says_so() {
    let keys: String = (0..600).map(|idx| format!("key{idx}: x\n")).collect();
    let found = findings("state: {}\n", &keys);
    assert_eq!(found.len(), 501);
    assert!(
        found.iter().any(|line| line.ends_with("has 100 more findings than the 500 that are kept")),
        "{}",
        found[500]
    );
}

#[test]
fn a_literal_secret_is_a_finding() {
    let environment = "apiVersion: seamline/v1\nkind: Environment\nlog: { kafka: { sasl.password: hunter2 } }\nsystems: { a/b: { url: 'postgres://me:secret@db/x', password: '${P}' } }\n";
    let others = "apiVersion: seamline/v1\nkind: Environment\nlog: { kafka: { ssl.key.pem: x, sasl.username: me,\n sasl.oauthbearer.config: 'principal=me' } }\nsystems: { a/b: { url: 'postgres://db/x?password=${P}' },\n a/c: { url: 'postgres://db/x?sslmode=require&password=p' } }\n";
    assert_eq!(
        lines(&read(&[("e.environment.yaml", others)])),
        [
            "e.environment.yaml:3:30 LANGUAGE_VALUE a secret is written here",
            "e.environment.yaml:4:27 LANGUAGE_VALUE a secret is written here",
            "e.environment.yaml:6:14 LANGUAGE_VALUE a secret is written here",
        ]
    );
    assert_eq!(
        lines(&read(&[("e.environment.yaml", environment)])),
        [
            "e.environment.yaml:3:32 LANGUAGE_VALUE a secret is written here",
            "e.environment.yaml:4:24 LANGUAGE_VALUE a secret is written here",
        ]
    );
}

#[test]
fn a_place_says_how_rows_get_to_its_relay() {
    let environment = |relay: &str| {
        let text = format!(
            "apiVersion: seamline/v1\nkind: Environment\nlog: {{ embedded: log.db }}\nsystems: {{ a/b: {{ url: 'postgres://db/x'{relay} }} }}\n"
        );
        read(&[("e.environment.yaml", text.as_str())])
    };
    let relay = |text: &str| environment(text).estate.environments[0].systems[0].relay;
    assert_eq!(relay(""), RelayBy::Queue);
    assert_eq!(relay(", relay: queue"), RelayBy::Queue);
    assert_eq!(relay(", relay: replication"), RelayBy::Replication);
    let told = lines(&environment(", relay: replicate"));
    assert_eq!(told, ["e.environment.yaml:4:51 LANGUAGE_VALUE `replicate` is not one of queue, replication"]);
}

#[test]
fn scalars_are_the_texts_they_are() {
    let reading = broken("eligible: Covered.", "no: Covered., '2.10': Not covered., null: Nothing.");
    let shape = reading.estate.contracts[0].attributes[1].own_shape().unwrap().clone();
    let values: Vec<&str> = shape.values.iter().map(|(value, _)| value.as_str()).collect();
    assert_eq!(values, ["no", "2.10", "null", "ineligible"]);
}

#[test]
fn json_is_read_as_well() {
    let json = r#"{"apiVersion": "seamline/v1", "kind": "Context", "meaning": "Pays.", "team": "claims"}"#;
    let reading = read(&[("claims.context.json", json)]);
    assert_eq!(lines(&reading), [""; 0]);
    assert_eq!(reading.estate.contexts.len(), 1);
}

#[test]
fn diagnostics_show_the_line_the_reason_and_the_mend() {
    insta::assert_snapshot!(printed("status: active", "status: activ"), @r"
    error[LANGUAGE_VALUE]: `activ` is not one of proposed, draft, active, deprecated, retired
     --> policy.contract.yaml:5:9
      |
    5 | status: activ
      |         ^^^^^
      |
      = help: did you mean `active`?
    ");
    insta::assert_snapshot!(printed("status: active", "status: active\nstatus: draft"), @r"
    error[LANGUAGE_DUPLICATE]: `status` stands here twice
     --> policy.contract.yaml:6:1
      |
    5 | status: active
      | ------ `status` stands here first
    6 | status: draft
      | ^^^^^^
      |
      = help: keep one of them
    ");
}
