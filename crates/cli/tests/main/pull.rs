//! Two teams in two repositories: what is fetched and locked, what counts for whom, and what is said when something is missing.

use crate::fixture::{Place, Ran};
use std::path::Path;

const CONTRACT: &str = "orders/order.contract.yaml";
const RELEASED: &str = "released: The goods may leave.";

/// The repository of the team that owns the contract: the first estate without its consumer.
fn orders() -> Place {
    let place = Place::example("first");
    std::fs::remove_dir_all(place.root().join("delivery")).unwrap();
    place.commit();
    place
}

/// The repository of the team that reads it, with that root.
fn delivery(root: &str) -> Place {
    let place = Place::example("first");
    for folder in ["orders", "runbooks"] {
        std::fs::remove_dir_all(place.root().join(folder)).unwrap();
    }
    place.edit("seamline.yaml", "roots: [.]", &format!("roots:\n  - .\n  - {root}"));
    place
}

fn url(of: &Place) -> String {
    format!("file://{}", of.root().display())
}

fn root(of: &Place, at: &str, path: &str) -> String {
    format!("{{ git: '{}', at: {at}, path: {path} }}", url(of))
}

/// Both, the second with what the first says locked.
fn pulled() -> (Place, Place) {
    let orders = orders();
    let delivery = delivery(&root(&orders, "main", "orders"));
    delivery.run(&["pull", "--yes"]).exits(0).says("new, ").says("orders/order none → 1.0.0").says("written");
    (orders, delivery)
}

