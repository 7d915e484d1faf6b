//! Trying an estate: what is drawn from its contracts runs clean, what is injected is found and blamed, and the same seed does
//! the same.

use crate::fixture::{Place, Ran};
use serde_json::Value;
use std::collections::BTreeMap;

fn objects(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Tries an example, and returns what it said.
fn tried(example: &str, arguments: &[&str], code: i32) -> Vec<Value> {
    let place = Place::example(example);
    let mut all = vec!["try", "--json"];
    all.extend(arguments);
    objects(&place.run(&all).exits(code))
}

/// Returns how often each event of each contract was published.
fn events(objects: &[Value]) -> BTreeMap<String, u64> {
    let mut events = BTreeMap::new();
    for it in objects.iter().filter(|it| it["played"].is_string()) {
        for (name, count) in it["events"].as_object().unwrap() {
            events.insert(format!("{}.{name}", it["played"].as_str().unwrap()), count.as_u64().unwrap());
        }
    }
    events
}

/// Returns what was injected and found, without what differs from run to run.
fn told(objects: &[Value]) -> Vec<String> {
    let told = objects.iter().filter(|it| it["injected"].is_string() || it["found"].is_string());
    let mut told: Vec<String> = told
        .map(|it| format!("{} {} {} {}", it["injected"], it["found"], it["key"], it["context"]))
        .collect();
    told.sort();
    told
}

#[test]
fn every_fault_in_the_insurer_is_absorbed_or_found_and_mended() {
    let objects = tried("insurer", &["--changes", "300"], 0);
    let verdict = objects.last().unwrap();
    assert_eq!(verdict["verdict"], "clean", "{verdict}");
    assert_eq!(verdict["accounting"], "balanced", "{verdict}");
    let faults = verdict["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 11);
    for fault in faults {
        let count = |name: &str| fault[name].as_u64().unwrap();
        assert_eq!(count("injected"), 2, "{fault}");
        assert_eq!(count("absorbed") + count("found"), 2, "{fault}");
        assert_eq!(count("repaired"), count("found"), "{fault}");
    }
    let events = events(&objects);
    assert_eq!(events.len(), 11);
    let silent: Vec<_> = events.iter().filter(|(_, count)| **count == 0).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn chinook_with_keys_at_the_edges_is_clean_where_nothing_is_injected_and_mended_where_something_is() {
    let objects = tried("chinook", &["--changes", "250", "--faults", "none"], 0);
    assert!(told(&objects).is_empty(), "{objects:?}");
    tried("chinook", &["--faults", "edit,delete,insert,unpublished,invalid"], 0);
}

#[test]
fn the_same_seed_does_the_same_and_another_does_another() {
    let run = |seed: &str| {
        let objects = tried("insurer", &["--changes", "120", "--seed", seed], 0);
        (events(&objects), told(&objects))
    };
    let first = run("3");
    assert!(!first.1.is_empty());
    assert_eq!(run("3"), first);
    assert_ne!(run("4"), first);
}

#[test]
fn what_is_not_mended_exits_with_3() {
    let objects = tried("insurer", &["--changes", "120", "--faults", "edit", "--no-repair"], 3);
    assert_eq!(objects.last().unwrap()["verdict"], "drift");
}

const ESTATE: &str =
    "apiVersion: seamline/v1\nkind: Estate\nroots: [.]\ndefaults: { zone: UTC, classification: internal }\n";
const CONTEXT: &str = "apiVersion: seamline/v1\nkind: Context\nmeaning: A shop.\nteam: shop\n\
    systems: { shop: { engine: mysql, meaning: Everything. } }\n";

/// A contract whose invariants are `invariants`, with a composite key, published from a table.
fn shop(feed: &str, invariants: &str) -> Place {
    let place = Place::empty();
    place.write("seamline.yaml", ESTATE);
    place.write("shop/shop.context.yaml", CONTEXT);
    let contract = format!(
        "apiVersion: seamline/v1\nkind: Contract\nversion: 1.0.0\nstatus: active\nmeaning: An offer of a shop.\nkey: [branch, number]\n\
         attributes:\n\
         \x20 branch: {{ type: enum, meaning: Where it is., values: {{ north: One end., south: The other end. }} }}\n\
         \x20 number: {{ type: integer, min: 1, meaning: Which one. }}\n\
         \x20 low: {{ type: 'decimal(9,2)', unit: EUR, meaning: The least price. }}\n\
         \x20 high: {{ type: 'decimal(9,2)', unit: EUR, meaning: The greatest price. }}\n\
         \x20 kind: {{ type: string, meaning: What it is. }}\n\
         \x20 from: {{ type: date, meaning: First day. }}\n\
         invariants: {invariants}\n\
         events:\n\x20 OfferMade: {{ meaning: It was offered., sets: [low, high], with: [kind] }}\nstate: {{}}\n"
    );
    place.write("shop/offer.contract.yaml", contract);
    let publication = format!(
        "apiVersion: seamline/v1\nkind: Publication\ncontract: offer\nsystem: shop\ntable: offer\nfeed: {feed}\n"
    );
    place.write("shop/offer.publication.yaml", publication);
    place
}

#[test]
fn invariants_that_chance_would_never_meet_are_solved() {
    let invariants = "{ same: low == high, tool: \"kind == 'tool'\", day: \"from == date('2026-02-28')\", some: \"low > decimal('17')\" }";
    let ran = shop("outbox", invariants).run(&["try", "--json", "--faults", "none", "--changes", "60"]);
    let objects = objects(&ran.exits(0));
    assert!(events(&objects)["shop/offer.OfferMade"] > 10, "{objects:?}");
    assert_eq!(objects.last().unwrap()["published"], 60);
}

#[test]
fn what_cannot_be_tried_is_said_and_leaves_the_verdict_open() {
    let never = "{ one: 'low < high', other: 'high < low' }";
    let ran = shop("outbox", never).run(&["try", "--changes", "20"]).exits(6);
    ran.says("contract shop/offer: no row that keeps it was found").says("shop/shop is MySQL");
    shop("snapshot", "{}").run(&["try"]).exits(2).says("feed is `snapshot`").says("help: ");
    Place::example("insurer").run(&["try", "--faults", "gremlins"]).exits(2).says("there is no fault");
    Place::example("insurer").run(&["try", "--changes", "0"]).exits(2).says("help: ");
}

#[test]
fn a_contract_with_every_type_and_a_long_decimal_in_its_key_is_clean() {
    let thing = include_str!("../../../../fuzz/seeds/parser/thing.contract.yaml");
    let cost =
        "attributes:\n  cost: { type: 'decimal(28,3)', unit: EUR, meaning: What one of it costs. }\n  id:";
    let thing = thing.replacen("attributes:\n  id:", cost, 1).replace("key: [id, number]", "key: [id, cost]");
    let place = Place::empty();
    place.write("seamline.yaml", ESTATE);
    place.write("proof/proof.context.yaml", CONTEXT);
    place.write("proof/thing.contract.yaml", thing.replace("for: [proof]", "for: [reader]"));
    let head = "apiVersion: seamline/v1\nkind:";
    place.write(
        "proof/thing.publication.yaml",
        format!("{head} Publication\ncontract: thing\nsystem: shop\ntable: thing\n"),
    );
    place.write("reader/reader.context.yaml", CONTEXT);
    let columns = "id: id, cost: cost, number: number, stage: stage, title: title, amount: amount, about: about, \
        is_open: isOpen, due_on: dueOn, seen_at: seenAt, lasts: lasts, mark: mark, place: place, town: place.town, \
        notes: notes, lines: lines";
    let subscription = format!(
        "{head} Subscription\ncontract: proof/thing@1\npurpose: proof\nonDelete: mark\nneeds: {{ freshness: 5m, because: It is a proof. }}\n\
         into: {{ system: shop, table: things, columns: {{ {columns} }} }}\nreconciliation: {{ every: 1h, page: 1 row }}\n"
    );
    place.write("reader/things.subscription.yaml", subscription);
    let objects = objects(&place.run(&["try", "--json"]).exits(0));
    assert!(events(&objects).values().all(|count| *count > 0), "{objects:?}");
    assert_eq!(objects.last().unwrap()["faults"].as_array().unwrap().len(), 11);
}
