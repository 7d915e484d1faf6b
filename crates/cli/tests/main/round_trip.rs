//! Install, backfill, run, reconcile: what is there arrives, what is changed by hand is found, blamed and mended.

use crate::fixture::{CONTEXTS, Place, bound, publish};
use std::process::Stdio;

fn settled(policies: u32) -> Place {
    let place = Place::insurer(policies);
    place.run(&["backfill", "policy-administration/policy", "--yes"]).exits(0).says("rows are in the outbox");
    place.run(&["agent", "--all", "--until-idle"]).exits(0).says("next: ");
    place
}

#[test]
fn what_was_there_before_arrives_and_everything_agrees() {
    let place = settled(60);
    assert_eq!(place.number("claims", "SELECT count(*) FROM policy_eligibility"), 60);
    let status = place.run(&["status", "--format", "json"]).exits(0).json();
    assert_eq!(status["schema"], "seamline/status/v1");
    assert_eq!(status["balanced"], true);
    let policy = status["published"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["contract"] == "policy-administration/policy@2");
    assert_eq!(policy.unwrap()["published"], 60);
    assert!(status["received"].as_array().unwrap().iter().all(|it| it["behind"] == 0));
    place.run(&["status"]).exits(0).says("accounting: balanced");
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
    place.run(&["case", "list"]).exits(0).says("0 cases");
    place.run(&["quarantine", "list"]).exits(0).says("0 items in quarantine");
}

#[test]
fn a_cell_changed_by_hand_is_found_blamed_and_mended() {
    let place = settled(30);
    let edit = "UPDATE policy_eligibility SET may_open_claim = 0 WHERE policy_ref = 'P-00000007'";
    place.sql("claims", edit);
    let ran = place.run(&["reconcile"]).exits(3);
    ran.says("P-00000007").says("may_open_claim").says("projection").says("claims must act").says("--repair");
    let json = place.run(&["reconcile", "claims/policy-eligibility", "--format", "json"]).exits(3).json();
    assert_eq!(json["schema"], "seamline/reconcile/v1");
    let links = json["subjects"][0]["links"].as_array().unwrap();
    let drift = links.iter().find(|link| link["link"] == "projection").unwrap()["drifts"][0].clone();
    assert_eq!(drift["kind"], "corrupt");
    assert_eq!(drift["owedBy"], "claims");
    place.run(&["case", "list"]).exits(0).says("claims/1").says("open");
    place.run(&["case", "close", "claims/1", "--because", "it looks well", "--yes"]).exits(4);
    place.run(&["reconcile", "--repair"]).exits(2).says("--yes");
    assert_eq!(place.number("claims", "SELECT count(*) FROM policy_eligibility WHERE may_open_claim = 0"), 1);
    place.run(&["reconcile", "--repair", "--dry-run"]).exits(3).says("nothing was written");
    place.run(&["reconcile", "--repair", "--yes"]).exits(0).says("compared again").says("closed 1 case:");
    assert_eq!(place.number("claims", "SELECT count(*) FROM policy_eligibility WHERE may_open_claim = 0"), 0);
    place.run(&["reconcile", "--repair", "--yes"]).exits(0).says("nothing to repair");
    let shown = place.run(&["case", "show", "claims/1"]).exits(0).out;
    let stages = ["opened", "repairing", "verifying", "closed"].map(|stage| shown.rfind(stage).unwrap());
    assert!(stages.is_sorted(), "{shown}");
}

#[test]
fn a_source_row_changed_without_publishing_is_the_producers_to_mend() {
    let place = settled(10);
    let edit = "UPDATE policy_current SET product = 'Cargo' WHERE policy_no = 'P-00000003'";
    place.sql("policy-administration", edit);
    let ran = place.run(&["reconcile"]).exits(3);
    ran.says("P-00000003").says("product").says("source").says("policy-administration must act");
    place.run(&["reconcile", "--repair", "--yes"]).exits(0).says("conclusion: clean");
    let copied = "SELECT count(*) FROM policy_copy WHERE policy_id = 'P-00000003' AND product = 'Cargo'";
    assert_eq!(place.number("crm", copied), 1);
}

