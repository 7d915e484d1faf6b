//! Jobs: a projection derived anew, merged, paused, ended, worked on after every kill; and what they leave alone.

use crate::fixture::{Place, bound, publish};
use std::process::Stdio;

const SUBSCRIPTION: &str = "claims/policy-eligibility";
const FILE: &str = "claims/policy-eligibility.subscription.yaml";

fn settled(policies: u32) -> Place {
    let place = Place::insurer(policies);
    place.run(&["backfill", "policy-administration/policy", "--yes"]).exits(0).says("rows are in the outbox");
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    place
}

fn spoil(place: &Place) {
    place.sql("claims", "UPDATE policy_eligibility SET may_open_claim = 0 WHERE policy_ref = 'P-00000007'");
    place.sql("claims", "DELETE FROM policy_eligibility WHERE policy_ref = 'P-00000003'");
}

fn suspend(place: &Place, number: u32) {
    let change = format!(
        "UPDATE policy_current SET claims_status = 'ineligible' WHERE policy_no = 'P-{number:08}'; {}",
        publish(number, "PolicySuspended", Some("FRAUD_REVIEW"))
    );
    place.sql("policy-administration", &change);
}

fn rows(place: &Place, condition: &str) -> i64 {
    place.number("claims", &format!("SELECT count(*) FROM policy_eligibility WHERE {condition}"))
}

#[test]
fn a_rehearsal_tells_what_would_change_and_changes_nothing() {
    let place = settled(20);
    place.run(&["rehearse", SUBSCRIPTION]).exits(0).says("no row differs");
    spoil(&place);
    let told = place.run(&["rehearse", SUBSCRIPTION]).exits(3);
    let told = told.says("touches nobody").says("no reaction fires again").says("1 row to write");
    let told = told.says("1 row to change").says("may_open_claim: 1").says("false → true: 1");
    told.says("next: seamline rehearse claims/policy-eligibility --merge");
    assert_eq!((rows(&place, "1"), rows(&place, "may_open_claim = 0")), (19, 1));
    let json = place.run(&["rehearse", SUBSCRIPTION, "--format", "json"]).exits(3).json();
    assert_eq!(json["schema"], "seamline/job/v1");
    assert_eq!(json["progress"]["found"]["missing"], 1);
    let id = json["job"].as_str().unwrap();
    place.run(&["job", "show", id]).exits(3).says("rehearse").says("2 rows differ");
    place.run(&["job", "list"]).exits(0).says("0 jobs");
    place.run(&["job", "list", "--over"]).exits(0).says(id);
}

#[test]
fn a_merge_mends_rows_fires_no_reaction_and_leaves_all_links_clean() {
    let place = settled(20);
    suspend(&place, 5);
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    let inbox = || place.number("claims", "SELECT count(*) FROM seamline_inbox");
    let before = inbox();
    spoil(&place);
    place.sql("claims", "INSERT INTO policy_eligibility (policy_ref) VALUES ('P-99999999')");
    place.run(&["rehearse", SUBSCRIPTION, "--merge"]).exits(2).says("--yes");
    place.run(&["rehearse", SUBSCRIPTION, "--merge", "--dry-run"]).exits(0).says("nothing was written");
    let merged = place.run(&["rehearse", SUBSCRIPTION, "--merge", "--yes"]).exits(0);
    merged.says("touches the readers of `policy_eligibility`").says("compared again: no row differs");
    assert_eq!((rows(&place, "1"), rows(&place, "may_open_claim = 0")), (20, 1));
    assert_eq!((before, inbox()), (1, 1));
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}

#[test]
fn a_changed_translation_is_previewed_and_takes_effect_by_a_merge() {
    let place = settled(10);
    let path = place.root().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replace("claimsStatus == 'eligible'", "claimsStatus != 'eligible'");
    assert_ne!(text, changed);
    std::fs::write(&path, changed).unwrap();
    let told = place.run(&["rehearse", SUBSCRIPTION]).exits(3).says("the translation is another");
    told.says("may_open_claim: 10").says("true → false: 10");
    assert_eq!(rows(&place, "may_open_claim = 1"), 10, "the preview changes nothing");
    place.run(&["status"]).exits(0).says("another translation");
    place.run(&["rehearse", SUBSCRIPTION, "--merge", "--yes"]).exits(0);
    assert_eq!(rows(&place, "may_open_claim = 0"), 10);
    let said = place.run(&["status"]).exits(0);
    assert!(!said.out.contains("another translation"), "{}", said.out);
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}

