//! JSON for programs: `seamline/check/v1` and `seamline/diff/v1`. Texts are as they were written.

use super::{Place, Report, Told, ToldChange, Verb};
use seamline_contract::finding::Level;
use seamline_rules::diff::change::Side;
use serde_json::{Value, json};

/// Returns the document.
pub(super) fn document(report: &Report<'_>) -> Value {
    let findings: Vec<Value> = report.found.iter().map(finding).collect();
    let counts = json!({
        "error": report.count(Level::Error),
        "warn": report.count(Level::Warn),
        "advice": report.count(Level::Advice),
    });
    let waived: Vec<Value> = report
        .waived
        .iter()
        .map(|(told, waiver)| {
            json!({
                "finding": finding(told),
                "waiver": waiver.id.to_string(),
                "approver": waiver.approver.to_string(),
                "because": waiver.because,
                "until": waiver.until,
            })
        })
        .collect();
    match report.verb {
        Verb::Check => json!({
            "schema": "seamline/check/v1",
            "findings": findings,
            "counts": counts,
            "waived": waived,
            "baseline": report.known.as_ref().map(|known| {
                let mut document = known.document();
                document["findings"] = report.known_found.iter().map(finding).collect();
                document
            }),
            "others": report.others.iter().map(finding).collect::<Vec<_>>(),
            "against": against(report),
        }),
        Verb::Diff => {
            let mut document = against(report);
            document["schema"] = "seamline/diff/v1".into();
            document["findings"] = findings.into();
            document["counts"] = counts;
            document["waived"] = waived.into();
            document
        }
    }
}

/// Returns what changed, and since when; null where nothing was compared.
fn against(report: &Report<'_>) -> Value {
    let Some(compared) = report.compared else { return Value::Null };
    let contracts: Vec<Value> = compared
        .diff
        .contracts
        .iter()
        .map(|it| {
            json!({
                "contract": it.name.to_string(),
                "old": it.old.map(|version| version.to_string()),
                "new": it.new.map(|version| version.to_string()),
                "required": it.required.to_string(),
                "given": it.given.to_string(),
            })
        })
        .collect();
    json!({
        "old": {
            "name": compared.old.name,
            "commit": compared.old.commit.map(|commit| commit.id()),
            "isMergeBase": compared.is_merge_base,
        },
        "contracts": contracts,
        "changes": report.changes.iter().map(change).collect::<Vec<_>>(),
    })
}

fn change(told: &ToldChange<'_>) -> Value {
    let change = told.change;
    let touches: Vec<Value> = told
        .impacts
        .iter()
        .map(|impact| {
            json!({
                "subscription": impact.subscription.to_string(),
                "team": impact.team.as_ref().map(ToString::to_string),
                "by": impact.by,
                "fate": impact.fate.to_string(),
                "mayVeto": impact.may_veto,
            })
        })
        .collect();
    let side = |side: &Option<Side>, at: &Option<Place>| {
        let (side, at) = side.as_ref().zip(at.as_ref())?;
        let mut place = place(at);
        place["text"] = side.text.clone().into();
        Some(place)
    };
    json!({
        "subject": change.subject.to_string(),
        "target": change.target.to_string(),
        "facet": change.facet,
        "aspect": change.aspect.to_string(),
        "effect": change.effect.to_string(),
        "reason": change.reason,
        "message": change.message(),
        "old": side(&change.old, &told.old),
        "new": side(&change.new, &told.new),
        "touches": touches,
    })
}

fn finding(told: &Told) -> Value {
    let finding = &told.finding;
    let notes: Vec<Value> =
        told.notes.iter().map(|(at, message)| json!({ "message": message, "at": place(at) })).collect();
    json!({
        "rule": finding.rule,
        "standard": finding.standard.as_ref().map(ToString::to_string),
        "level": finding.level.to_string(),
        "message": finding.message,
        "at": place(&told.at),
        "path": finding.at.to_string(),
        "fingerprint": told.fingerprint,
        "isInOlderText": told.is_old,
        "help": finding.help,
        "notes": notes,
        "owedBy": finding.context.as_ref().map(ToString::to_string),
    })
}

fn place(place: &Place) -> Value {
    json!({
        "document": place.document,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    })
}
