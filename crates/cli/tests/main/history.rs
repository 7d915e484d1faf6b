//! Histories: what happened to keys, event by event, also under an older major, and what of it is missing.

use crate::fixture::{Place, publish};
use serde_json::Value;

const SUBSCRIPTION: &str = "claims/policy-eligibility";
const SOURCE: &str = "policy-administration";

fn moved(number: u32, status: &str, change: &str, reason: Option<&str>) -> String {
    let update =
        format!("UPDATE policy_current SET claims_status = '{status}' WHERE policy_no = 'P-{number:08}'");
    format!("{update}; {}", publish(number, change, reason))
}

/// Two policies were suspended, the first of them reinstated.
fn happened() -> Place {
    let place = Place::insurer(4);
    place.run(&["backfill", "policy-administration/policy", "--yes"]).exits(0);
    for change in [
        moved(1, "ineligible", "PolicySuspended", Some("FRAUD_REVIEW")),
        moved(2, "ineligible", "PolicySuspended", Some("MISSING_DISCLOSURE")),
        moved(1, "eligible", "PolicyReinstated", None),
    ] {
        place.sql(SOURCE, &change);
    }
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    place
}

fn history(place: &Place, file: &str, code: i32, more: &[&str]) -> Vec<Value> {
    let ask = ["replay", SUBSCRIPTION, "--yields", "auditState", "--yes", "--into", file];
    place.run(&[&ask[..], more].concat()).exits(code);
    lines(place, file)
}