#[test]
fn a_new_column_is_added_empty_and_filled_by_a_merge() {
    let place = settled(6);
    let path = place.root().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let column = "    until_day: coverTo\n";
    std::fs::write(
        &path,
        text.replace("    cover_to: coverTo\n", &format!("    cover_to: coverTo\n{column}")),
    )
    .unwrap();
    place.run(&["rehearse", SUBSCRIPTION]).exits(4).says("seamline install claims");
    place.run(&["job", "list"]).exits(0).says("0 jobs");
    place.run(&["install", "claims", "--yes"]).exits(0);
    assert_eq!(rows(&place, "until_day IS NULL"), 6);
    place.run(&["reconcile", SUBSCRIPTION]).exits(3).says("as it was written: by another translation");
    place
        .run(&["rehearse", SUBSCRIPTION])
        .exits(3)
        .says("+ until_day: coverTo")
        .says("no value → 9999-99-99: 6");
    place.run(&["rehearse", SUBSCRIPTION, "--merge", "--yes"]).exits(0);
    assert_eq!(rows(&place, "until_day = cover_to"), 6);
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}

#[test]
fn a_replay_touches_only_what_was_asked_for() {
    let place = settled(10);
    place.sql("claims", "UPDATE policy_eligibility SET may_open_claim = 0");
    place.run(&["replay", SUBSCRIPTION, "--yes"]).exits(2).says("--key");
    place.run(&["replay", SUBSCRIPTION, "--key", "[\"a\",\"b\"]", "--yes"]).exits(2);
    let two = ["replay", SUBSCRIPTION, "--key", "P-00000002", "--key", "P-00000004", "--yes"];
    place.run(&two).exits(0).says("2 rows differed, 2 merged");
    assert_eq!(rows(&place, "may_open_claim = 1"), 2);
    let none = ["replay", SUBSCRIPTION, "--until", "2001-01-01T00:00:00Z", "--yes"];
    place.run(&none).exits(0).says("no row differs");
    assert_eq!(rows(&place, "may_open_claim = 1"), 2);
    let all = ["replay", SUBSCRIPTION, "--from", "2001-01-01T00:00:00Z", "--yes"];
    place.run(&all).exits(0);
    assert_eq!(rows(&place, "may_open_claim = 1"), 10);
}

#[test]
fn a_job_waits_is_paused_resumed_and_ended_and_its_subject_has_one_at_a_time() {
    let place = settled(5);
    spoil(&place);
    let detached = ["rehearse", SUBSCRIPTION, "--merge", "--yes", "--detach"];
    place.run(&detached).exits(0).says("next: seamline job show claims/1");
    place.run(&["rehearse", SUBSCRIPTION]).exits(4).says("has a job that is not over: claims/1");
    place.run(&["job", "pause", "claims/1"]).exits(2).says("--yes");
    place.run(&["job", "pause", "claims/1", "--yes"]).exits(0).says("claims/1 is paused");
    place.run(&["job", "pause", "claims/1", "--yes"]).exits(4).says("is paused: it cannot pause");
    place.run(&["agent", "claims", "--until-idle"]).exits(0);
    assert_eq!(rows(&place, "1"), 4, "a paused job is not worked");
    place.run(&["job", "resume", "claims/1", "--yes"]).exits(0);
    place.run(&["agent", "claims", "--until-idle"]).exits(0);
    place.run(&["job", "show", "claims/1"]).exits(0).says("done").says("no row differs");
    assert_eq!(rows(&place, "1"), 5);
    place.run(&detached).exits(0);
    place.run(&["job", "abort", "claims/2", "--yes"]).exits(0).says("claims/2 is aborted");
    place.run(&["job", "resume", "claims/2", "--yes"]).exits(4);
    place.run(&["job", "show", "claims/9"]).exits(2).says("there is no job");
    place.run(&["job", "show", "nine"]).exits(2).says("is no job");
    place.run(&["rehearse", SUBSCRIPTION]).exits(0);
}

