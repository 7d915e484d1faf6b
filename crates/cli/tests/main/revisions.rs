//! Git revisions on the command line: against where a branch began, and what is said when there is no such thing.

use crate::fixture::Place;
use std::time::{Duration, Instant};

const POLICY: &str = "estate/policy-administration/policy.contract.yaml";
const WAS: &str = "Underwriting stands behind the cover.";
const IS: &str = "The first premium was collected.";

/// Returns the insurer committed on `main`, in a folder of the repository.
fn insurer() -> Place {
    let place = Place::example_within("insurer", "estate");
    place.commit();
    place
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_revision_is_compared_with_a_folder_and_with_another() {
    let place = insurer();
    place.edit(POLICY, WAS, IS);
    place.run(&["diff", "main", "estate"]).exits(1).says("since `main`").says("claimsStatus.eligible");
    place.run(&["diff", "main:estate", "estate"]).exits(1).says("1 change:");
    place.run(&["diff", "estate", "main"]).exits(1).says(&format!("was `{IS}`, is `{WAS}`"));
    place.git(&["checkout", "--quiet", "-b", "feature"]);
    place.commit();
    place.run(&["diff", "main:estate", "feature:./estate"]).exits(1).says("1 change:");
    place.run(&["diff", "feature:estate", "HEAD:estate"]).exits(0).says("0 changes");
    let ran = place.run(&["diff", "main", "estate", "--format", "json"]).exits(1).json();
    assert_eq!(ran["old"]["commit"], place.git(&["rev-parse", "main"]));
    assert_eq!(ran["changes"][0]["new"]["file"], POLICY);
    assert_eq!(ran["changes"][0]["new"]["document"], POLICY.trim_start_matches("estate/"));
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_folder_wins_over_a_revision_of_its_name_and_a_note_says_so() {
    let place = insurer();
    place.git(&["branch", "estate"]);
    place.edit(POLICY, WAS, IS);
    let ran =
        place.run(&["diff", "estate", "main"]).exits(1).says("note: `estate` is here and is a revision too");
    assert!(!ran.out.contains("note:"), "{}", ran.out);
    place.run(&["diff", "refs/heads/estate", "estate"]).exits(1).says(&format!("is `{IS}`"));
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_check_against_a_branch_counts_what_is_ours_alone() {
    let place = insurer();
    let check = |arguments: &[&str]| {
        let begun = Instant::now();
        let ran = place.run(&[&["check", "estate", "--against", "main"], arguments].concat());
        assert!(begun.elapsed() < Duration::from_secs(5));
        ran
    };
    check(&[]).exits(0).says("where HEAD left `main`").says("0 changes");
    place.git(&["checkout", "--quiet", "-b", "feature"]);
    place.write("estate/notes.md", "ours");
    place.commit();
    // What others merge since is not ours.
    place.git(&["checkout", "--quiet", "main"]);
    place.edit(POLICY, "Agreed premium", "The agreed premium");
    place.commit();
    place.git(&["checkout", "--quiet", "feature"]);
    check(&[]).exits(0).says("0 changes");
    place.run(&["diff", "main", "estate"]).exits(1).says("1 change:");
    place.edit(POLICY, WAS, IS);
    check(&[])
        .exits(1)
        .says("WORDS_DECLARED")
        .says("ACCEPTED_MEANING_STANDS")
        .says("of team `claims`, which may refuse it");
    let json = check(&["--format", "json"]).exits(1).json();
    assert_eq!(json["against"]["old"]["isMergeBase"], true);
    assert_eq!(json["against"]["changes"][0]["touches"][0]["team"], "claims");
    let markdown = check(&["--format", "markdown"]).exits(1).out;
    assert!(markdown.contains("| `claims/policy-eligibility` | `claims` | read it and run"), "{markdown}");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn the_first_text_of_an_estate_and_one_that_mends_an_error_may_ship() {
    let place = Place::empty();
    place.write("README.md", "empty");
    place.commit();
    let insurer = Place::example("insurer");
    let from = insurer.root().to_str().unwrap();
    insurer.run(&["diff", from, from]).exits(0);
    std::fs::rename(insurer.root(), place.root().join("estate")).unwrap();
    place.run(&["check", "estate", "--against", "main"]).exits(0).says("is new");
    place.edit(POLICY, "attributes:", "attributs:");
    place.commit();
    place.git(&["checkout", "--quiet", "-b", "mend"]);
    place.edit(POLICY, "attributs:", "attributes:");
    let ran = place.run(&["check", "estate", "--against", "main"]).exits(0);
    assert!(ran.out.contains("warn[LANGUAGE_"), "{}", ran.out);
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_is_missing_is_named_with_the_command_that_brings_it() {
    let place = insurer();
    place
        .run(&["diff", "develop", "estate"])
        .exits(2)
        .says("no folder and no revision `develop`")
        .says("git branch --all");
    place.run(&["check", "estate", "--against", "develop"]).exits(2).says("there is no revision `develop`");
    place.run(&["diff", "main:nowhere", "estate"]).exits(2).says("there is no `nowhere` in `main`");
    place.run(&["diff", "main:../estate", "estate"]).exits(2).says("leads out of the repository");
    place.edit(POLICY, WAS, IS);
    place.commit();
    let elsewhere = Place::empty();
    let origin = format!("file://{}", place.root().display());
    elsewhere.git(&["clone", "--quiet", "--depth", "1", &origin, "shallow"]);
    let missing = place.git(&["rev-parse", "--short=10", "HEAD~1"]);
    let ran =
        elsewhere.run(&["check", "shallow/estate", "--against", "HEAD~1"]).exits(4).says("fetch-depth: 0");
    assert!(ran.err.contains(&missing), "{}", ran.err);
    elsewhere.git(&["clone", "--quiet", "--bare", &origin, "bare.git"]);
    elsewhere.run(&["diff", "HEAD~1", "bare.git"]).exits(2).says("is a bare repository");
    let outside = Place::example("insurer");
    outside.run(&["check", "--against", "main"]).exits(2).says("is in no git repository");
    outside.run(&["diff", "main"]).exits(2).says("no git repository");
}
