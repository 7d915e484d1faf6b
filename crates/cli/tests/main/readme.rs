//! The README's estate, taken from its page: what a newcomer copies is clean, runs, and carries a suspension.

use crate::fixture::Place;

const README: &str = include_str!("../../../../README.md");

/// Returns the files of the YAML blocks: each begins with a comment that is its name.
fn files() -> Vec<(String, String)> {
    let blocks = README.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut files: Vec<(String, String)> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("# ").filter(|name| name.ends_with(".yaml")) {
            Some("policy.contract.yaml") => {
                files.push(("policy-administration/policy.contract.yaml".to_owned(), String::new()))
            }
            Some(name) => files.push((name.to_owned(), String::new())),
            None => {
                let (_, text) = files.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    files
}

/// Returns the SQL statement that the page shows.
fn statement() -> String {
    README
        .split("```sql\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap()
        .trim()
        .trim_end_matches(';')
        .to_owned()
}

#[test]
fn the_estate_of_the_readme_is_clean_and_runs() {
    let place = Place::empty();
    for (name, text) in files() {
        place.write(&name, text);
    }
    place.write("runbooks/policy.md", "# Counts drifted\n");
    place.run(&["check"]).exits(0).says("0 errors, 0 warnings");
    let row = "CREATE TABLE policy_current (policy_id TEXT PRIMARY KEY, claims_status TEXT);
               INSERT INTO policy_current VALUES ('P-00000017', 'eligible')";
    place.sql("policy-administration", row);
    place.run(&["install", "policy-administration", "--yes", "--env", "laptop"]).exits(0);
    place.run(&["install", "claims", "--yes", "--env", "laptop"]).exits(0);
    let suspend = format!("UPDATE policy_current SET claims_status = 'ineligible'; {}", statement());
    place.sql("policy-administration", &suspend);
    place.run(&["agent", "--all", "--until-idle", "--env", "laptop"]).exits(0);
    let may_open = "SELECT may_open_claim FROM policy_eligibility WHERE policy_ref = 'P-00000017'";
    assert_eq!(place.number("claims", may_open), 0);
    place.run(&["reconcile", "--env", "laptop"]).exits(0).says("conclusion: clean");
}
