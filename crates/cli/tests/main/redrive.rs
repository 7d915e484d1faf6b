//! Quarantine tried again as a job: a whole issue or subject, at a source and at a consumer, whoever is killed meanwhile.

use crate::fixture::{Place, publish};
use std::process::Stdio;

const SUBSCRIPTION: &str = "claims/policy-eligibility";
const CONTRACT: &str = "policy-administration/policy.contract.yaml";
const STRICT: &str = "coverTo == null || coverFrom <= coverTo";
const MILD: &str = "coverTo == null || coverFrom != coverTo";
const SOURCE: &str = "policy-administration";
const BECAUSE: &str = "--because=the contract was too strict";

fn agent(place: &Place, context: &str) {
    place.run(&["agent", context, "--until-idle"]).exits(0);
}

fn ended_early(number: u32) -> String {
    let change = "claims_status = 'ineligible', cover_to = '2025-06-30'";
    let change = format!("UPDATE policy_current SET {change} WHERE policy_no = 'P-{number:08}'");
    format!("{change}; {}", publish(number, "PolicySuspended", Some("FRAUD_REVIEW")))
}

fn reinstated(number: u32) -> String {
    let change = "claims_status = 'eligible', cover_to = '2030-06-30'";
    let change = format!("UPDATE policy_current SET {change} WHERE policy_no = 'P-{number:08}'");
    format!("{change}; {}", publish(number, "PolicyReinstated", None))
}

/// Returns a place in which the first policies published what breaks the contract, and the first of all something after it.
fn broken(policies: u32, broken: u32) -> Place {
    let place = Place::insurer(policies);
    place.run(&["backfill", "policy-administration/policy", "--yes"]).exits(0);
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    let changes: Vec<String> = (1..=broken).map(ended_early).chain([reinstated(1)]).collect();
    place.sql(SOURCE, &changes.join("; "));
    place
}

fn waiting(place: &Place, context: &str) -> i64 {
    let table = if context == SOURCE { "seamline_quarantine" } else { "seamline_aside" };
    place.number(context, &format!("SELECT count(*) FROM {table}"))
}

fn issue(place: &Place, context: &str) -> String {
    let listed = place.run(&["quarantine", "list", context, "--format", "json"]).exits(0).json();
    listed["issues"][0]["issue"].as_str().unwrap().to_owned()
}

/// All were suspended; the first one was reinstated after that.
fn is_whole(place: &Place, suspended: i64) {
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    let closed = "SELECT count(*) FROM policy_eligibility WHERE may_open_claim = 0";
    assert_eq!(place.number("claims", closed), suspended - 1);
    let first =
        "SELECT count(*) FROM policy_eligibility WHERE policy_ref = 'P-00000001' AND cover_to = '2030-06-30'";
    assert_eq!(place.number("claims", first), 1, "what was published after it stands");
    let reactions = "SELECT count(*) FROM seamline_inbox";
    assert_eq!(place.number("claims", reactions), suspended, "each once");
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}

#[test]
fn an_issue_at_a_source_is_tried_again_as_a_job_with_what_waits_behind_it() {
    let place = broken(12, 5);
    agent(&place, SOURCE);
    assert_eq!(waiting(&place, SOURCE), 6);
    let id = issue(&place, SOURCE);
    let again = ["quarantine", "redrive", &id, BECAUSE, "--yes"];
    place.run(&again[..4]).exits(2).says("--yes");
    place.run(&["quarantine", "redrive", &id, BECAUSE, "--dry-run"]).exits(0).says("nothing was written");
    place.run(&["quarantine", "redrive", "q-00000000", BECAUSE, "--yes"]).exits(2).says("nothing of");
    place.run(&["quarantine", "redrive", "claims/policy", BECAUSE, "--yes"]).exits(2);
    place.run(&["quarantine", "redrive", SUBSCRIPTION, BECAUSE, "--yes"]).exits(2).says("nothing of");
    let one = ["quarantine", "redrive", "policy-administration/1", BECAUSE, "--yes", "--rate", "5"];
    place.run(&one).exits(2).says("is one message");
    // Nothing was mended yet: it comes back.
    let said = place.run(&again).exits(0).says("redrive 5 items of policy-administration/policy@2");
    said.says("6 messages tried again");
    agent(&place, SOURCE);
    assert_eq!(waiting(&place, SOURCE), 6);

    place.edit(CONTRACT, STRICT, MILD);
    let json = place.run(&["quarantine", "redrive", &id, BECAUSE, "--yes", "--format", "json"]);
    let json = json.exits(0).json();
    assert_eq!((&json["kind"], &json["stage"]), (&"redrive".into(), &"done".into()));
    assert_eq!((&json["progress"]["moved"], &json["orders"]["items"]), (&6.into(), &5.into()));
    assert_eq!(waiting(&place, SOURCE), 0);
    is_whole(&place, 5);
}

