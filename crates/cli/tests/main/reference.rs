//! Reference data between two contexts on SQLite: whole sets, from hand to hand.

use crate::fixture::Place;
use std::process::Stdio;
use std::time::{Duration, Instant};

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
id: rate
version: 1.0.0
status: active
meaning: What a currency is worth.
key: currency
attributes:
  currency: { type: string, meaning: 'What prices are told in.' }
  rate: { type: integer, min: 1, meaning: 'What it is worth.' }
reference: { cadence: CADENCE }
guarantees: { reference: { freshness: 1s } }
reconciliation: { every: 1d, page: 1 row, runbook: runbooks/order.md }
";

const PUBLICATION: &str = "apiVersion: seamline/v1
kind: Publication
id: rate
contract: rate
system: orders-db
table: rates
";

const SUBSCRIPTION: &str = "apiVersion: seamline/v1
kind: Subscription
id: rates
context: delivery
contract: orders/rate@1
purpose: shipping
needs: { because: 'Parcels are priced.' }
ON_DELETE
into:
  system: delivery-db
  table: rates
  columns: { currency: currency, rate: rate }
reconciliation: { every: 1d, page: 1 row }
";

/// Returns an estate with reference data, installed; its tables hold three rates.
fn place(cadence: &str, on_delete: &str) -> Place {
    let place = Place::empty();
    place.run(&["init"]).exits(0);
    place.write("orders/rate.contract.yaml", CONTRACT.replace("CADENCE", cadence));
    place.write("orders/rate.publication.yaml", PUBLICATION);
    place.write("delivery/rates.subscription.yaml", SUBSCRIPTION.replace("ON_DELETE", on_delete));
    place.sql(
        "orders",
        "CREATE TABLE orders (order_id TEXT PRIMARY KEY, stage TEXT NOT NULL, postal_code TEXT NOT NULL);
         CREATE TABLE rates (currency TEXT PRIMARY KEY, rate INTEGER NOT NULL);
         INSERT INTO rates VALUES ('A', 1), ('B', 2), ('C', 3)",
    );
    for context in ["orders", "delivery"] {
        place.run(&["install", context, "--yes"]).exits(0);
    }
    place
}

fn carry(place: &Place) {
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
}

const ASK: &str = "INSERT INTO seamline_publish_set (contract) VALUES ('rate')";

/// Returns the sets of `status`, by subject: number, rows, and whether one is late.
fn sets(place: &Place) -> Vec<(String, Option<u64>, Option<u64>, bool)> {
    let status = place.run(&["status", "--format", "json"]).exits(0).json();
    let set = |it: &serde_json::Value| {
        let subject = it["subject"].as_str().unwrap().to_owned();
        (subject, it["number"].as_u64(), it["rows"].as_u64(), !it["lateSince"].is_null())
    };
    status["sets"].as_array().unwrap().iter().map(set).collect()
}

#[test]
fn a_table_is_the_newest_set_and_nothing_else() {
    let place = place("continuous", "onDelete: delete");
    let none = ("delivery/rates".to_owned(), None, None, false);
    carry(&place);
    assert!(sets(&place).contains(&none), "nobody asked");
    place.sql("orders", ASK);
    carry(&place);
    assert_eq!(place.number("delivery", "SELECT sum(rate) FROM rates"), 6);
    place
        .sql("orders", &format!("DELETE FROM rates WHERE currency = 'A'; UPDATE rates SET rate = 10; {ASK}"));
    // What a hand wrote at the consumer goes with the next set.
    place.sql(
        "delivery",
        "INSERT INTO rates (currency, rate) VALUES ('Z', 1); UPDATE rates SET rate = 7 WHERE currency = 'B'",
    );
    carry(&place);
    assert_eq!(place.number("delivery", "SELECT count(*) FROM rates"), 2);
    assert_eq!(place.number("delivery", "SELECT sum(rate) FROM rates"), 20);
    let all = sets(&place);
    for subject in ["orders/rate@1", "delivery/rates"] {
        assert!(all.contains(&(subject.to_owned(), Some(2), Some(2), false)), "{all:?}");
    }
    // A key that was gone returns.
    place.sql("orders", &format!("INSERT INTO rates VALUES ('A', 5); {ASK}"));
    carry(&place);
    assert_eq!(place.number("delivery", "SELECT sum(rate) FROM rates"), 25);
    place.run(&["doctor", "--format", "json"]).exits(0);
}

#[test]
fn a_row_that_is_gone_is_marked_where_the_subscription_says_so() {
    let place = place("continuous", "onDelete: mark");
    for change in ["SELECT 1", "DELETE FROM rates WHERE currency = 'A'", "INSERT INTO rates VALUES ('A', 9)"]
    {
        place.sql("orders", &format!("{change}; {ASK}"));
        carry(&place);
        assert_eq!(place.number("delivery", "SELECT count(*) FROM rates"), 3, "{change}");
        let ended = i64::from(change.starts_with("DELETE"));
        assert_eq!(
            place.number("delivery", "SELECT count(*) FROM rates WHERE seamline_ended"),
            ended,
            "{change}"
        );
    }
    assert_eq!(place.number("delivery", "SELECT rate FROM rates WHERE currency = 'A'"), 9);
}

#[test]
fn a_late_set_is_told_and_a_broken_row_stops_the_set() {
    let place = place("every 1h", "onDelete: delete");
    let cases = || place.run(&["case", "list", "--format", "json"]).json().to_string();
    let is_late = || sets(&place).iter().any(|(subject, .., late)| subject == "delivery/rates" && *late);
    assert!(is_late());
    let mut agent = place.command(&["agent", "delivery", "--health", "off"]);
    let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !cases().contains("the set of `orders/rate@1` did not come in time") {
        assert!(Instant::now() < patience, "{}", cases());
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    carry(&place);
    assert!(!is_late());
    place.sql("orders", &format!("UPDATE rates SET rate = 0 WHERE currency = 'A'; {ASK}"));
    let ran = place.run(&["agent", "orders", "--until-idle", "--lease", "1"]);
    assert_ne!(ran.code, Some(0), "a set is due and cannot be sent");
    assert!(cases().contains("no set of `orders/rate@1` is sent"), "{}", cases());
    carry_what_can_be(&place);
    assert_eq!(place.number("delivery", "SELECT sum(rate) FROM rates"), 6, "the former set stays");
}

fn carry_what_can_be(place: &Place) {
    place.run(&["agent", "delivery", "--until-idle"]).exits(0);
}
