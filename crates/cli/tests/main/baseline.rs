//! A baseline lets an old estate begin with what it has, and fail for what is new.

use crate::fixture::Place;

const POLICY: &str = "policy-administration/policy.contract.yaml";

/// An estate with one finding at level error.
fn old_estate() -> Place {
    let place = Place::example("insurer");
    edit(&place, "meaning: 'First day of cover.'", "meaning: ''");
    place.run(&["check"]).exits(1).says("MEANING_PRESENT");
    place
}

fn edit(place: &Place, from: &str, to: &str) {
    let text = std::fs::read_to_string(place.root().join(POLICY)).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    place.write(POLICY, text.replace(from, to));
}

#[test]
fn what_was_written_down_fails_no_check_and_what_is_new_does() {
    let place = old_estate();
    place
        .run(&["check", "--write-baseline", "baseline.json"])
        .exits(0)
        .says("written to baseline.json")
        .says("next: seamline check --baseline baseline.json");
    place.run(&["check", "--baseline", "baseline.json"]).exits(0).says("of the baseline left out");
    // Lines that move change nothing.
    edit(&place, "kind: Contract\n", "# one\n# two\nkind: Contract\n");
    place.run(&["check", "--baseline", "baseline.json"]).exits(0);
    edit(&place, "meaning: Cover stops until released.", "meaning: ''");
    let ran = place.run(&["check", "--baseline", "baseline.json", "--format", "json"]).exits(1);
    // The value is missing, and with it the meaning.
    assert_eq!(ran.json()["counts"]["error"], 2);
    assert_eq!(ran.json()["baseline"]["gone"], 0);
}

#[test]
fn what_is_gone_by_now_is_told() {
    let place = old_estate();
    place.run(&["check", "--write-baseline", "baseline.json"]).exits(0);
    edit(&place, "meaning: ''", "meaning: 'First day of cover.'");
    place.run(&["check", "--baseline", "baseline.json"]).exits(0).says("gone by now");
    let ran = place.run(&["check", "--baseline", "baseline.json", "--format", "json"]).exits(0);
    assert_ne!(ran.json()["baseline"]["gone"], 0);
}

#[test]
fn a_file_that_is_no_baseline_is_a_wrong_call() {
    let place = Place::example("insurer");
    place.run(&["check", "--baseline", "nowhere.json"]).exits(2).says("help: ");
    place.write("baseline.json", "[]");
    place.run(&["check", "--baseline", "baseline.json"]).exits(2).says("is no baseline");
    place.run(&["check", "--baseline", "baseline.json", "--write-baseline", "other.json"]).exits(2);
}
