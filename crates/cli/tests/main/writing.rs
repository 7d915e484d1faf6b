//! Beginning an estate, adding documents, laying them out: what is written is right, and nothing is overwritten.

use crate::fixture::Place;
use std::path::Path;

#[test]
fn a_begun_estate_is_clean_laid_out_and_runs() {
    let place = Place::empty();
    place.run(&["init"]).exits(0).says("11 files written");
    place.run(&["check", "--fail-on", "advice"]).exits(0).says("0 errors, 0 warnings, 0 pieces of advice");
    place.run(&["fmt", "--check"]).exits(0);
    let tables = std::fs::read_to_string(place.root().join("orders/tables.sql")).unwrap();
    place.sql("orders", tables.trim_end().trim_end_matches(';'));
    place.run(&["install", "orders", "--yes"]).exits(0);
    place.run(&["install", "delivery", "--yes"]).exits(0);
    place.run(&["backfill", "orders/order@1", "--yes"]).exits(0);
    place.run(&["agent", "--all", "--until-idle"]).exits(0);
    assert_eq!(place.number("delivery", "SELECT sum(may_ship) FROM shippable_orders"), 1);
    place.run(&["reconcile"]).exits(0).says("conclusion: clean");
}

#[test]
fn an_estate_is_begun_in_a_folder_of_its_own_and_over_nothing() {
    let place = Place::empty();
    place.run(&["init", "shop/estate"]).exits(0).says("next: seamline check shop/estate");
    place.run(&["check", "shop/estate"]).exits(0);
    place.write("orders/order.contract.yaml", "mine\n");
    place.run(&["init"]).exits(4).says("orders/order.contract.yaml already").says("nothing was written");
    assert!(!place.root().join("seamline.yaml").exists());
    assert_eq!(std::fs::read_to_string(place.root().join("orders/order.contract.yaml")).unwrap(), "mine\n");
}

/// Returns the estate that `init` writes.
fn begun() -> Place {
    let place = Place::empty();
    place.run(&["init"]).exits(0);
    place
}

#[test]
fn a_new_document_lies_in_its_place_and_asks_for_what_only_its_author_can_say() {
    for (arguments, document, n_left) in [
        (&["context", "payments"][..], "payments/payments.context.yaml", 1),
        (&["contract", "gift-card", "--context", "orders"], "orders/gift-card.contract.yaml", 7),
        (&["publication", "order", "--context", "delivery"], "delivery/order.publication.yaml", 1),
        (&["subscription", "gifts", "--context", "delivery"], "delivery/gifts.subscription.yaml", 5),
        (
            &["subscription", "gifts", "--context", "delivery", "--contract", "orders/order@1"],
            "delivery/gifts.subscription.yaml",
            5,
        ),
        (&["environment", "staging"], "environments/staging.environment.yaml", 0),
    ] {
        let place = begun();
        let ran = place.run(&[&["new"], arguments].concat()).exits(0);
        assert!(ran.out.contains(&format!("{document} written")), "{}", ran.out);
        let found = place.run(&["check", "--format", "json", "--fail-on", "error"]).json();
        let findings = found["findings"].as_array().unwrap().iter();
        let own = findings.filter(|it| it["at"]["document"] == document);
        assert!(own.clone().count() >= n_left, "{document}: {found}");
        // Nothing is wrong with what was written for the author: only with what was not.
        for finding in own {
            let line = finding["at"]["line"].as_u64().unwrap() as usize;
            let text = std::fs::read_to_string(place.root().join(document)).unwrap();
            let line = text.lines().nth(line - 1).unwrap();
            let asked = line.contains(":  # ")
                || ["LANGUAGE_NAME", "NAMES_RESOLVE"].contains(&finding["rule"].as_str().unwrap());
            assert!(asked || finding["level"] != "error", "{document}: `{line}`: {finding}");
        }
        place.run(&["fmt", "--check", document]).exits(0);
        place.run(&[&["new"], arguments].concat()).exits(4).says("is there already");
    }
}

