//! SARIF 2.1.0, as code scanning reads it.

use super::visible::visible;
use super::{Place, Report, Told, Verb};
use crate::rules::known;
use seamline_contract::finding::Level;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The name under which results carry what stays the same when lines move: of the rule and the place in the model.
const FINGERPRINT: &str = "ruleAndModelPath/v1";

/// Returns the document.
pub(super) fn document(report: &Report<'_>) -> Value {
    let told = report.told();
    let suppressed = report.suppressed();
    let all = told.iter().chain(suppressed.iter().map(|(told, _)| *told));
    let ids: BTreeSet<&str> = all.map(|it| it.finding.rule).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let rules: Vec<Value> = ids.iter().map(|id| rule(id)).collect();
    let mut results: Vec<Value> = told.iter().map(|it| result(it, &ids)).collect();
    results.extend(suppressed.iter().map(|(told, why)| {
        let mut result = result(told, &ids);
        let suppression = json!({ "kind": "external", "status": "accepted", "justification": visible(why) });
        result["suppressions"] = json!([suppression]);
        result
    }));
    let category = match report.verb {
        Verb::Check => "seamline/check/",
        Verb::Diff => "seamline/diff/",
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "seamline",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "automationDetails": { "id": category },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(id: &str) -> Value {
    let known = known(id);
    let reason = known.as_ref().map_or(id, |it| it.reason);
    let page = known.as_ref().map_or_else(|| reason.to_owned(), |it| it.page.clone());
    json!({
        "id": id,
        "name": id,
        "shortDescription": { "text": reason },
        "fullDescription": { "text": reason },
        "help": { "text": page, "markdown": page },
        "defaultConfiguration": { "level": level(known.map_or(Level::Error, |it| it.level)) },
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Advice => "note",
    }
}

fn result(told: &Told, ids: &[&str]) -> Value {
    let finding = &told.finding;
    let help = finding.help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {help}"));
    let related: Vec<Value> = told
        .notes
        .iter()
        .map(|(place, message)| {
            let mut related = location(place);
            related["message"] = json!({ "text": visible(message) });
            related
        })
        .collect();
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": ids.binary_search(&finding.rule).expect("each rule of a result is listed"),
        "level": level(finding.level),
        "message": { "text": visible(&format!("{}{help}", finding.message)) },
        "locations": [location(&told.at)],
        "partialFingerprints": { FINGERPRINT: told.fingerprint },
        "properties": {
            "path": visible(&finding.at.to_string()),
            "owedBy": finding.context.as_ref().map(ToString::to_string),
        },
    });
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    result
}

fn location(place: &Place) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&place.file), "uriBaseId": "%SRCROOT%" },
            "region": {
                "startLine": place.line,
                "startColumn": place.column,
                "endLine": place.end_line,
                "endColumn": place.end_column,
            },
        },
    })
}

/// Returns a path as a relative reference: what may not stand in one is written in hexadecimal (RFC 3986, section 2.1).
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'/'
            | b'@'
            | b'+'
            | b'=' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