#[test]
fn all_of_a_contract_is_tried_again_with_a_rate_a_pause_and_an_end() {
    let place = broken(40, 40);
    agent(&place, SOURCE);
    place.edit(CONTRACT, STRICT, MILD);
    let slow = ["quarantine", "redrive", "policy-administration/policy", BECAUSE, "--yes", "--detach"];
    let slow = [&slow[..], &["--rate", "10"]].concat();
    place.run(&slow).exits(0).says("at most 10 in a second: in about 4 s").says("policy-administration/2");
    place.run(&slow).exits(4).says("has a job that is not over: policy-administration/2");
    place.run(&["job", "pause", "policy-administration/2", "--yes"]).exits(0);
    agent(&place, SOURCE);
    assert_eq!(waiting(&place, SOURCE), 41, "a paused job is not worked");
    place.run(&["job", "abort", "policy-administration/2", "--yes"]).exits(0);
    place.run(&slow).exits(0).says("policy-administration/3");
    let mut agent = place.command(&["agent", SOURCE, "--health", "off"]);
    let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while waiting(&place, SOURCE) > 21 {
        std::thread::yield_now();
    }
    place.run(&["job", "pause", "policy-administration/3", "--yes"]).exits(0);
    let left = waiting(&place, SOURCE);
    assert!((1..=21).contains(&left), "{left}");
    place.run(&["job", "show", "policy-administration/3"]).exits(0).says("messages tried again");
    place.run(&["job", "resume", "policy-administration/3", "--yes"]).exits(0);
    while waiting(&place, SOURCE) > 0 {
        std::thread::yield_now();
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    is_whole(&place, 40);
}

/// Runs the agent of a context again and again, and kills it each time.
fn killed(place: &Place, context: &str) {
    let mut delay_ms = 90;
    for _ in 0..5 {
        let mut agent = place.command(&["agent", context, "--lease", "1", "--health", "off"]);
        let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment is what is tested: from the first instructions to the middle of the work.
        delay_ms = (delay_ms * 733) % 1201;
        std::thread::sleep(std::time::Duration::from_millis(300 + delay_ms));
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
    place.run(&["agent", context, "--until-idle", "--lease", "1"]).exits(0);
}

#[test]
fn a_redrive_at_a_source_survives_the_end_of_everybody_who_works_it() {
    let place = broken(120, 120);
    agent(&place, SOURCE);
    place.edit(CONTRACT, STRICT, MILD);
    let id = issue(&place, SOURCE);
    let slow = ["quarantine", "redrive", &id, BECAUSE, "--yes", "--detach", "--rate", "30"];
    place.run(&slow).exits(0);
    killed(&place, SOURCE);
    place.run(&["job", "show", "policy-administration/2"]).exits(0).says("done");
    is_whole(&place, 120);
}

/// Returns a place where the consumer alone holds a contract that is too strict.
fn broken_at_claims(policies: u32, affected: u32) -> Place {
    let place = broken(policies, affected);
    place.edit(CONTRACT, STRICT, MILD);
    agent(&place, SOURCE);
    place.edit(CONTRACT, MILD, STRICT);
    agent(&place, "claims");
    place
}

#[test]
fn a_subscription_is_tried_again_by_whoever_holds_its_lanes() {
    let place = broken_at_claims(12, 5);
    let before = waiting(&place, "claims");
    assert!(before >= 4, "{before}");
    let all = ["quarantine", "redrive", SUBSCRIPTION, BECAUSE, "--yes"];
    place.run(&all).exits(6).says("4 stay").says("seamline quarantine list");
    assert_eq!(waiting(&place, "claims"), before);
    place.edit(CONTRACT, STRICT, MILD);
    let mut agent = place.command(&["agent", "claims", "--health", "off"]);
    let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    place.run(&all).exits(0).says("applied as if it were read now").says("4 messages tried again");
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(waiting(&place, "claims"), 0);
    is_whole(&place, 5);
}

#[test]
fn a_redrive_at_a_consumer_survives_the_end_of_everybody_who_works_it() {
    let place = broken_at_claims(120, 120);
    place.edit(CONTRACT, STRICT, MILD);
    let id = issue(&place, "claims");
    let slow = ["quarantine", "redrive", &id, BECAUSE, "--yes", "--detach", "--rate", "10"];
    place.run(&slow).exits(0);
    killed(&place, "claims");
    place.run(&["job", "show", "claims/1"]).exits(0).says("done");
    assert_eq!(waiting(&place, "claims"), 0);
    is_whole(&place, 120);
}
