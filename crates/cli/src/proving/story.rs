//! What a proof says: a story for people, or one JSON object a line for programs.

use crate::exit::Exit;
use crate::proving::fault::FaultKind;
use crate::terminal::{Format, columns};
use serde_json::{Value, json};
use std::time::Instant;

/// Tells a proof as it happens.
pub(crate) struct Story {
    format: Format,
    begun: Instant,
    bold: bool,
}

/// What became of the faults of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The kind.
    pub(crate) kind: FaultKind,
    /// By the injector's own count.
    pub(crate) injected: u64,
    /// That did no harm, by what the databases say.
    pub(crate) absorbed: u64,
    /// That were found and put down to whom they belong.
    pub(crate) found: u64,
    /// That were mended, and compared again.
    pub(crate) repaired: u64,
}

/// How a proof ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `clean`, `drift` or `inconclusive`.
    pub(crate) word: &'static str,
    /// By kind, in the order of kinds; only those injected or found.
    pub(crate) faults: Vec<Tally>,
    /// Outbox rows that reached the log.
    pub(crate) published: u64,
    /// Records whose effect is in a consumer's database.
    pub(crate) applied: u64,
    /// Every committed change and every record handed over is accounted for.
    pub(crate) balanced: bool,
}

impl Verdict {
    /// Returns the exit code of it.
    pub(crate) fn exit(&self) -> Exit {
        match self.word {
            "clean" => Exit::Clean,
            "drift" => Exit::Drift,
            _ => Exit::Inconclusive,
        }
    }
}

impl Story {
    /// Begins a story; times count from here.
    pub(crate) fn new(format: Format, bold: bool) -> Self {
        Story { format, begun: Instant::now(), bold }
    }

    /// Opens a chapter.
    pub(crate) fn chapter(&self, title: &str) {
        if self.format == Format::Text {
            let (on, off) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            println!("\n{on}{title}{off}");
        }
    }

    /// Says one line to people.
    pub(crate) fn line(&self, text: &str) {
        if self.format == Format::Text {
            println!("  {}", self.marked(text));
        }
    }

    /// Paints the mark of what is wrong.
    fn marked(&self, text: &str) -> String {
        if self.bold { text.replacen('✗', "\x1b[31m✗\x1b[0m", 1) } else { text.to_owned() }
    }

    /// Says one line with the time since the program's start.
    pub(crate) fn moment(&self, text: &str) {
        if self.format == Format::Text {
            println!("  {:>5.1} s  {text}", self.begun.elapsed().as_secs_f64());
        }
    }

    /// Says one object to programs.
    pub(crate) fn object(&self, object: &Value) {
        if self.format == Format::Json {
            println!("{object}");
        }
    }

    /// Says a table to people.
    pub(crate) fn table(&self, rows: &[Vec<String>]) {
        if self.format == Format::Text {
            for line in columns(rows).lines() {
                println!("  {line}");
            }
        }
    }

    /// Ends the story; the last line is the verdict.
    pub(crate) fn end(&self, verdict: &Verdict, next: &str) {
        self.object(&document(verdict));
        self.chapter("RESULT");
        let mut rows = vec![
            ["fault", "injected", "absorbed", "found", "repaired", "what it is"].map(str::to_owned).to_vec(),
        ];
        for tally in &verdict.faults {
            let counts =
                [tally.injected, tally.absorbed, tally.found, tally.repaired].map(|count| count.to_string());
            let mut row = vec![tally.kind.word().to_owned()];
            row.extend(counts);
            row.push(tally.kind.story().to_owned());
            rows.push(row);
        }
        if rows.len() > 1 {
            self.table(&rows);
        }
        let accounting = if verdict.balanced {
            "balanced"
        } else {
            "NOT balanced: what vanished is nowhere until it is mended"
        };
        self.line(&format!(
            "{} changes published, {} records applied, accounting {accounting}",
            verdict.published, verdict.applied
        ));
        let colour = if verdict.word == "clean" { "\x1b[32m" } else { "\x1b[31m" };
        let (on, off) = if self.bold { (colour, "\x1b[0m") } else { ("", "") };
        self.line(&format!("verdict: {on}{}{off}", verdict.word));
        if self.format == Format::Text {
            println!("\nnext: {next}");
        }
    }
}

fn document(verdict: &Verdict) -> Value {
    let faults: Vec<Value> = verdict
        .faults
        .iter()
        .map(|tally| {
            json!({
                "kind": tally.kind.word(),
                "injected": tally.injected,
                "absorbed": tally.absorbed,
                "found": tally.found,
                "repaired": tally.repaired,
            })
        })
        .collect();
    json!({
        "verdict": verdict.word,
        "faults": faults,
        "published": verdict.published,
        "applied": verdict.applied,
        "accounting": if verdict.balanced { "balanced" } else { "unbalanced" },
    })
}
