//! What a comparison found, for people, for programs, for spreadsheets and for a page.

use crate::terminal::{columns, counted};
use anyhow::Result;
use seamline_compare::difference::{Conclusion, Difference, How, Outcome, What};
use seamline_compare::plan::Plan;
use seamline_compare::run::Report;
use seamline_compare::shown::Value;
use serde_json::json;
use std::io::{self, BufWriter, Stdout, Write};

/// How many differences people are shown; programs get them all.
const SHOWN_MAX: usize = 20;

/// How long a value may be that people are shown.
const LETTERS_MAX: usize = 60;

/// How the command speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs: one document.
    Json,
    /// A line for each value that differs.
    Csv,
    /// For a page or a comment.
    Markdown,
}

/// What is known before anything is read.
#[derive(Debug)]
pub(super) struct Head {
    /// The left's name.
    pub(super) left: String,
    /// The right's name.
    pub(super) right: String,
    /// Differences are read again.
    pub(super) settles: bool,
    /// Values are shown.
    pub(super) show_values: bool,
}

/// Says what is found as it is found, and the rest at the end.
pub(super) struct Speech {
    format: Format,
    head: Head,
    out: BufWriter<Stdout>,
    plan: Option<Plan>,
    first: Vec<Difference>,
    told: u64,
}

impl Speech {
    /// Begins without a word.
    pub(super) fn new(format: Format, head: Head) -> Speech {
        Speech { format, head, out: BufWriter::new(io::stdout()), plan: None, first: Vec::new(), told: 0 }
    }

    /// Returns what may be shown of a value.
    fn value(&self, value: &Value) -> String {
        if self.head.show_values { plain(value) } else { value.masked().to_owned() }
    }

    /// Says the rest.
    ///
    /// # Errors
    /// When nobody can read it.
    pub(super) fn end(mut self, outcome: &Outcome) -> Result<()> {
        match self.format {
            Format::Text => {
                let text = self.text(outcome);
                self.out.write_all(text.as_bytes())?;
            }
            Format::Markdown => {
                let text = self.markdown(outcome);
                self.out.write_all(text.as_bytes())?;
            }
            Format::Json => writeln!(self.out, "],{}", self.rest(outcome))?,
            Format::Csv => eprintln!("{}; conclusion: {}", found(outcome), word(outcome.conclusion())),
        }
        self.out.flush()?;
        Ok(())
    }

    fn key(&self, difference: &Difference) -> String {
        let parts: Vec<String> = difference.key.iter().map(plain).collect();
        parts.join(", ")
    }

    fn fields(&self, difference: &Difference) -> String {
        let field = |field: &seamline_compare::difference::Field| {
            let looks = field.looks.map_or(String::new(), |looks| format!(" ({})", looks.words()));
            format!("{}: {} ≠ {}{looks}", field.column, self.value(&field.left), self.value(&field.right))
        };
        let fields: Vec<String> = difference.fields.iter().map(field).collect();
        match difference.what {
            What::Duplicate => {
                format!(
                    "{} left, {} right",
                    counted(difference.left_rows, "row"),
                    counted(difference.right_rows, "row")
                )
            }
            _ => fields.join("; "),
        }
    }

    fn how(&self, outcome: &Outcome) -> String {
        let plan = self.plan.as_ref();
        let key: Vec<&str> = plan.map_or(Vec::new(), |plan| {
            plan.columns[..plan.n_key].iter().map(|it| it.left.as_str()).collect()
        });
        let n_columns = plan.map_or(0, |plan| plan.columns.len());
        let how = match outcome.how {
            How::Digests => "by digests that both servers computed, then the rows of what differed",
            How::Rows => "by all rows of both sides",
        };
        format!("{} by key `{}`, {how}", counted(n_columns as u64, "column"), key.join(", "))
    }

    fn text(&self, outcome: &Outcome) -> String {
        let side =
            |name: &str, of: &String, rows: u64| vec![name.to_owned(), of.clone(), counted(rows, "row")];
        let head = [
            side("left", &self.head.left, outcome.rows[0]),
            side("right", &self.head.right, outcome.rows[1]),
        ];
        let mut text = columns(&head);
        text.push_str(&format!("compared {}\n\n{}\n", self.how(outcome), found(outcome)));
        let line = |it: &Difference| vec![format!("  {}", it.what.name()), self.key(it), self.fields(it)];
        text.push_str(&columns(&self.first.iter().map(line).collect::<Vec<_>>()));
        if self.told > SHOWN_MAX as u64 {
            let more = self.told - SHOWN_MAX as u64;
            text.push_str(&format!("  … and {more} more; `--format csv` has them all\n"));
        }
        let tallies = tallies(outcome);
        if !tallies.is_empty() {
            text.push('\n');
            let mut rows = vec![vec!["column".to_owned(), "differs in".to_owned(), "looks like".to_owned()]];
            rows.extend(tallies);
            text.push_str(&columns(&rows));
        }
        let counts = counts(outcome);
        if !counts.is_empty() {
            text.push('\n');
            let mut rows = vec![["state", "left", "right", ""].map(ToOwned::to_owned).to_vec()];
            rows.extend(counts);
            text.push_str(&columns(&rows));
        }
        for note in outcome.notes.iter().chain(&outcome.reasons) {
            text.push_str(&format!("note: {note}\n"));
        }
        text.push_str(&format!("conclusion: {}\nnext: {}\n", word(outcome.conclusion()), self.next(outcome)));
        text
    }

