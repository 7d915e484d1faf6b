//! What operators see and say of the comparisons that agents make, and of the cases that these open.

use crate::fixture::{Place, Ran};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const ORDERS: &str =
    "CREATE TABLE orders (order_id TEXT PRIMARY KEY, stage TEXT NOT NULL, postal_code TEXT NOT NULL);
     INSERT INTO orders VALUES ('O-000001', 'held', '20457'), ('O-000002', 'released', '10115')";

const COPY: &str = "delivery/shippable-orders";

/// A shop whose orders delivery has copied.
fn shop() -> Place {
    let place = Place::example("first");
    place.sql("orders", ORDERS);
    for context in ["orders", "delivery"] {
        place.run(&["install", context, "--yes"]).exits(0);
    }
    place.run(&["backfill", "orders/order", "--yes"]).exits(0);
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    place
}

fn subject(place: &Place, name: &str) -> Value {
    let all = place.run(&["pass", "list", "--format", "json"]).exits(0).json();
    let subjects = all["subjects"].as_array().unwrap();
    subjects.iter().find(|it| it["subject"] == name).unwrap_or_else(|| panic!("no {name}: {all}")).clone()
}

/// An agent at work, which is told to stop when it is dropped.
struct AtWork(Child);

impl Drop for AtWork {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what} did not come about");
    }
}

#[test]
fn an_agent_at_work_compares_by_itself_and_its_case_is_repaired_by_number() {
    let place = shop();
    place.edit("delivery/shippable-orders.subscription.yaml", "every: 1h", "every: 1s");
    place.sql("delivery", "DELETE FROM shippable_orders WHERE order_id = 'O-000002'");
    let mut agent =
        place.command(&["agent", "--all", "--health", "off", "--requests", "off", "--lease", "2"]);
    let agent = AtWork(agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until("drift", || subject(&place, COPY)["last"]["conclusion"] == "drift");
    let last = subject(&place, COPY)["last"].clone();
    assert!(last["bytes"].as_u64() > Some(0) && last["drifted"] == 1 && last["rows"] == 1, "{last}");
    assert_eq!(last["facts"]["kinds"]["projection missing"], "1", "{last}");
    until("a case", || place.run(&["case", "list"]).out.contains("delivery/1  drift  open"));
    let shown = place.run(&["case", "show", "delivery/1"]).exits(0);
    let shown = shown.says("1 missing on link projection: the row, of `true`; the row was deleted by hand");
    shown.says("next: seamline case repair delivery/1 --dry-run");
    drop(agent);
    place.run(&["case", "repair", "delivery/1", "--dry-run"]).exits(3).says("nothing was written");
    place.run(&["case", "repair", "delivery/1", "--yes"]).exits(0).says("closed 1 case");
    place.run(&["case", "repair", "delivery/1", "--yes"]).exits(2).says("closed already");
    assert_eq!(place.number("delivery", "SELECT count(*) FROM shippable_orders"), 2);
    let text = place.run(&["pass", "show", COPY]).exits(0);
    text.says("called from 1 row on").says("true   1         1");
}

#[test]
fn a_subject_is_paused_with_a_reason_and_resumed() {
    let place = shop();
    place.run(&["pass", "list"]).exits(0).says("never compared").says("no agent saw it yet");
    place.run(&["pass", "pause", COPY, "--because", "a migration"]).exits(2).says("--yes");
    let paused = place.run(&["pass", "pause", COPY, "--because", "a migration", "--yes"]).exits(0);
    paused.says("delivery/shippable-orders is paused");
    assert_eq!(subject(&place, COPY)["paused"], "a migration");
    place.run(&["reconcile", COPY]).exits(0).says("conclusion: clean");
    assert_eq!(subject(&place, COPY)["last"]["conclusion"], "clean", "who asks by hand is answered");
    place.run(&["pass", "resume", COPY, "--yes"]).exits(0).says("goes on");
    place.run(&["pass", "resume", COPY, "--yes"]).exits(2).says("is not paused");
    place.run(&["pass", "show", "delivery/nothing"]).exits(2).says("there is no contract or subscription");
}

#[test]
fn what_people_mend_has_no_plan_and_names_the_runbook() {
    let place = shop();
    let subscription = "delivery/shippable-orders.subscription.yaml";
    place.edit(subscription, "every: 1h", "repair: manual, every: 1h");
    place.sql("delivery", "DELETE FROM shippable_orders WHERE order_id = 'O-000002'");
    let ran = place.run(&["reconcile", COPY, "--repair", "--yes"]).exits(3);
    ran.says("people mend it, after `runbooks/order.md`").says("nothing to repair");
    assert_eq!(place.number("delivery", "SELECT count(*) FROM shippable_orders"), 1);
    place.edit(subscription, "repair: manual, ", "");
    place.run(&["reconcile", COPY, "--repair", "--yes"]).exits(0);
    assert_eq!(place.number("delivery", "SELECT count(*) FROM shippable_orders"), 2);
}

#[test]
fn a_report_is_signed_and_one_that_was_changed_proves_nothing() {
    let place = shop();
    let with_key = |key: &str, arguments: &[&str]| {
        Ran::of(&place.command(arguments).env("SEAMLINE_REPORT_KEY", key).output().unwrap())
    };
    let report = ["reconcile", "--report", "report.json"];
    place.run(&report).exits(2).says("SEAMLINE_REPORT_KEY_FILE");
    with_key("short", &report).exits(2).says("shorter than 16 bytes");
    with_key("the auditors know this", &report).exits(0);
    let verify = ["pass", "verify", "report.json"];
    with_key("the auditors know this", &verify).exits(0).says("conclusion clean");
    with_key("somebody else knows that", &verify).exits(1).says("another key");
    place.write("key", "the auditors know this\n");
    let mut by_file = place.command(&verify);
    Ran::of(&by_file.env("SEAMLINE_REPORT_KEY_FILE", place.root().join("key")).output().unwrap()).exits(0);
    place.edit("report.json", "\"conclusion\":\"clean\"", "\"conclusion\":\"drift\"");
    with_key("the auditors know this", &verify).exits(1).says("was changed since it was signed");
}