#[test]
fn a_job_survives_the_end_of_everybody_who_works_it() {
    let place = settled(200);
    place.sql("claims", "DELETE FROM policy_eligibility WHERE policy_ref > 'P-00000100'");
    let rate = ["rehearse", SUBSCRIPTION, "--merge", "--yes", "--detach", "--rate", "40"];
    place.run(&rate).exits(0);
    let mut delay_ms = 90;
    for _ in 0..6 {
        let mut agent = place.command(&["agent", "claims", "--lease", "1", "--health", "off"]);
        let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment is what is tested: from the first instructions to the middle of the work.
        delay_ms = (delay_ms * 733) % 1201;
        std::thread::sleep(std::time::Duration::from_millis(300 + delay_ms));
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
    place.run(&["agent", "claims", "--until-idle", "--lease", "1"]).exits(0);
    place.run(&["job", "show", "claims/1"]).exits(0).says("done");
    assert_eq!(rows(&place, "1"), 200);
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}

#[test]
fn a_backfill_is_a_job_with_a_rate() {
    let place = Place::insurer(30);
    let detached = ["backfill", "policy-administration/policy", "--yes", "--detach"];
    place.run(&detached).exits(0).says("policy-administration/1");
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    place.run(&["job", "show", "policy-administration/1"]).exits(0).says("30 of 30 rows published");
    assert_eq!(rows(&place, "1"), 30);
    let again = ["backfill", "policy-administration/policy", "--yes", "--rate", "5000"];
    place.run(&again).exits(0).says("30 rows are in the outbox");
}

#[test]
fn a_position_in_another_cluster_is_recognised_and_bootstrapped() {
    let place = settled(12);
    suspend(&place, 5);
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    let inbox = place.number("claims", "SELECT count(*) FROM seamline_inbox");
    let state = "subscription = 'claims/policy-eligibility' AND topic LIKE '%.state'";
    let moved = "UPDATE seamline_lane SET cluster = 'elsewhere', offset = offset + 1000";
    place.sql("claims", &format!("{moved} WHERE {state}"));
    let change = "UPDATE policy_current SET cover_to = '2031-01-01', annual_premium = '300.00' WHERE policy_no = 'P-00000002'";
    place.sql("policy-administration", &format!("{change}; {}", publish(2, "PolicyRenewed", None)));
    place.sql("policy-administration", &format!("{}; {}", bound(13), publish(13, "PolicyBound", None)));
    place.sql("claims", "DELETE FROM policy_eligibility WHERE policy_ref = 'P-00000001'");
    place.run(&["agent", "policy-administration", "--until-idle"]).exits(0);
    let mut agent = place.command(&["agent", "claims", "--health", "off"]);
    let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while place.number("claims", "SELECT count(*) FROM seamline_case WHERE kind = 'topic'") < 4 {
        assert_eq!(agent.try_wait().unwrap(), None, "it ended by itself");
        std::thread::yield_now();
    }
    let bootstrap = "`seamline bootstrap claims/policy-eligibility` mends it";
    place.run(&["case", "list", "claims"]).exits(0).says(bootstrap);
    place
        .run(&["rehearse", SUBSCRIPTION])
        .exits(6)
        .says("next: seamline bootstrap claims/policy-eligibility");
    assert_eq!(rows(&place, "1"), 11, "readers read what was there");
    // The agent that stands still does it.
    place.run(&["bootstrap", SUBSCRIPTION, "--yes"]).exits(0).says("compared again: no row differs");
    assert_eq!((rows(&place, "1"), rows(&place, "cover_to = '2031-01-01'")), (13, 1));
    place.run(&["case", "list", "claims"]).exits(0).says("0 cases");
    place.sql("policy-administration", &format!("{}; {}", bound(14), publish(14, "PolicyBound", None)));
    agent.kill().unwrap();
    agent.wait().unwrap();
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    assert_eq!(rows(&place, "1"), 14, "and it goes on");
    assert_eq!(place.number("claims", "SELECT count(*) FROM seamline_inbox"), inbox);
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}
