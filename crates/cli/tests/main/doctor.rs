//! The doctor: silent where all is well, and for each thing that is not, its cause and what mends it.

use crate::fixture::{Place, bound, publish};

#[test]
fn an_installed_estate_has_no_finding() {
    let place = Place::insurer(1);
    let ran = place.run(&["doctor", "--format", "json"]).exits(0);
    let checks = ran.json()["checks"].as_array().unwrap().clone();
    assert!(checks.len() > 20 && checks.iter().all(|check| check["health"] == "well"), "{}", ran.out);
}

#[test]
fn what_is_not_installed_is_told_with_the_command_that_mends_it() {
    let place = Place::example("insurer");
    place.run(&["doctor", "claims"]).exits(4).says("there is no file").says("mend: ");
    place.run(&["install", "claims", "--yes"]).exits(0);
    place.run(&["doctor", "claims"]).exits(1).says("mend: seamline install policy-administration");
    place.tables();
    place.run(&["install", "policy-administration", "--yes"]).exits(0);
    place.run(&["doctor", "claims"]).exits(0).says("all well");
}

#[test]
fn a_column_that_is_gone_and_rows_that_nobody_relays_are_told() {
    let place = Place::insurer(0);
    place.sql("claims", "ALTER TABLE policy_eligibility RENAME COLUMN cover_from TO since");
    place.run(&["doctor", "claims"]).exits(1).says("policy_eligibility").says("put its columns back");
    place.sql("policy-administration", &format!("{}; {}", bound(1), publish(1, "PolicyBound", None)));
    let ran = place.run(&["doctor", "policy-administration"]).exits(1);
    ran.says("1 outbox rows wait").says("mend: seamline agent policy-administration");
}

#[test]
fn a_topic_keeps_the_partitions_that_it_was_made_with() {
    let place = Place::insurer(1);
    place.edit("environments/laptop.environment.yaml", "partitions: 4", "partitions: 8");
    let ran = place.run(&["doctor", "policy-administration"]).exits(1);
    ran.says("partitions is `4` and should be `8`").says("are never changed: set `partitions` back");
}
