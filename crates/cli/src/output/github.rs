//! GitHub workflow commands: a line for each finding, which annotates the pull request.

use super::visible::{one_line, visible};
use super::{Report, Told};
use seamline_contract::finding::Level;
use std::fmt::Write;

/// Returns a command for each finding, then a line for people.
pub(super) fn commands(report: &Report<'_>) -> String {
    let mut text = String::new();
    for told in report.told() {
        command(&mut text, &told);
    }
    let _ = writeln!(text, "{}", report.summary());
    for line in report.left_out() {
        let _ = writeln!(text, "{}", one_line(&line));
    }
    let _ = writeln!(text, "next: {}", report.next());
    text
}

fn command(text: &mut String, told: &Told) {
    let (finding, at) = (&told.finding, &told.at);
    let name = match finding.level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Advice => "notice",
    };
    let mut message = finding.message.clone();
    if let Some(context) = &finding.context {
        let _ = write!(message, "\nowed by: {context}");
    }
    if let Some(help) = &finding.help {
        let _ = write!(message, "\nhelp: {help}");
    }
    let _ = write!(text, "::{name} file={},line={},col={}", property(&at.file), at.line, at.column);
    // Columns of an end are read on the first line alone.
    let _ = match at.end_line == at.line {
        true => write!(text, ",endColumn={}", at.end_column),
        false => write!(text, ",endLine={}", at.end_line),
    };
    let _ = writeln!(text, ",title={}::{}", property(finding.rule), data(&message));
}

/// Returns what stands behind the second `::`: neither an end of line nor `%` as such.
fn data(text: &str) -> String {
    visible(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Returns the value of a property: besides, neither `:` nor `,`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
