//! The demo as its user runs it: twenty seeds, nothing injected, nothing mended, and a kept estate broken by hand.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Output};

const SEEDS: u64 = 20;
const AT_ONCE: usize = 2;

fn demo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seamline"));
    command.arg("demo").arg("--json").args(args).output().expect("the binary starts")
}

fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("each line is an object")).collect()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Link, kind, key and who must act.
type Finding = (String, String, Option<String>, String);

fn findings(objects: &[Value]) -> BTreeSet<Finding> {
    let found = objects.iter().filter(|it| it["found"].is_string());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    found
        .map(|it| {
            (
                text(&it["link"]),
                text(&it["found"]),
                it["key"].as_str().map(str::to_owned),
                text(&it["owedBy"]),
            )
        })
        .collect()
}

/// What each injected fault must lead to. Faults that do no harm lead to nothing.
fn expected(objects: &[Value]) -> BTreeSet<Finding> {
    let injected = objects.iter().filter(|it| it["injected"].is_string());
    injected
        .filter_map(|it| {
            let (link, kind) = match it["injected"].as_str()? {
                "edit" => ("projection", "corrupt"),
                "delete" => ("projection", "missing"),
                "insert" => ("projection", "orphan"),
                "unpublished" => ("source", "corrupt"),
                "lost" | "late" => ("source", "stale"),
                "invalid" => ("source", "quarantine"),
                _ => return None,
            };
            let key = it["key"].as_str().map(str::to_owned);
            Some((link.to_owned(), kind.to_owned(), key, it["context"].as_str()?.to_owned()))
        })
        .collect()
}

fn check_seed(seed: u64) {
    let output = demo(&["--seconds", "2", "--seed", &seed.to_string()]);
    let objects = objects(&output);
    let verdict = objects.last().expect("the last line is the verdict");
    assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", told(&output));
    assert_eq!(verdict["verdict"], "clean", "seed {seed}");
    assert_eq!(verdict["accounting"], "balanced", "seed {seed}");
    let faults = verdict["faults"].as_array().expect("a list");
    assert_eq!(faults.len(), 11, "seed {seed}: every kind was injected");
    for fault in faults {
        let count = |name: &str| fault[name].as_u64().expect("a count");
        assert!(count("injected") > 0);
        assert_eq!(count("absorbed") + count("found"), count("injected"), "seed {seed}: {fault}");
        assert_eq!(count("repaired"), count("found"), "seed {seed}: {fault}");
    }
    // Of poison there is no key to name; it is told by its place in the log.
    let mut found = findings(&objects);
    let poisons: Vec<Finding> = found.extract_if(.., |it| it.0 == "stream" && it.1 == "quarantine").collect();
    assert_eq!(found, expected(&objects), "seed {seed}: found is exactly what was injected");
    assert_eq!(poisons.len(), 2, "seed {seed}");
    assert!(poisons.iter().all(|it| it.3 == "claims"), "seed {seed}: {poisons:?}");
}

#[test]
fn every_fault_of_twenty_seeds_is_absorbed_or_found_and_blamed_and_mended() {
    let seeds: Vec<u64> = (1..=SEEDS).collect();
    std::thread::scope(|scope| {
        for at in 0..AT_ONCE {
            let seeds = &seeds;
            scope.spawn(move || seeds.iter().skip(at).step_by(AT_ONCE).for_each(|seed| check_seed(*seed)));
        }
    });
}

#[test]
fn nothing_is_found_where_nothing_is_injected() {
    let output = demo(&["--seconds", "1", "--inject", "none"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let objects = objects(&output);
    assert!(findings(&objects).is_empty(), "{}", told(&output));
    let verdict = objects.last().expect("the last line is the verdict");
    assert!(verdict["published"].as_u64() > Some(50) && verdict["applied"].as_u64() > Some(50), "{verdict}");
}

#[test]
fn what_is_not_mended_exits_with_3() {
    let output = demo(&["--seconds", "1", "--inject", "edit,delete", "--no-repair"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert_eq!(objects(&output).last().expect("a verdict")["verdict"], "drift");
}

#[test]
fn a_wrong_call_says_what_to_do_and_exits_with_2() {
    for args in [["--inject", "gremlins"], ["--seconds", "0"]] {
        let output = demo(&args);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("help: "), "{}", told(&output));
    }
}

#[test]
#[cfg_attr(not(sqlite3_here), ignore = "not run: there is no sqlite3 program")]
fn one_cell_changed_by_the_sqlite3_program_is_named_with_key_column_link_and_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("insurer");
    let output = demo(&["--seconds", "1", "--inject", "none", "--keep", kept.to_str().expect("a text")]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let reconcile = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seamline"));
        command.arg("reconcile").arg("--estate").arg(&kept).output().expect("the binary starts")
    };
    let before = reconcile();
    assert_eq!(before.status.code(), Some(0), "{}", told(&before));
    let edit = "UPDATE policy_copy SET product = 'Cargo XXL' WHERE policy_id = 'P-00000003'";
    let database = kept.join(".seamline/crm.db");
    let edited = Command::new("sqlite3").arg(database).arg(edit).output().expect("sqlite3 starts");
    assert!(edited.status.success(), "{}", told(&edited));
    let after = reconcile();
    assert_eq!(after.status.code(), Some(3), "{}", told(&after));
    let text = String::from_utf8_lossy(&after.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("P-00000003")).expect("the key is named");
    for word in ["projection", "corrupt", "product", "crm"] {
        assert!(line.contains(word), "`{word}` is not in: {line}");
    }
    let others = text.lines().filter(|line| line.contains("P-0000") && !line.contains("P-00000003"));
    assert_eq!(others.count(), 0, "{text}");
}
