//! Who uses a thing: directly, and through what is carried, computed, derived and served.

use crate::pages::Files;
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::consumers::{Thing, consumers};

const HEAD: &str = "apiVersion: seamline/v1\nkind: ";

fn estate() -> Files {
    let documents = [
        ("orders/orders.context.yaml", "Context\nmeaning: Takes orders.\nteam: order-team\n"),
        (
            "desk/desk.context.yaml",
            "Context\nmeaning: Answers.\nteam: desk-team\nsystems: { db: { engine: sqlite } }\n",
        ),
        (
            "board/board.context.yaml",
            "Context\nmeaning: Shows.\nteam: board-team\nsystems: { db: { engine: sqlite } }\n",
        ),
        (
            "orders/order.contract.yaml",
            "Contract\nversion: 2.0.0\nstatus: active\nmeaning: What was ordered.\nkey: orderId\nattributes:\n  \
             orderId: { type: string, meaning: Names it. }\n  \
             stage: { type: enum, meaning: How far it is., values: { open: Waits., done: Was sent., lost: Is gone. } }\n  \
             note: { type: string, meaning: What the buyer wrote. }\n  \
             spare: { type: string, meaning: Nobody reads it. }\n\
             events:\n  \
             OrderSent: { meaning: It left., becomes: { stage: done } }\n  \
             OrderLost: { meaning: It is gone., becomes: { stage: lost } }\n\
             commands:\n  \
             CancelOrder: { meaning: Asks to stop it., for: [desk], outcomes: { stopped: { meaning: It is stopped. } } }\n\
             state: {}\n\
             views: { short: { for: [board], only: [stage] } }\n\
             serves:\n  - { version: 1, until: 2030-01-01, write: { shipped: \"stage == 'done'\" }, events: { OrderShipped: OrderSent } }\n",
        ),
        (
            "orders/order@1.contract.yaml",
            "Contract\nversion: 1.3.0\nstatus: active\nmeaning: What was ordered.\nkey: orderId\nattributes:\n  \
             orderId: { type: string, meaning: Names it. }\n  \
             shipped: { type: boolean, meaning: It left. }\n  \
             note: { type: string, meaning: What the buyer wrote. }\n\
             events:\n  OrderShipped: { meaning: It left., becomes: { shipped: 'true' } }\nstate: {}\n",
        ),
        (
            "desk/case.contract.yaml",
            "Contract\nversion: 1.0.0\nstatus: active\nmeaning: What is asked.\nkey: orderId\n\
             derived: { from: [orders/order@2] }\nattributes:\n  \
             orderId: { from: orders/order@2.orderId }\n  \
             stage: { from: orders/order@2.stage, optional: true }\n  \
             urgent: { type: boolean, optional: true, meaning: Somebody must look., computed: \"stage == 'lost'\" }\n  \
             mood: { type: string, optional: true, meaning: How it reads., derivedFrom: [orders/order@2.note] }\n\
             state: {}\n",
        ),
        (
            "desk/orders.subscription.yaml",
            "Subscription\ncontract: orders/order@2\npurpose: answers\nreactsTo: [OrderSent]\nsends: [CancelOrder]\n\
             needs: { freshness: 5m, because: They wait. }\n\
             into: { system: db, table: t, columns: { id: orderId, late: { is: \"stage != 'done'\", meaning: Not sent. } } }\n",
        ),
        (
            "board/short.subscription.yaml",
            "Subscription\ncontract: orders/order@2\nview: short\npurpose: show\n\
             into: { system: db, table: s, columns: { id: orderId, stage: stage } }\n",
        ),
        (
            "board/cases.subscription.yaml",
            "Subscription\ncontract: desk/case@1\npurpose: show\n\
             into: { system: db, table: t, columns: { id: orderId, red: urgent, mood: mood } }\n",
        ),
        (
            "board/old.subscription.yaml",
            "Subscription\ncontract: orders/order@1\npurpose: show\nreactsTo: [OrderShipped]\n\
             into: { system: db, table: o, columns: { id: orderId, gone: shipped } }\n",
        ),
    ];
    let with_head = |(path, text): (&str, &str)| (DocumentId(path.to_owned()), format!("{HEAD}{text}"));
    documents.into_iter().map(with_head).collect()
}

