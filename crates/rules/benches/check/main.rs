//! Reading and reviewing an estate, beside a bare YAML parse of the same texts; beside itself at a tenth of the size; and reading the
//! slowest of many bad texts.

mod corpora;
mod estate;

use seamline_contract::finding::Level;
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::review::{Facts, review, runbooks};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 5;
const CONTEXTS: usize = 200;
const TIMES: usize = 10;

type Files = BTreeMap<DocumentId, String>;

/// Returns the seconds of a check without the reading of files: text to findings, each with its place.
fn checked(files: &Files) -> f64 {
    let begun = Instant::now();
    let reading = read_estate(files, DocumentId("seamline.yaml".to_owned()));
    let facts = Facts { runbooks: runbooks(&reading.estate), ..Facts::default() };
    let mut findings = reading.findings.clone();
    findings.extend(review(&reading.estate, &facts));
    findings.sort_by_cached_key(|finding| {
        let place = reading.sources.locate(&finding.at);
        (place.document.clone(), place.bytes.start, place.bytes.end, finding.rule)
    });
    let seconds = begun.elapsed().as_secs_f64();
    let errors: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Error).take(1).collect();
    assert!(errors.is_empty(), "what is measured is sound: {errors:?}");
    seconds
}

/// A bare YAML parse, to the first error.
fn parse(text: &str) -> Option<()> {
    for event in granit_parser::Parser::new_from_str(text) {
        black_box(event.ok()?);
    }
    Some(())
}

/// Returns the seconds of a bare YAML parse: every event of every text, and nothing made of them.
fn parsed(files: &Files) -> f64 {
    let begun = Instant::now();
    files.values().for_each(|text| parse(text).expect("it is YAML"));
    begun.elapsed().as_secs_f64()
}

/// Returns the greatest resident memory of this process until now, in MB; none where the system does not say.
fn megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
}

struct Figure<'a> {
    bench: &'static str,
    ours: f64,
    theirs: f64,
    peer: &'a str,
    unit: &'static str,
    goal: f64,
}

impl Figure<'_> {
    fn print(&self, json: bool) {
        let Figure { bench, ours, theirs, peer, unit, goal } = self;
        let (ratio, megabytes) = (ours / theirs, megabytes());
        if json {
            let megabytes = megabytes.map_or("null".to_owned(), |megabytes| megabytes.to_string());
            println!(
                "{{\"bench\":\"{bench}\",\"ours\":{ours:.4},\"theirs\":{theirs:.4},\"peer\":\"{peer}\",\"unit\":\"{unit}\",\
                 \"ratio\":{ratio:.2},\"goal\":{goal},\"better\":\"lower\",\"megabytes\":{megabytes}}}"
            );
        } else {
            let megabytes =
                megabytes.map_or(String::new(), |megabytes| format!("; at most {megabytes} MB so far"));
            println!(
                "{bench}: {ratio:.2} of {peer} (goal ≤ {goal}); {ours:.4} against {theirs:.4} {unit}{megabytes}"
            );
        }
    }
}

/// Returns the middle of rounds by their ratio.
fn median(mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    rounds.sort_by(|one, two| (one.0 / one.1).total_cmp(&(two.0 / two.1)));
    rounds[rounds.len() / 2]
}

fn main() {
    let json = std::env::args().any(|arg| arg == "--json");
    let small = estate::files(CONTEXTS);
    let (ours, theirs) = median((0..ROUNDS).map(|_| (checked(&small), parsed(&small))).collect());
    Figure { bench: "check", ours, theirs, peer: "a bare YAML parse", unit: "s", goal: 4.0 }.print(json);
    let large = estate::files(CONTEXTS * TIMES);
    let beside = |_| (checked(&large) / TIMES as f64, checked(&small));
    let (ours, theirs) = median((0..ROUNDS).map(beside).collect());
    let (peer, unit) = ("a tenth of the size", "s a thousand contracts");
    Figure { bench: "check-growth", ours, theirs, peer, unit, goal: 1.2 }.print(json);
    match corpora::slowest(|text| {
        parse(text);
    }) {
        Some(corpora::Slowest { ours, theirs, name, texts }) => {
            let peer = format!("a bare YAML parse of the slowest of {texts} bad texts, {name}");
            Figure {
                bench: "check-slowest",
                ours: ours * 1e6,
                theirs: theirs * 1e6,
                peer: &peer,
                unit: "µs",
                goal: 20.0,
            }
            .print(json);
        }
        None => eprintln!("check-slowest: not run, the corpora of bad texts are not here"),
    }
}