fn lock(place: &Place) -> String {
    std::fs::read_to_string(place.root().join("seamline.lock")).unwrap()
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_contract_of_another_repository_is_read_as_it_was_locked() {
    let orders = orders();
    let delivery = delivery(&root(&orders, "main", "orders"));
    // Before anything was fetched one finding says so, at the root.
    delivery.run(&["check"]).exits(1).says("nothing says yet which text").says("seamline pull");
    delivery.run(&["pull"]).exits(2).says("`--yes`");
    delivery.run(&["pull", "--dry-run"]).exits(0).says("orders/order none → 1.0.0");
    assert!(!delivery.root().join("seamline.lock").exists());
    delivery.run(&["pull", "--yes"]).exits(0).says("seamline.lock written");
    let locked = lock(&delivery);
    assert!(
        locked.contains(&orders.git(&["rev-parse", "HEAD"])) && locked.contains("orders/order@1: "),
        "{locked}"
    );
    // All others work over both repositories, and ask no network: the other one may be gone.
    std::fs::rename(orders.root().join(".git"), orders.root().join("away")).unwrap();
    delivery.run(&["check"]).exits(0).says("2 contexts, 1 contract, 1 subscription");
    delivery.run(&["who-uses", "orders/order@1.stage"]).exits(0).says("delivery/shippable-orders");
    delivery.run(&["show", "orders/order@1"]).exits(0).says("Whether the goods may leave");
    delivery.run(&["show", "delivery/shippable-orders", "--agreement"]).exits(0);
    delivery.run(&["graph", "--format", "json"]).exits(0).says("orders/order");
    delivery.run(&["accept", "delivery/shippable-orders", "--dry-run"]).exits(0).says("accepted already");
    delivery.run(&["fmt", "--check"]).exits(0).says("0 of 4 documents would change");
    delivery.run(&["install", "delivery", "--yes"]).exits(0);
    delivery.run(&["agent", "--all", "--until-idle"]).exits(0);
    delivery.run(&["new", "contract", "parcel"]).exits(0).says("delivery/parcel.contract.yaml written");
    std::fs::rename(orders.root().join("away"), orders.root().join(".git")).unwrap();
    delivery.run(&["pull"]).exits(0).says("as it was").says("locked already");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn the_estate_of_two_repositories_is_tried() {
    let (_orders, delivery) = pulled();
    delivery.run(&["try", "--changes", "60", "--faults", "none"]).exits(0);
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_fresh_clone_fetches_what_is_locked_and_nothing_newer() {
    let (orders, delivery) = pulled();
    delivery.commit();
    orders.edit(CONTRACT, RELEASED, "released: The goods may leave, and are paid.");
    orders.commit();
    let fresh = Place::empty();
    fresh.git(&["clone", "--quiet", &url(&delivery), "."]);
    fresh.run(&["check"]).exits(1).says("it was never fetched here").says("seamline pull --locked");
    fresh.run(&["pull", "--locked"]).exits(0).says("1 root as locked");
    fresh.run(&["check"]).exits(0);
    assert_eq!(fresh.git(&["status", "--porcelain"]), "");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_changed_is_told_and_turns_only_its_consumer_red() {
    let (orders, delivery) = pulled();
    std::fs::remove_file(delivery.root().join(".gitignore")).unwrap();
    delivery.commit();
    assert!(!delivery.git(&["ls-files"]).contains(".seamline"), "clones are not committed");
    let was = lock(&delivery);
    // A meaning that the consumer reads moved: red by `check`, at the consumer's own text.
    orders.edit(CONTRACT, RELEASED, "released: The goods may leave, and are paid.");
    orders.commit();
    let ran = delivery.run(&["pull", "--yes"]).exits(0);
    let ran =
        ran.says(" → ").says("meaning of `stage.released`").says("`delivery/shippable-orders` must read it");
    ran.says("next: seamline check, then seamline accept delivery/shippable-orders");
    let ran = delivery.run(&["check"]).exits(1).says("ACCEPTED_MEANING_STANDS");
    assert!(ran.out.contains("delivery/shippable-orders.subscription.yaml:"), "{}", ran.out);
    let json = delivery.run(&["check", "--against", "HEAD", "--format", "json"]).exits(1).json();
    assert_eq!(json["against"]["changes"].as_array().unwrap().len(), 1, "{json}");
    delivery.run(&["accept", "delivery/shippable-orders", "--yes"]).exits(0);
    delivery.run(&["check"]).exits(0);
    // An attribute that the consumer reads is gone: red where it reads it.
    orders.edit(
        CONTRACT,
        "postalCode: { type: string, meaning: 'Postal code of the place",
        "zip: { type: string, meaning: 'Postal code of the place",
    );
    orders.edit(CONTRACT, "with: [postalCode]", "with: [zip]");
    orders.commit();
    delivery.run(&["pull", "--yes"]).exits(0).says("`delivery/shippable-orders` breaks");
    let ran = delivery.run(&["check"]).exits(1).says("`postalCode`");
    assert!(ran.out.contains("delivery/shippable-orders.subscription.yaml:"), "{}", ran.out);
    delivery.run(&["check", "--against", "HEAD"]).exits(1).says("CONSUMERS_KEPT");
    // What was locked before is still there to go back to.
    delivery.write("seamline.lock", was);
    delivery.git(&["checkout", "--quiet", "--", "delivery"]);
    delivery.run(&["check"]).exits(0);
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_is_broken_elsewhere_turns_nothing_red_here() {
    let (orders, delivery) = pulled();
    orders.write(
        "orders/refund.contract.yaml",
        "apiVersion: seamline/v1\nkind: Contract\nmeaning: [unclosed\n",
    );
    orders.write(
        "orders/return.contract.yaml",
        "apiVersion: seamline/v1\nkind: Contract\nid: return\ncolour: red\n",
    );
    orders.write("orders/notes.standard.yaml", [0xff, 0xfe, 0x00]);
    orders.write(
        "orders/laptop.environment.yaml",
        "apiVersion: seamline/v1\nkind: Environment\nid: theirs\nlog: {}\n",
    );
    orders.commit();
    // Over there it is red.
    orders.run(&["check"]).exits(1);
    delivery.run(&["pull", "--yes"]).exits(0).says("for their teams to mend");
    let ran = delivery.run(&["check"]).exits(0).says("0 errors, 0 warnings").says("for its team to mend: ");
    assert!(!ran.out.contains("colour"), "{}", ran.out);
    delivery.run(&["check", "--others"]).exits(0).says("colour").says("//orders/return.contract.yaml");
    let json = delivery.run(&["check", "--format", "json"]).exits(0).json();
    assert_eq!(
        (json["findings"].as_array().unwrap().len(), json["others"].as_array().unwrap().is_empty()),
        (0, false)
    );
    for format in ["sarif", "junit", "github", "gitlab", "markdown"] {
        delivery.run(&["check", "--format", format]).exits(0);
    }
    delivery.run(&["try", "--changes", "20", "--faults", "none"]).exits(0);
    // What is broken here is told beside it.
    delivery.edit(
        "delivery/shippable-orders.subscription.yaml",
        "postal_code: postalCode",
        "postal_code: postCode",
    );
    delivery.run(&["check"]).exits(1).says("`postCode`");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_is_used_and_cannot_be_read_is_a_finding_at_the_reference() {
    let (orders, delivery) = pulled();
    let broken: [(&str, &dyn Fn()); 2] = [
        ("syntax", &|| {
            orders.write(CONTRACT, "apiVersion: seamline/v1\nkind: Contract\nmeaning: [unclosed\n")
        }),
        ("a link that leads out", &|| {
            std::fs::remove_file(orders.root().join(CONTRACT)).unwrap();
            std::os::unix::fs::symlink("../../../../etc/hostname", orders.root().join(CONTRACT)).unwrap();
        }),
    ];
    for (what, breaks) in broken {
        breaks();
        orders.commit();
        delivery.run(&["pull", "--yes"]).exits(0).says("with them this estate has");
        let ran = delivery.run(&["check"]).exits(1).says("there is no contract `orders/order@1`");
        assert!(
            ran.out.contains("order.contract.yaml` cannot be read: ask its team to mend it"),
            "{what}: {}",
            ran.out
        );
        assert!(ran.out.contains("delivery/shippable-orders.subscription.yaml:"), "{what}: {}", ran.out);
    }
}

/// Runs `pull` in an estate whose second root is written so.
fn refused(root: &str) -> Ran {
    let ran = delivery(root).run(&["pull", "--yes"]);
    assert!(!ran.out.contains("written"), "{}", ran.out);
    ran
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_cannot_be_fetched_is_said_and_nothing_is_locked() {
    let orders = orders();
    refused("{ git: 'file:///there/is/nothing', at: main, path: . }").exits(4).says("cannot be fetched");
    refused(&root(&orders, "v9", "orders")).exits(4).says("has no branch and no tag `v9`");
    let id = "0123456789012345678901234567890123456789";
    refused(&root(&orders, id, "orders")).exits(4).says("does not hand out the commit");
    refused(&root(&orders, "main", "order")).exits(4).says("there is no folder `order` in it");
    refused(&root(&orders, "main", "environments/laptop.environment.yaml"))
        .exits(4)
        .says("there is no folder");
    refused(&root(&orders, "main", "../orders")).exits(2).says("leads out of its repository");
    refused("{ git: 'ext::sh -c touch% harm', at: main, path: . }").exits(2).says("is no URL");
    refused("{ git: '--upload-pack=harm', at: main, path: . }").exits(2).says("is no URL");
    refused(&root(&orders, "'--harm'", "orders")).exits(2).says("is no revision that can be fetched");
    let secret =
        refused("{ git: 'https://shop:hunter2@git.example/orders.git', at: main, path: . }").exits(2);
    assert!(!secret.err.contains("hunter2") && secret.err.contains("holds a password"), "{}", secret.err);
    refused("{ hub: 'https://hub.example', environment: production }").exits(4).says("knows no hub");
    let twice = format!("{}\n  - {}", root(&orders, "main", "."), root(&orders, "main", "orders"));
    refused(&twice).exits(2).says("lie in one another");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_context_of_two_roots_is_a_finding_at_the_root() {
    let (one, other) = (orders(), orders());
    let twice = format!("{}\n  - {}", root(&one, "main", "orders"), root(&other, "main", "orders"));
    refused(&twice).exits(2).says("the context `orders` is written twice, in two roots");
    // A context of one's own, too.
    let own = Place::example("first");
    own.edit("seamline.yaml", "roots: [.]", &format!("roots: [., {}]", root(&one, "main", "orders")));
    own.run(&["pull", "--yes"]).exits(2).says("in two roots");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_was_moved_is_taken_only_when_that_is_said() {
    let orders = orders();
    orders.git(&["tag", "v1"]);
    let delivery = delivery(&root(&orders, "v1", "orders"));
    delivery.run(&["pull", "--yes"]).exits(0);
    orders.edit(CONTRACT, RELEASED, "released: The goods may leave now.");
    orders.commit();
    orders.git(&["tag", "--force", "v1"]);
    let was = lock(&delivery);
    delivery.run(&["pull", "--yes"]).exits(4).says("the tag `v1`").says("was moved").says("--moved");
    assert_eq!(lock(&delivery), was);
    delivery.run(&["pull", "--yes", "--moved"]).exits(0).says("written");
    // A branch may go on, and not begin anew.
    delivery.edit("seamline.yaml", "at: v1", "at: main");
    delivery.run(&["check"]).exits(1).says("is locked as of `v1`, and is asked for at `main`");
    delivery.run(&["pull", "--yes"]).exits(0);
    delivery.run(&["check", "--fail-on", "error"]).exits(1).says("ACCEPTED_MEANING_STANDS");
    orders.edit(CONTRACT, "released: The goods may leave now.", RELEASED);
    orders.git(&["commit", "--quiet", "--all", "--allow-empty", "--amend", "--message", "anew"]);
    delivery.run(&["pull", "--yes"]).exits(4).says("was written anew").says("--moved");
    delivery.run(&["pull", "--yes", "--moved"]).exits(0);
    delivery.run(&["check"]).exits(0);
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_lock_that_was_changed_by_hand_is_noticed() {
    let (_orders, delivery) = pulled();
    let was = lock(&delivery);
    let at = was.find("digest: b3-").unwrap() + "digest: b3-".len();
    let mut digest = was.clone();
    digest.replace_range(at..at + 8, "00000000");
    delivery.write("seamline.lock", &digest);
    delivery.run(&["check"]).exits(1).says("has another digest").says("seamline.lock:");
    delivery.run(&["pull", "--locked"]).exits(4).says("was changed by hand");
    delivery.write("seamline.lock", was.replace("1.0.0", "1.1.0"));
    delivery.run(&["check"]).exits(1).says("is locked at `1.1.0`, and is `1.0.0`");
    let id = was.split("resolved: ").nth(1).unwrap().lines().next().unwrap();
    delivery.write("seamline.lock", was.replace(id, "0123456789012345678901234567890123456789"));
    delivery.run(&["check"]).exits(1).says("has not the commit `0123456789`");
    delivery.run(&["pull", "--locked"]).exits(4).says("does not hand out the commit");
    delivery.write("seamline.lock", was.replace(id, "--upload-pack=harm"));
    delivery.run(&["pull", "--locked"]).exits(2).says("is no whole commit id");
    delivery.write("seamline.lock", "kind: [");
    delivery.run(&["check"]).exits(1);
    delivery.run(&["pull", "--yes"]).exits(0);
    assert_eq!(lock(&delivery), was);
    std::fs::remove_dir_all(delivery.root().join(".seamline")).unwrap();
    delivery.run(&["check"]).exits(1).says("never fetched here");
    delivery.run(&["pull", "--locked"]).exits(0);
    delivery.run(&["check"]).exits(0);
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_repository_takes_its_defaults_along_and_its_waivers_stay_there() {
    let orders = orders();
    orders.edit("seamline.yaml", "classification: internal", "classification: public");
    orders.write(
        "orders/theirs.waiver.yaml",
        "apiVersion: seamline/v1\nkind: Waiver\nid: theirs\nrule: NAMES_RESOLVE\nscope: delivery\nbecause: 'Ours to say?'\napprover: orders\nuntil: 2099-01-01\n",
    );
    orders.commit();
    let delivery = delivery(&root(&orders, "main", "orders"));
    delivery.run(&["pull", "--yes"]).exits(0);
    let shown = delivery.run(&["show", "orders/order@1", "--resolved", "--format", "json"]).exits(0).json();
    let classified = |as_what: &str| shown.to_string().contains(&format!("\"classification\":\"{as_what}\""));
    assert!(classified("public") && !classified("internal"), "{shown}");
    delivery.edit(
        "delivery/shippable-orders.subscription.yaml",
        "postal_code: postalCode",
        "postal_code: postCode",
    );
    delivery.run(&["check"]).exits(1).says("`postCode`");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_path_is_taken_from_the_folder_of_the_estate() {
    let both = Place::empty();
    for (folder, from) in
        [("theirs", orders()), ("ours", delivery("{ git: ../theirs, at: main, path: orders }"))]
    {
        std::fs::rename(from.root(), both.root().join(folder)).unwrap();
    }
    both.run(&["pull", "ours", "--yes"]).exits(0);
    both.run(&["check", "ours"]).exits(0);
    assert!(Path::new(&both.root().join("ours/.seamline/roots")).is_dir());
    // A hook of one repository fetches of the other all the same.
    let mut command = both.command(&["pull", "ours", "--yes"]);
    command.env("GIT_DIR", both.root().join("theirs/.git")).env("GIT_INDEX_FILE", "nowhere");
    Ran::of(&command.output().unwrap()).exits(0);
}