#[test]
fn what_stands_beside_contracts_is_begun_without_an_error() {
    let place = begun();
    let reads = ["--context", "delivery", "--contract", "orders/order@1"];
    let waives = ["--rule", "NEEDS_COVERED", "--scope", "delivery/shippable-orders", "--context", "orders"];
    for (kind, id, arguments, document, n_left) in [
        ("types", "postal-address", &[][..], "types/postal-address.types.yaml", 0),
        ("standard", "said-why", &["--context", "orders"], "standards/said-why.standard.yaml", 2),
        ("waiver", "for-now", &waives, "waivers/for-now.waiver.yaml", 1),
        ("migration", "nightly-copy", &reads, "delivery/nightly-copy.migration.yaml", 2),
    ] {
        let ran = place.run(&[&["new", kind, id], arguments].concat()).exits(0);
        assert!(ran.out.contains(&format!("{document} written")), "{}", ran.out);
        assert_eq!(
            ran.out.matches("what").count() + ran.out.matches("why this").count(),
            n_left,
            "{}",
            ran.out
        );
        let found = place.run(&["check", "--format", "json"]).exits(0).json();
        let errors = found["findings"].as_array().unwrap().iter().filter(|it| it["level"] == "error");
        assert_eq!(errors.count(), 0, "{found}");
        place.run(&["fmt", "--check", document]).exits(0);
    }
    // A type that was begun is used as its comment says.
    place.edit(
        "orders/order.contract.yaml",
        "  postalCode: {",
        "  shipTo: { type: postal-address.PostalAddress, meaning: 'The place of the buyer.', meanings: { text: 'As printed.' } }\n  postalCode: {",
    );
    place.run(&["check"]).exits(0);
    place.run(&["new", "waiver", "a", "--context", "orders"]).exits(2).says("--rule RULE");
    place
        .run(&["new", "migration", "a", "--context", "orders", "--contract", "orders/order@1"])
        .exits(2)
        .says("keeps no copy by `orders/order@1`");
    place.run(&["new", "migration", "a", "--context", "delivery"]).exits(2).says("--contract REF");
}

#[test]
fn a_wrong_call_for_a_new_document_says_what_is_right() {
    let place = begun();
    place.run(&["new", "contrakt", "a"]).exits(2).says("did you mean `contract`?");
    place.run(&["new", "contract", "../a", "--context", "orders"]).exits(2).says("an id such as");
    place.run(&["new", "contract", "Policy", "--context", "orders"]).exits(2).says("an id such as");
    place.run(&["new", "contract", "a"]).exits(2).says("--context");
    place.run(&["new", "contract", "a", "--context", "order"]).exits(2).says("did you mean `orders`?");
    place.run(&["new", "subscription", "a", "--context", "delivery", "--contract", "orders/ordr@1"]).exits(2);
    place
        .run(&["new", "contract", "a", "--estate", "orders"])
        .exits(0)
        .says("orders/a.contract.yaml written");
}

#[test]
fn documents_are_laid_out_and_others_are_left_with_a_reason() {
    let place = begun();
    place.write("orders/a.contract.yaml", "kind:   Contract\napiVersion: seamline/v1 # one\n");
    place.write("orders/b.contract.yaml", "kind: [\n");
    place.write("orders/c.contract.yaml", "kind: &a Contract\n");
    place.write("orders/d.contract.yaml", [0xff, 0xfe]);
    let read = |name: &str| std::fs::read(place.root().join(name)).unwrap();
    let ran = place.run(&["fmt", "--check"]).exits(1).says("orders/a.contract.yaml would change");
    assert!(!ran.out.contains("order.contract.yaml"), "{}", ran.out);
    assert_eq!(read("orders/a.contract.yaml"), b"kind:   Contract\napiVersion: seamline/v1 # one\n");
    place
        .run(&["fmt"])
        .exits(1)
        .says("orders/b.contract.yaml is not touched: it cannot be read: line")
        .says("orders/c.contract.yaml is left as it is: it holds an anchor");
    assert_eq!(read("orders/a.contract.yaml"), b"apiVersion: seamline/v1  # one\nkind: Contract\n");
    assert_eq!(read("orders/b.contract.yaml"), b"kind: [\n");
    assert_eq!(read("orders/d.contract.yaml"), [0xff, 0xfe]);
    place.run(&["fmt", "--check", "orders/a.contract.yaml", "delivery"]).exits(0);
    place.run(&["fmt", "nowhere"]).exits(2);
    let names: Vec<_> =
        std::fs::read_dir(place.root().join("orders")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".new")), "{names:?}");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_document_stays_a_link_and_permissions_stay() {
    use std::os::unix::fs::PermissionsExt;
    let place = begun();
    place.write("far.yaml", "kind:   Contract\n");
    let (far, near) = (place.root().join("far.yaml"), place.root().join("near.contract.yaml"));
    std::fs::set_permissions(&far, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&far, &near).unwrap();
    place.run(&["fmt", "near.contract.yaml"]).exits(0);
    assert!(Path::new(&near).symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&far).unwrap(), "kind: Contract\n");
    assert_eq!(far.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn the_schema_is_json_of_one_kind_or_all() {
    let place = Place::empty();
    assert_eq!(place.run(&["schema"]).exits(0).json()["title"], "Seamline");
    assert_eq!(place.run(&["schema", "contract"]).exits(0).json()["title"], "Seamline Contract");
    place.run(&["schema", "contrakt"]).exits(2).says("did you mean `Contract`?");
}
