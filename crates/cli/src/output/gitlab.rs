//! GitLab Code Quality: an array of findings, which annotates the merge request.

use super::visible::{one_line, visible};
use super::{Report, Told};
use seamline_contract::finding::Level;
use serde_json::{Value, json};

/// Returns the array. What is put up with is told as such at the least severity: the format knows nothing of its kind.
pub(super) fn document(report: &Report<'_>) -> Value {
    let found = report.told();
    let found = found.iter().map(|told| {
        let severity = match told.finding.level {
            Level::Error => "critical",
            Level::Warn => "minor",
            Level::Advice => "info",
        };
        issue(told, severity, "")
    });
    let suppressed = report.suppressed();
    let suppressed = suppressed.iter().map(|(told, why)| issue(told, "info", &format!("{why}: ")));
    found.chain(suppressed).collect()
}

fn issue(told: &Told, severity: &str, why: &str) -> Value {
    let finding = &told.finding;
    let help = finding.help.as_ref().map_or_else(String::new, |help| format!(" (help: {help})"));
    json!({
        "description": one_line(&format!("{why}{}{help}", finding.message)),
        "check_name": finding.rule,
        "fingerprint": told.fingerprint,
        "severity": severity,
        "location": {
            "path": visible(&told.at.file),
            "lines": { "begin": told.at.line, "end": told.at.end_line },
        },
    })
}