#[test]
fn a_change_that_breaks_its_contract_waits_and_its_values_are_not_printed() {
    let place = settled(5);
    let broken = "UPDATE policy_current SET cover_to = '1999-12-31' WHERE policy_no = 'P-00000002'";
    place.sql("policy-administration", &format!("{broken}; {}", publish(2, "PolicyRenewed", None)));
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    let listed = place.run(&["quarantine", "list", "--format", "json"]).exits(0);
    assert!(!listed.out.contains("1999-12-31") && !listed.out.contains("Harbour"), "{}", listed.out);
    let item = listed.json()["items"][0]["item"].as_str().unwrap().to_owned();
    place.run(&["quarantine", "show", &item]).exits(0).says("masked");
    let because = ["--because", "tried again"];
    place
        .run(&["quarantine", "redrive", &item, because[0], because[1], "--dry-run"])
        .exits(0)
        .says("nothing was written");
    place
        .run(&["quarantine", "discard", &item, "--because", "entered twice", "--yes"])
        .exits(0)
        .says("discarded");
    place.run(&["case", "list"]).exits(0).says("quarantine");
    place.run(&["case", "show", "policy-administration/1"]).exits(0).says("entered twice");
    place
        .run(&["case", "ack", "policy-administration/1", "--because", "seen", "--yes"])
        .exits(0)
        .says("noted");
    place.run(&["status"]).exits(0).says("balanced");
}

#[test]
fn installing_again_changes_nothing_and_print_writes_nothing() {
    let place = Place::example("insurer");
    place.run(&["install", "claims", "--print"]).exits(0).says("CREATE TABLE").says("policy_eligibility");
    place.run(&["install", "claims", "--dry-run"]).exits(0).says("will be made");
    assert!(!place.file("claims").exists());
    place.tables();
    for context in CONTEXTS.iter().chain(&CONTEXTS) {
        place.run(&["install", context, "--yes"]).exits(0);
    }
}

#[test]
fn a_comparison_beside_a_running_agent_takes_its_lanes_and_gives_them_back() {
    let place = settled(20);
    let mut agent =
        place.command(&["agent", "--all", "--lease", "600"]).stdout(Stdio::null()).spawn().unwrap();
    for number in 21..=24 {
        let event = publish(number, "PolicyBound", None);
        place.sql("policy-administration", &format!("{}; {event}", bound(number)));
        let ran = place.run(&["reconcile"]);
        assert!(matches!(ran.code, Some(0 | 6)), "{}{}", ran.out, ran.err);
    }
    while place.number("claims", "SELECT count(*) FROM policy_eligibility") < 24 {
        assert_eq!(agent.try_wait().unwrap(), None, "it ended by itself");
        std::thread::yield_now();
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}

#[test]
fn bytes_that_are_no_message_wait_at_the_consumer_until_somebody_decides() {
    let place = settled(5);
    let topic =
        "SELECT number FROM log_topic WHERE name = 'policy-administration.policy.v2.eligibility.state'";
    place.sql(
        "log",
        &format!(
            "INSERT INTO log_record (topic, partition, offset, time, key, headers, value)
               SELECT topic, partition, next, 0, CAST('[\"P-00000001\"]' AS BLOB), '[]', x'736563726574'
                 FROM log_partition WHERE topic = ({topic}) AND partition = 0;
             UPDATE log_partition SET next = next + 1 WHERE topic = ({topic}) AND partition = 0"
        ),
    );
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    let listed = place.run(&["quarantine", "list", "claims", "--format", "json"]).exits(0);
    assert!(!listed.out.contains("secret"), "{}", listed.out);
    let item = listed.json()["items"][0]["item"].as_str().unwrap().to_owned();
    let shown = place.run(&["quarantine", "show", &item]).exits(0);
    assert!(!shown.out.contains("secret"), "{}", shown.out);
    place
        .run(&["quarantine", "redrive", &item, "--because", "once more", "--yes"])
        .exits(4)
        .says("still breaks");
    place
        .run(&["quarantine", "discard", &item, "--because", "nobody wrote it", "--yes"])
        .exits(0)
        .says("done");
    place.run(&["quarantine", "list", "claims"]).exits(0).says("0 items in quarantine");
    place.run(&["case", "show", "claims/1"]).exits(0).says("nobody wrote it");
    place.run(&["status"]).exits(0).says("balanced");
}