    fn next(&self, outcome: &Outcome) -> &'static str {
        match outcome.conclusion() {
            Conclusion::Equal => {
                "nothing to do: write a contract, so that it stays so (`seamline new contract`)"
            }
            Conclusion::Different if !self.head.settles => {
                "the same with `--settle 10s`, if somebody writes to them; `--show-values` shows what differs"
            }
            Conclusion::Different if !self.head.show_values => "the same with `--show-values`",
            Conclusion::Different => "the same with `--format csv`, for whoever mends it",
            Conclusion::Inconclusive => "the same again, without what stands in the notes",
        }
    }

    fn markdown(&self, outcome: &Outcome) -> String {
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let mut text = format!("## Comparison: {}\n\n", word(outcome.conclusion()));
        text.push_str("| side | of | rows |\n|---|---|---|\n");
        for (name, of, rows) in
            [("left", &self.head.left, outcome.rows[0]), ("right", &self.head.right, outcome.rows[1])]
        {
            text.push_str(&format!("| {name} | `{}` | {rows} |\n", cell(of)));
        }
        text.push_str(&format!("\nCompared {}. {}.\n", self.how(outcome), found(outcome)));
        let tallies = tallies(outcome);
        if !tallies.is_empty() {
            text.push_str("\n| column | differs in | looks like |\n|---|---|---|\n");
            for row in tallies {
                let row: Vec<String> = row.iter().map(|part| cell(part)).collect();
                text.push_str(&format!("| {} |\n", row.join(" | ")));
            }
        }
        if !self.first.is_empty() {
            text.push_str("\n| what | key | values |\n|---|---|---|\n");
            for it in &self.first {
                text.push_str(&format!(
                    "| {} | {} | {} |\n",
                    it.what.name(),
                    cell(&self.key(it)),
                    cell(&self.fields(it))
                ));
            }
            if self.told > SHOWN_MAX as u64 {
                text.push_str(&format!("\n…and {} more.\n", self.told - SHOWN_MAX as u64));
            }
        }
        let counts = counts(outcome);
        if !counts.is_empty() {
            text.push_str("\n| state | left | right | |\n|---|---|---|---|\n");
            for row in counts {
                let row: Vec<String> = row.iter().map(|part| cell(part)).collect();
                text.push_str(&format!("| {} |\n", row.join(" | ")));
            }
        }
        for note in outcome.notes.iter().chain(&outcome.reasons) {
            text.push_str(&format!("\n- {note}"));
        }
        text.push('\n');
        text
    }

    /// Returns what a document says behind its differences, without its first brace.
    fn rest(&self, outcome: &Outcome) -> String {
        let found: serde_json::Map<String, serde_json::Value> = What::ALL
            .iter()
            .map(|what| (what.name().to_owned(), json!(outcome.found.get(what).copied().unwrap_or(0))))
            .collect();
        let fields: Vec<serde_json::Value> = outcome
            .columns
            .iter()
            .map(|(column, tally)| {
                let looks: Vec<serde_json::Value> = tally
                    .looks
                    .iter()
                    .map(|(looks, rows)| json!({ "looks": looks.words(), "rows": rows }))
                    .collect();
                json!({ "column": column, "rows": tally.rows, "looks": looks })
            })
            .collect();
        let counts: Vec<serde_json::Value> = outcome
            .counts
            .iter()
            .map(|(state, [left, right])| json!({ "state": state, "left": left, "right": right }))
            .collect();
        let how = if outcome.how == How::Digests { "digests" } else { "rows" };
        let document = json!({
            "conclusion": word(outcome.conclusion()),
            "how": how,
            "rows": { "left": outcome.rows[0], "right": outcome.rows[1] },
            "found": found,
            "fields": fields,
            "counts": counts,
            "settled": outcome.settled,
            "unsettled": outcome.unsettled,
            "notes": outcome.notes,
            "reasons": outcome.reasons,
        });
        document.to_string()[1..].to_owned()
    }

    fn json_line(&self, difference: &Difference) -> String {
        let value =
            |value: &Value| if self.head.show_values { json!(value.text()) } else { json!(value.masked()) };
        let fields: Vec<serde_json::Value> = difference
            .fields
            .iter()
            .map(|it| {
                let looks = it.looks.map(|looks| looks.words());
                json!({ "column": it.column, "left": value(&it.left), "right": value(&it.right), "looks": looks })
            })
            .collect();
        let key: Vec<Option<String>> = difference.key.iter().map(Value::text).collect();
        json!({
            "what": difference.what.name(),
            "key": key,
            "fields": fields,
            "rows": { "left": difference.left_rows, "right": difference.right_rows },
        })
        .to_string()
    }

    fn csv_lines(&self, difference: &Difference) -> String {
        let keys: Vec<String> = difference.key.iter().map(|value| value.text().unwrap_or_default()).collect();
        let line = |parts: [String; 4]| {
            let all =
                [difference.what.name().to_owned()].into_iter().chain(keys.iter().cloned()).chain(parts);
            let quoted: Vec<String> = all.map(|part| quoted(&part)).collect();
            quoted.join(",")
        };
        if difference.fields.is_empty() {
            let rows = |count: u64| {
                if difference.what == What::Duplicate { count.to_string() } else { String::new() }
            };
            return line([
                String::new(),
                rows(difference.left_rows),
                rows(difference.right_rows),
                String::new(),
            ]);
        }
        let shown = |value: &Value| match value {
            Value::Null => String::new(),
            other if self.head.show_values => other.to_string(),
            other => other.masked().to_owned(),
        };
        let lines: Vec<String> = difference
            .fields
            .iter()
            .map(|it| {
                let looks = it.looks.map_or("", |looks| looks.words());
                line([it.column.clone(), shown(&it.left), shown(&it.right), looks.to_owned()])
            })
            .collect();
        lines.join("\n")
    }
}

