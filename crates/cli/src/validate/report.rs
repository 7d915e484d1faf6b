//! What `validate` says: to people, to programs, and to what shows tests.

use crate::terminal::{columns, counted};
use crate::validate::Speech;
use crate::validate::judge::{Found, Totals};
use crate::validate::records::{Layout, Record};
use seamline_message::codec::Writing;
use serde_json::{Value, json};
use std::fmt::Write;

/// Says what was found, as it is found; what is for programs comes as one document at the end.
pub(crate) struct Report {
    speech: Speech,
    show_max: usize,
    shown: usize,
    reference: String,
    violations: Vec<Value>,
    cases: String,
}

impl Report {
    /// Begins a report that shows so many violations.
    pub(crate) fn new(speech: Speech, show_max: usize, reference: String) -> Report {
        Report { speech, show_max, shown: 0, reference, violations: Vec::new(), cases: String::new() }
    }

    /// Says what was found in a payload.
    pub(crate) fn record(&mut self, number: u64, record: &Record, found: &[Found]) {
        let left = self.show_max.saturating_sub(self.shown);
        let shown = &found[..found.len().min(left)];
        self.shown += shown.len();
        if shown.is_empty() {
            return;
        }
        match self.speech {
            Speech::Text => {
                for it in shown {
                    println!("record {number}, line {}: {}", record.line, sentence(it));
                }
            }
            Speech::Json => self.violations.extend(shown.iter().map(|it| object(number, record.line, it))),
            Speech::Junit => {
                let lines: Vec<String> = shown.iter().map(sentence).collect();
                let name = escaped(&format!("record {number}, line {}", record.line));
                let class = escaped(&self.reference);
                let first = escaped(&lines[0]);
                let all = escaped(&lines.join("\n"));
                let _fits = writeln!(
                    self.cases,
                    "    <testcase classname=\"{class}\" name=\"{name}\"><failure message=\"{first}\">{all}</failure></testcase>"
                );
            }
        }
    }

    /// Ends the report.
    pub(crate) fn end(&self, totals: &Totals, next: &str) {
        match self.speech {
            Speech::Text => self.text(totals, next),
            Speech::Json => println!("{}", self.document(totals)),
            Speech::Junit => print!("{}", self.junit(totals)),
        }
    }

    fn text(&self, totals: &Totals, next: &str) {
        let hidden = totals.violations - self.shown as u64;
        if hidden > 0 {
            println!("and {} more; `--show N` shows more of them", counted(hidden, "violation"));
        }
        if totals.violations > 0 {
            println!();
            let rows: Vec<Vec<String>> =
                totals.rules.iter().map(|(rule, count)| vec![rule.clone(), count.to_string()]).collect();
            print!("{}", columns(&rows));
        }
        if totals.records == 0 {
            println!("nothing was seen: there is no payload in it");
        }
        if totals.unfollowed > 0 {
            println!(
                "{} of too many keys were not held against the one before",
                counted(totals.unfollowed, "payload")
            );
        }
        println!(
            "{} of `{}` ({}, {}), {}; {} broken",
            counted(totals.records, "payload"),
            self.reference,
            layout(totals.layout),
            form(totals.writing),
            counted(totals.violations, "violation"),
            totals.broken
        );
        println!("next: {next}");
    }

    fn document(&self, totals: &Totals) -> Value {
        json!({
            "schema": "seamline/validate/v1",
            "reference": self.reference,
            "layout": layout(totals.layout),
            "form": totals.writing.map(|writing| form(Some(writing))),
            "records": totals.records,
            "broken": totals.broken,
            "violations": self.violations,
            "counts": totals.rules,
            "count": totals.violations,
            "notFollowed": totals.unfollowed,
        })
    }

    fn junit(&self, totals: &Totals) -> String {
        let class = escaped(&self.reference);
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let (records, broken) = (totals.records, totals.broken);
        let _fits = write!(
            text,
            "<testsuites tests=\"{records}\" failures=\"{broken}\">\n  \
             <testsuite name=\"{class}\" tests=\"{records}\" failures=\"{broken}\">\n{}",
            self.cases
        );
        let sound = records - broken;
        if sound > 0 {
            let _fits = writeln!(
                text,
                "    <testcase classname=\"{class}\" name=\"{}\"/>",
                counted(sound, "sound payload")
            );
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

/// Returns a violation in one line.
fn sentence(found: &Found) -> String {
    let violation = &found.violation;
    let at = if found.pointer.is_empty() { "the whole" } else { &found.pointer };
    let mut text = format!("{} at {at}: {}", violation.rule, violation.message);
    match (&found.value, &found.shape) {
        (Some(value), _) => text.push_str(&format!("; found {value}")),
        (None, Some(shape)) => text.push_str(&format!("; found {shape}")),
        (None, None) => {}
    }
    if !found.meant.is_empty() {
        text.push_str(&format!("; did you mean `{}`?", found.meant.join("`, `")));
    }
    text
}

fn object(number: u64, line: u64, found: &Found) -> Value {
    json!({
        "record": number,
        "line": line,
        "pointer": found.pointer,
        "path": found.violation.path,
        "rule": found.violation.rule.to_string(),
        "message": found.violation.message,
        "shape": found.shape,
        "value": found.value,
        "meant": found.meant,
    })
}

fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::One => "one value",
        Layout::Array => "an array",
        Layout::Lines => "one a line",
    }
}

fn form(writing: Option<Writing>) -> &'static str {
    match writing {
        None => "no form",
        Some(Writing::Source) => "source form",
        Some(Writing::Wire) => "wire form",
    }
}

/// Returns a text as it stands in XML; what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push(letter),
            letter if letter < ' ' || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            letter => out.push(letter),
        }
    }
    out
}
