//! Wrong calls and files that cannot be used: what is wrong, what to do, and the exit code for it.

use crate::fixture::Place;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

#[test]
fn a_context_that_is_not_installed_says_how_to_install_it() {
    let place = Place::example("insurer");
    for command in ["status", "agent", "case list"] {
        let arguments: Vec<&str> = command.split(' ').chain(["claims"]).collect();
        place.run(&arguments).exits(4).says("seamline install claims");
    }
    place.run(&["install", "claims", "--yes"]).exits(0);
    place.run(&["reconcile", "crm/policies"]).exits(4).says("seamline install crm");
    place.sql("portal", "CREATE TABLE own (a)");
    place.run(&["status", "portal"]).exits(4).says("seamline install portal");
}

#[test]
fn names_that_are_not_there_get_the_nearest() {
    let place = Place::example("insurer");
    place.run(&["install", "claim"]).exits(2).says("did you mean `claims`?");
    place
        .run(&["backfill", "policy-administration/polcy"])
        .exits(2)
        .says("did you mean `policy-administration/policy@2`?");
    place
        .run(&["reconcile", "claims/policy-eligibilty"])
        .exits(2)
        .says("did you mean `claims/policy-eligibility`?");
    place
        .run(&["accept", "claims/policy-eligibilty"])
        .exits(2)
        .says("did you mean `claims/policy-eligibility`?");
    place.run(&["status", "--env", "labtop"]).exits(2).says("laptop");
    place.run(&["agent"]).exits(2);
}

#[test]
fn files_that_cannot_be_used_are_left_alone() {
    let place = Place::example("insurer");
    place.run(&["install", "claims", "--yes"]).exits(0);
    place.sql("claims", "UPDATE seamline_format SET version = 99 WHERE stored = 'seamline_lane'");
    place.run(&["status", "claims"]).exits(4).says("format 99");
    place.write(".seamline/crm.db", "no database, but longer than its header would be: ".repeat(40));
    let ran = place.run(&["install", "crm", "--yes"]).exits(4);
    ran.says("not an SQLite database").says("help: ");
    place.run(&["install", "portal", "--yes"]).exits(0);
    let file = place.file("portal");
    let mut rights = std::fs::metadata(&file).unwrap().permissions();
    rights.set_readonly(true);
    std::fs::set_permissions(&file, rights).unwrap();
    place.run(&["status", "portal"]).exits(4).says("read-only");
}

#[test]
fn a_table_in_the_way_is_named_and_left_alone() {
    let place = Place::example("insurer");
    place.sql("claims", "CREATE TABLE policy_eligibility (policy_ref INTEGER, note TEXT)");
    place.run(&["install", "claims", "--yes"]).exits(4).says("policy_eligibility").says("help: ");
    assert_eq!(place.number("claims", "SELECT count(*) FROM pragma_table_info('policy_eligibility')"), 2);
}

#[test]
fn a_broker_that_is_not_there_and_a_system_without_a_place_are_refused() {
    let place = Place::example("insurer");
    let kafka = "apiVersion: seamline/v1\nkind: Environment\nid: production\nsystems: {}\nlog: { kafka: { bootstrap.servers: 'broker.example:9092' } }\n";
    place.write("environments/production.environment.yaml", kafka);
    place.run(&["status", "claims"]).exits(2).says("--env");
    place.run(&["status", "claims", "--env", "production"]).exits(4).says("help: ");
    place.run(&["install", "claims", "--env", "production", "--yes"]).exits(4).says("claims/claims-db");
}

#[test]
fn who_begins_with_nothing_is_told_how() {
    let place = Place::empty();
    place.run(&["check"]).exits(2).says("seamline init DIR");
    place.write("seamline.yaml", "apiVersion: seamline/v1\nkind: Estate\nid: carrier\nroots: [.]\n");
    let ran = place.run(&["new", "contract", "parcel", "--context", "orders"]);
    ran.exits(2).says("seamline new context orders");
}

#[test]
fn an_estate_with_errors_is_not_run() {
    let place = Place::example("insurer");
    place.write(
        "claims/broken.subscription.yaml",
        "apiVersion: seamline/v1\nkind: Subscription\nid: broken\n",
    );
    place.run(&["status"]).exits(1).says("seamline check");
}

#[test]
fn a_database_that_another_process_holds_is_named() {
    let place = Place::example("insurer");
    place.run(&["install", "claims", "--yes"]).exits(0);
    let mut holder = std::process::Command::new("sqlite3");
    let mut holder =
        holder.arg(place.file("claims")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = holder.stdin.take().unwrap();
    writeln!(input, "BEGIN IMMEDIATE;\nSELECT 'held';").unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said.trim(), "held");
    place.run(&["status", "claims"]).exits(4).says("locked").says("help: ");
    drop(input);
    holder.wait().unwrap();
    place.run(&["status", "claims"]).exits(0);
}