impl Report for Speech {
    fn plan(&mut self, plan: &Plan) -> io::Result<()> {
        match self.format {
            Format::Text | Format::Markdown => {}
            Format::Json => {
                let name = |it: &seamline_compare::plan::Pair| json!({ "left": it.left, "right": it.right, "kind": it.kind().to_string() });
                let columns: Vec<serde_json::Value> = plan.columns.iter().map(name).collect();
                let key: Vec<&str> = plan.columns[..plan.n_key].iter().map(|it| it.left.as_str()).collect();
                let head = json!({
                    "schema": "seamline/compare/v1",
                    "left": self.head.left,
                    "right": self.head.right,
                    "key": key,
                    "columns": columns,
                });
                let head = head.to_string();
                write!(self.out, "{},\"differences\":[", &head[..head.len() - 1])?;
            }
            Format::Csv => {
                let keys = plan.columns[..plan.n_key].iter().map(|it| quoted(&it.left));
                let keys: Vec<String> = keys.collect();
                writeln!(self.out, "what,{},column,left,right,looks", keys.join(","))?;
            }
        }
        self.plan = Some(plan.clone());
        Ok(())
    }

    fn difference(&mut self, difference: &Difference) -> io::Result<()> {
        self.told += 1;
        match self.format {
            Format::Text | Format::Markdown => {
                if self.first.len() < SHOWN_MAX {
                    self.first.push(difference.clone());
                }
            }
            Format::Json => {
                let line = self.json_line(difference);
                let comma = if self.told == 1 { "" } else { "," };
                write!(self.out, "{comma}\n{line}")?;
            }
            Format::Csv => {
                let lines = self.csv_lines(difference);
                writeln!(self.out, "{lines}")?;
            }
        }
        Ok(())
    }
}

/// Returns a value on one line: a text in quotes, so that blanks are seen, and no longer than people read.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::Text(text) | Value::Unread(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    if text.chars().count() <= LETTERS_MAX {
        return text;
    }
    let begin: String = text.chars().take(LETTERS_MAX).collect();
    format!("{begin}… ({} characters)", text.chars().count())
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn found(outcome: &Outcome) -> String {
    let of = |what: What| outcome.found.get(&what).copied().unwrap_or(0);
    let mut parts = Vec::new();
    for (what, words) in [
        (What::OnlyLeft, "only on the left"),
        (What::OnlyRight, "only on the right"),
        (What::Different, "different"),
        (What::Duplicate, "with several rows, not the same on both sides"),
    ] {
        if of(what) > 0 {
            parts.push(format!("{} {words}", of(what)));
        }
    }
    let mut text = match outcome.differences() {
        0 => "no key differs".to_owned(),
        1 => format!("1 key differs: {}", parts.join(", ")),
        many => format!("{many} keys differ: {}", parts.join(", ")),
    };
    if outcome.settled > 0 {
        text.push_str(&format!("; {} differed at first and settled", outcome.settled));
    }
    text
}

fn tallies(outcome: &Outcome) -> Vec<Vec<String>> {
    let row = |(column, tally): (&String, &seamline_compare::difference::Tally)| {
        let looks: Vec<String> = tally
            .looks
            .iter()
            .map(|(looks, rows)| match looks.normalisation() {
                Some(step) => format!("{rows} {}: `--as {column}={step}`", looks.words()),
                None => format!("{rows} {}", looks.words()),
            })
            .collect();
        vec![column.clone(), counted(tally.rows, "row"), looks.join("; ")]
    };
    outcome.columns.iter().map(row).collect()
}

fn counts(outcome: &Outcome) -> Vec<Vec<String>> {
    let row = |(state, [left, right]): (&String, &[u64; 2])| {
        let mark = if left == right { "" } else { "differs" };
        vec![state.clone(), left.to_string(), right.to_string(), mark.to_owned()]
    };
    outcome.counts.iter().map(row).collect()
}

fn word(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Equal => "equal",
        Conclusion::Different => "different",
        Conclusion::Inconclusive => "inconclusive",
    }
}
