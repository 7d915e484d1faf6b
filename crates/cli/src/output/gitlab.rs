//! GitLab Code Quality: an array of findings, which annotates the merge request.

use super::Report;
use super::visible::{one_line, visible};
use seamline_contract::finding::Level;
use serde_json::{Value, json};

/// Returns the array.
pub(super) fn document(report: &Report<'_>) -> Value {
    let found = report.told().into_iter().map(|told| {
        let severity = match told.finding.level {
            Level::Error => "critical",
            Level::Warn => "minor",
            Level::Advice => "info",
        };
        let help = told.finding.help.map_or_else(String::new, |help| format!(" (help: {help})"));
        json!({
            "description": one_line(&format!("{}{help}", told.finding.message)),
            "check_name": told.finding.rule,
            "fingerprint": told.fingerprint,
            "severity": severity,
            "location": {
                "path": visible(&told.at.file),
                "lines": { "begin": told.at.line, "end": told.at.end_line },
            },
        })
    });
    found.collect()
}