/// Returns a line for each use: the subscription, what lies between, where it lands.
fn used(thing: &Thing, transitive: bool) -> Vec<String> {
    let reading = read_estate(&estate(), DocumentId("seamline.yaml".to_owned()));
    let found = consumers(&reading.estate, thing, transitive);
    let line = |it: &seamline_rules::consumers::Use| {
        let through: Vec<String> = it.through.iter().map(ToString::to_string).collect();
        let landings: Vec<String> = it.landings.iter().map(ToString::to_string).collect();
        format!("{} [{}] {}", it.subscription, through.join(" → "), landings.join(", "))
    };
    found.uses.iter().map(line).collect()
}

fn attribute(text: &str) -> Thing {
    Thing::Attribute(text.parse().expect("a reference"))
}

#[test]
fn an_attribute_is_used_directly_and_through_what_others_make_of_it() {
    assert_eq!(
        used(&attribute("orders/order@2.stage"), true),
        [
            "board/short [] the column `stage`",
            "desk/orders [] the translated column `late`, the reaction to `OrderSent`",
            "board/old [orders/order@1.shipped] the column `gone`, the reaction to `OrderShipped`",
            "board/cases [desk/case@1.stage → desk/case@1.urgent] the column `red`",
        ]
    );
}

#[test]
fn what_the_owners_code_derives_is_followed() {
    assert_eq!(
        used(&attribute("orders/order@2.note"), true),
        ["board/cases [desk/case@1.mood] the column `mood`"]
    );
}

#[test]
fn direct_use_ends_at_the_contract() {
    assert_eq!(used(&attribute("orders/order@2.note"), false), [""; 0]);
    assert_eq!(used(&attribute("orders/order@2.stage"), false).len(), 2);
}

#[test]
fn a_value_does_not_reach_reactions_to_other_values() {
    let value = |name: &str| Thing::Value("orders/order@2.stage".parse().unwrap(), name.parse().unwrap());
    assert!(used(&value("done"), false)[1].contains("the reaction to `OrderSent`"));
    assert!(!used(&value("lost"), false)[1].contains("the reaction to `OrderSent`"));
}

#[test]
fn an_event_is_followed_into_the_older_major() {
    let event = |name: &str| Thing::Event("orders/order@2".parse().unwrap(), name.parse().unwrap());
    assert_eq!(
        used(&event("OrderSent"), true),
        [
            "desk/orders [] the reaction to `OrderSent`",
            "board/old [orders/order@1.OrderShipped] the reaction to `OrderShipped`",
        ]
    );
    assert_eq!(used(&event("OrderLost"), true), [""; 0]);
}

#[test]
fn commands_and_views_are_used_by_name() {
    let contract = || "orders/order@2".parse().unwrap();
    assert_eq!(
        used(&Thing::Command(contract(), "CancelOrder".parse().unwrap()), true),
        ["desk/orders [] `sends: CancelOrder`"]
    );
    assert_eq!(
        used(&Thing::View(contract(), "short".parse().unwrap()), true),
        ["board/short [] the column `id`, the column `stage`, `view: short`"]
    );
}

#[test]
fn a_contract_is_used_by_all_that_subscribe_to_it_or_to_what_comes_from_it() {
    let uses = used(&Thing::Contract("orders/order@2".parse().unwrap()), true);
    let names: Vec<&str> = uses.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["board/short", "desk/orders", "board/cases", "board/old"]);
    assert!(uses[1].contains("`needs.freshness: 5m p99`"), "{}", uses[1]);
}

#[test]
fn what_nobody_uses_is_used_by_nobody() {
    assert_eq!(used(&attribute("orders/order@2.spare"), true), [""; 0]);
}

#[test]
fn carrying_in_a_circle_ends() {
    let mut files = estate();
    let order = files.get_mut(&DocumentId("orders/order.contract.yaml".to_owned())).unwrap();
    *order = order
        .replace("spare: { type: string, meaning: Nobody reads it. }", "spare: { from: desk/case@1.mood }");
    let case = files.get_mut(&DocumentId("desk/case.contract.yaml".to_owned())).unwrap();
    *case = case.replace("derivedFrom: [orders/order@2.note]", "derivedFrom: [orders/order@2.spare]");
    let reading = read_estate(&files, DocumentId("seamline.yaml".to_owned()));
    let found = consumers(&reading.estate, &attribute("desk/case@1.mood"), true);
    assert_eq!(found.carriers.len(), 1);
}