fn lines(place: &Place, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place.root().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(lines: &[Value], key: &str) -> Vec<String> {
    let of_key = lines.iter().filter(|line| line["key"] == format!("[\"{key}\"]"));
    of_key.map(|line| line["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_history_is_written_event_by_event_and_touches_nobody() {
    let place = happened();
    let inbox = || place.number("claims", "SELECT count(*) FROM seamline_inbox");
    let before = inbox();
    let ask = ["replay", SUBSCRIPTION, "--yields", "auditState", "--yes"];
    place.run(&ask).exits(2).says("--into FILE");
    place.run(&[&ask[..], &["--into", "all", "--detach"]].concat()).exits(2).says("is no job");
    place
        .run(&["replay", SUBSCRIPTION, "--key", "P-00000001", "--into", "all"])
        .exits(2)
        .says("--yields auditState");
    let dry = [&ask[..4], &["--into", "all", "--dry-run"]].concat();
    place.run(&dry).exits(0).says("no reaction fires again").says("nothing was written");
    let told = place.run(&[&ask[..], &["--into", "all"]].concat()).exits(0);
    told.says("3 events of 2 keys are in `all`").says("the history is whole");
    place.run(&[&ask[..], &["--into", "all"]].concat()).exits(2).says("is there already");

    let all = lines(&place, "all");
    assert_eq!(events(&all, "P-00000001"), ["PolicySuspended", "PolicyReinstated"]);
    let first = all.iter().find(|line| line["key"] == "[\"P-00000001\"]").unwrap();
    assert_eq!((&first["previous"], &first["version"]), (&Value::Null, &"2.1.0".into()));
    assert_eq!(first["payload"]["reason"], "FRAUD_REVIEW");
    assert_eq!(first["payload"]["carries"]["claimsStatus"], "ineligible");
    let second = all.iter().rfind(|line| line["key"] == "[\"P-00000001\"]").unwrap();
    assert_eq!(second["previous"], first["sequence"]);

    let one = history(&place, "one", 0, &["--key", "P-00000002"]);
    assert_eq!((one.len(), events(&one, "P-00000002")), (1, vec!["PolicySuspended".to_owned()]));
    assert_eq!(history(&place, "none", 0, &["--until", "2001-01-01T00:00:00Z"]), [Value::Null; 0]);
    assert_eq!(history(&place, "later", 0, &["--incarnation", "1"]), [Value::Null; 0]);
    assert_eq!(history(&place, "slow", 0, &["--rate", "1000"]).len(), 3);
    assert_eq!(
        (inbox(), place.run(&["job", "list", "--over", "claims"]).out.contains("replay")),
        (before, false)
    );
}

#[test]
fn a_history_whose_beginning_is_gone_says_so() {
    let place = happened();
    let topic =
        "(SELECT number FROM log_topic WHERE name = 'policy-administration.policy.v2.eligibility.events')";
    let gone = "DELETE FROM log_record WHERE CAST(key AS TEXT) = '[\"P-00000001\"]' AND topic = ";
    let first = "AND offset = (SELECT min(offset) FROM log_record it WHERE it.key = log_record.key AND it.topic = log_record.topic)";
    place.sql("log", &format!("{gone}{topic} {first}"));
    let left = history(&place, "left", 6, &["--key", "P-00000001"]);
    assert_eq!(events(&left, "P-00000001"), ["PolicyReinstated"]);
    let ask =
        ["replay", SUBSCRIPTION, "--yields", "auditState", "--yes", "--into", "json", "--format", "json"];
    let told = place.run(&ask).exits(6).json();
    assert_eq!((&told["whole"], &told["midway"], &told["events"]), (&false.into(), &1.into(), &2.into()));
    assert_eq!(history(&place, "other", 0, &["--key", "P-00000002"]).len(), 1, "what is asked for is whole");
}

#[test]
fn an_era_is_read_as_the_newest_major_and_a_promise_is_needed() {
    let place = Place::example("first");
    let contract = "orders/order.contract.yaml";
    place.sql(
        "orders",
        "CREATE TABLE orders (order_id TEXT PRIMARY KEY, stage TEXT NOT NULL, postal_code TEXT NOT NULL)",
    );
    let audit = ["replay", "delivery/shippable-orders", "--yields", "auditState", "--yes", "--into", "past"];
    place.run(&["install", "orders", "--yes"]).exits(0);
    place.run(&["install", "delivery", "--yes"]).exits(0);
    place.run(&audit).exits(2).says("promises `currentState` of a replay of its events");
    place.edit(contract, "replay: currentState", "replay: auditState");
    let publish = "INSERT INTO seamline_publish (contract, change, key) VALUES ('order'";
    place.sql(
        "orders",
        &format!("INSERT INTO orders VALUES ('O-000001', 'released', '20095'); {publish}, 'OrderReleased', '[\"O-000001\"]')"),
    );
    place.run(&["accept", "delivery/shippable-orders", "--yes"]);
    place.run(&["agent", "orders", "--until-idle"]).exits(0);
    place.run(&["agent", "delivery", "--until-idle"]).exits(0);

    let text = std::fs::read_to_string(place.root().join(contract)).unwrap();
    place.write("orders/order@1.contract.yaml", &text);
    place.edit(contract, "version: 1.0.0", "version: 2.0.0");
    place.edit(
        contract,
        "OrderReleased: { meaning: 'The goods may leave from now on.'",
        "OrderCleared: { meaning: 'Paid, and the goods may leave.'",
    );
    let serves = "serves:
  - version: 1
    until: 2099-06-30
    read: { stage: \"stage\" }
    write: { stage: \"stage\" }
    events: { OrderReleased: OrderCleared }
changes:
  - { version: 2.0.0, renamed: { OrderReleased: OrderCleared }, because: 'It waits for the money now.' }
";
    let text = std::fs::read_to_string(place.root().join(contract)).unwrap();
    place.write(contract, format!("{text}{serves}"));
    place.edit("delivery/shippable-orders.subscription.yaml", "orders/order@1", "orders/order@2");
    place.run(&["accept", "delivery/shippable-orders", "--yes"]).exits(0);
    place.run(&["install", "orders", "--yes"]).exits(0);
    place.run(&["install", "delivery", "--yes"]).exits(0);
    place.run(&["agent", "--all", "--until-idle"]).exits(0);

    place.run(&audit).exits(0).says("0 events of 0 keys");
    let older = [&audit[..6], &["older", "--era", "1"]].concat();
    place.run(&older).exits(0).says("1 event of 1 key");
    let older = lines(&place, "older");
    assert_eq!((&older[0]["event"], &older[0]["version"]), (&"OrderCleared".into(), &"1.0.0".into()));
    assert_eq!(older[0]["payload"]["change"], "OrderCleared");
    let none = [&audit[..6], &["none", "--era", "7"]].concat();
    place.run(&none).exits(2).says("has no major 7 whose history it reads");
    // The newest major's state holds nothing that was written under the older one.
    let state = ["replay", "delivery/shippable-orders", "--era", "1", "--yes"];
    place.run(&state).exits(0).says("no row differs");
}
