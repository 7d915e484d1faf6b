//! Events and state of a contract that is sent at hours, between two contexts on SQLite.

use crate::fixture::Place;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Nobody runs the tests when the next of these hours comes.
const SELDOM: &str = "every 52w";

const TABLE: &str =
    "CREATE TABLE orders (order_id TEXT PRIMARY KEY, stage TEXT NOT NULL, postal_code TEXT NOT NULL)";

/// Returns an estate whose orders are sent at a cadence and promised so soon after it, installed.
fn place(cadence: &str, freshness: &str) -> Place {
    let place = Place::empty();
    place.run(&["init"]).exits(0);
    let order = "orders/order.contract.yaml";
    place.edit(order, "events:\n", &format!("events:\n  cadence: {cadence}\n"));
    place.edit(order, "state: {}", &format!("state: {{ cadence: {cadence} }}"));
    place.edit(order, "freshness: 1m p99", &format!("freshness: {freshness}"));
    let subscription = "delivery/shippable-orders.subscription.yaml";
    place.edit(
        subscription,
        "needs: { freshness: 5m, because",
        "reactsTo: [OrderReleased, OrderCancelled]\nneeds: { because",
    );
    let text = std::fs::read_to_string(place.root().join(subscription)).unwrap();
    let kept = text.lines().filter(|line| !line.starts_with("accepted:"));
    place.write(subscription, kept.map(|line| format!("{line}\n")).collect::<String>());
    place.sql("orders", TABLE);
    install(&place);
    place
}

fn install(place: &Place) {
    for context in ["orders", "delivery"] {
        place.run(&["install", context, "--yes"]).exits(0);
    }
}

/// Places an order and releases it, in two steps of its life.
fn released(place: &Place, number: u32) {
    let publish = |change: &str| {
        format!(
            "INSERT INTO seamline_publish (contract, change, key) VALUES ('order', '{change}', '[\"O-{number:06}\"]')"
        )
    };
    place.sql(
        "orders",
        &format!(
            "INSERT INTO orders VALUES ('O-{number:06}', 'held', '10115'); {}; \
             UPDATE orders SET stage = 'released' WHERE order_id = 'O-{number:06}'; {}",
            publish("OrderPlaced"),
            publish("OrderReleased")
        ),
    );
}

/// Lets what waits for its hour have been written before the last one.
fn let_the_hour_come(place: &Place) {
    let before =
        "UPDATE seamline_deferred SET written_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-365 days')";
    place.sql("orders", before);
}

fn carry(place: &Place) {
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
}

fn status(place: &Place) -> Value {
    place.run(&["status", "--format", "json"]).exits(0).json()
}

/// Returns what was published, what waits, and what of that for its hour.
fn source(place: &Place) -> [u64; 3] {
    let status = status(place);
    ["published", "waiting", "deferred"].map(|it| status["published"][0][it].as_u64().unwrap())
}

/// Returns how many records of state were handed over.
fn states(place: &Place) -> u64 {
    let status = status(place);
    let received = status["received"].as_array().unwrap();
    let state = received.iter().filter(|it| it["topic"].as_str().unwrap().ends_with(".state"));
    state.map(|it| it["handed"].as_u64().unwrap()).sum()
}

fn arrived(place: &Place) -> i64 {
    place.number("delivery", "SELECT count(*) FROM shippable_orders WHERE may_ship")
}

#[test]
fn rows_wait_for_their_hour_and_leave_as_a_batch_with_the_newest_state_of_each_key() {
    let place = place(SELDOM, "53w");
    for number in 1..=3 {
        released(&place, number);
    }
    carry(&place);
    assert_eq!(source(&place), [0, 6, 6], "idle is who has nothing to do before the next hour");
    assert_eq!(arrived(&place), 0);
    let told = place.run(&["status"]).exits(0);
    told.says("6 wait for 20");
    // A hundred more of one key: they are one state at their hour.
    for _ in 0..50 {
        place.sql(
            "orders",
            "INSERT INTO seamline_publish (contract, key) VALUES ('order', '[\"O-000002\"]'), ('order', '[\"O-000002\"]')",
        );
    }
    carry(&place);
    assert_eq!(source(&place), [0, 106, 106]);
    let_the_hour_come(&place);
    released(&place, 4);
    carry(&place);
    assert_eq!(source(&place), [106, 2, 2], "what came after the hour waits for the next");
    assert_eq!(arrived(&place), 3);
    assert_eq!(states(&place), 3, "the newest state of each key");
    let inbox = "SELECT count(*) FROM seamline_inbox";
    assert_eq!(place.number("delivery", inbox), 3, "each event that is reacted to");
    assert!(
        place.run(&["case", "list", "--closed", "--format", "json"]).out.contains("[]"),
        "nothing was late"
    );
}

#[test]
fn what_was_late_is_a_case_until_it_was_sent() {
    let place = place(SELDOM, "1s");
    released(&place, 1);
    carry(&place);
    assert_eq!(source(&place), [0, 2, 2]);
    let_the_hour_come(&place);
    carry(&place);
    assert_eq!((source(&place), arrived(&place)), ([2, 0, 0], 1));
    let cases = place.run(&["case", "list", "--closed", "--format", "json"]).out;
    assert!(cases.contains("what is sent of `orders/order@1` at its hour did not leave in time"), "{cases}");
    assert!(cases.contains("closed"), "{cases}");
    place.run(&["reconcile"]).exits(0);
}

#[test]
fn an_agent_that_runs_at_the_hour_sends() {
    let place = place("every 3s", "1h");
    let mut agent = place.command(&["agent", "--all", "--health", "off"]);
    let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    released(&place, 1);
    let patience = Instant::now() + Duration::from_secs(120);
    while source(&place) != [2, 0, 0] {
        assert!(Instant::now() < patience, "{}", status(&place));
        std::thread::sleep(Duration::from_millis(100));
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn what_is_no_longer_sent_at_hours_leaves_at_once() {
    let place = place(SELDOM, "53w");
    released(&place, 1);
    carry(&place);
    assert_eq!(arrived(&place), 0);
    let order = "orders/order.contract.yaml";
    place.edit(order, &format!("events:\n  cadence: {SELDOM}\n"), "events:\n");
    place.edit(order, &format!("state: {{ cadence: {SELDOM} }}"), "state: {}");
    install(&place);
    carry(&place);
    assert_eq!((source(&place), arrived(&place)), ([2, 0, 0], 1));
}

#[test]
fn channels_of_one_contract_leave_together_or_are_refused() {
    let place = place(SELDOM, "53w");
    place.edit("orders/order.contract.yaml", &format!("state: {{ cadence: {SELDOM} }}"), "state: {}");
    place.run(&["check"]).exits(1).says("CHANNELS_LEAVE_TOGETHER");
    place.run(&["install", "orders", "--yes"]).exits(1).says("run `seamline check` and mend them");
}
