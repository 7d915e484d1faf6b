//! The workflow and the hooks of `examples/ci`: their commands are read out of the files and run as a pull request would.

use crate::fixture::{Place, Ran};
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ci");
const POLICY: &str = "policy-administration/policy.contract.yaml";

/// Returns the commands of ours in a file, behind a key.
fn commands(file: &str, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join(file)).unwrap();
    let values = text.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    values.filter(|it| it.starts_with("seamline ")).map(ToOwned::to_owned).collect()
}

/// Runs a command of a shell in a folder, with the built program on the path.
fn shell(place: &Place, folder: &str, command: &str) -> Ran {
    let programs = Path::new(env!("CARGO_BIN_EXE_seamline")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(place.root().join(folder))
        .env("PATH", path)
        .env("GITHUB_STEP_SUMMARY", place.root().join("summary.md"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::of(&output)
}

/// Returns a clone with a branch of its own of a repository that has the insurer on `main`.
fn clone() -> (Place, Place) {
    let origin = Place::example("insurer");
    origin.commit();
    let place = Place::empty();
    place.git(&["clone", "--quiet", origin.root().to_str().unwrap(), "clone"]);
    (origin, place)
}

fn change_a_meaning(place: &Place) {
    let (was, is) = ("Underwriting stands behind the cover.", "The first premium was collected.");
    place.edit(&format!("clone/{POLICY}"), was, is);
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn the_workflow_passes_what_is_clean_and_stops_a_meaning_that_moved() {
    let commands = commands("github-actions.yml", "run");
    assert_eq!(commands.len(), 3, "{commands:?}");
    let (_origin, place) = clone();
    for command in &commands {
        assert_eq!(shell(&place, "clone", command).code, Some(0), "{command}");
    }
    change_a_meaning(&place);
    let ran: Vec<Ran> = commands.iter().map(|command| shell(&place, "clone", command).exits(1)).collect();
    assert!(ran[0].out.contains(&format!("::error file={POLICY},line=")), "{}", ran[0].out);
    let summary = std::fs::read_to_string(place.root().join("summary.md")).unwrap();
    assert!(
        summary.contains("this may not ship yet") && summary.contains("`claims/policy-eligibility`"),
        "{summary}"
    );
    let sarif = std::fs::read_to_string(place.root().join("clone/seamline.sarif")).unwrap();
    let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn the_hooks_stop_a_commit_in_which_a_meaning_moved() {
    let (_origin, place) = clone();
    let entries = commands(".pre-commit-hooks.yaml", "entry");
    assert_eq!(entries.len(), 1, "{entries:?}");
    let hook = Path::new(FOLDER).join("pre-commit");
    std::fs::copy(hook, place.root().join("clone/.git/hooks/pre-commit")).unwrap();
    let identity = "-c user.name='Harbour Logistics' -c user.email=data@harbour.example";
    let commit = format!("git {identity} commit --quiet --allow-empty --all --message change");
    shell(&place, "clone", &entries[0]).exits(0);
    shell(&place, "clone", &commit).exits(0);
    change_a_meaning(&place);
    shell(&place, "clone", &entries[0]).exits(1).says("WORDS_DECLARED");
    shell(&place, "clone", &commit).exits(1).says("WORDS_DECLARED");
}
