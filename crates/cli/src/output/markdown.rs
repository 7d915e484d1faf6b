//! Markdown for a comment on a pull request: the verdict, what changed, which consumers must do what, and each finding.

use super::text::{heading, since};
use super::visible::one_line;
use super::{Report, Told, ToldChange};
use seamline_contract::finding::Level;
use seamline_rules::diff::change::Effect;
use seamline_rules::diff::impact::{Fate, Impact};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many changes, consumers and findings are told each: a comment has at most 65536 characters.
const TOLD_MAX: usize = 60;
/// How many characters of one message are told.
const LETTERS_MAX: usize = 300;

/// Returns the comment.
pub(super) fn comment(report: &Report<'_>) -> String {
    let fails = report.found.iter().any(|told| report.fails(told));
    let verdict = if fails { "this may not ship yet" } else { "nothing stands in the way" };
    let mut text = format!("## Seamline: {verdict}\n\n");
    for line in report.summary().lines() {
        let _ = writeln!(text, "- {}", prose(line));
    }
    let left_out = report.left_out();
    for line in left_out.iter().take(TOLD_MAX) {
        let _ = writeln!(text, "- {}", message(line));
    }
    more(&mut text, left_out.len());
    if let Some(compared) = report.compared.filter(|_| !report.changes.is_empty()) {
        let _ = writeln!(text, "\n### Changes {}", message(since(compared).trim_end_matches(':')));
        let mut subject = String::new();
        for told in report.changes.iter().take(TOLD_MAX) {
            if told.change.subject.to_string() != subject {
                subject = told.change.subject.to_string();
                let _ = writeln!(text, "\n**{}**\n\n| effect | aspect | what changed |\n|---|---|---|", {
                    prose(&heading(compared, told.change))
                });
            }
            change(&mut text, told);
        }
        more(&mut text, report.changes.len());
        consumers(&mut text, report);
    }
    if !report.found.is_empty() {
        text.push_str("\n### Findings\n\n");
        let mut found: Vec<&Told> = report.found.iter().collect();
        found.sort_by_key(|told| std::cmp::Reverse(told.finding.level));
        for told in found.iter().take(TOLD_MAX) {
            finding(&mut text, told);
        }
        more(&mut text, found.len());
    }
    let _ = writeln!(text, "\nnext: {}", code(&report.next()));
    text
}

/// Says how many are not told.
fn more(text: &mut String, count: usize) {
    if count > TOLD_MAX {
        let _ = writeln!(text, "\n…and {} more.", count - TOLD_MAX);
    }
}

fn change(text: &mut String, told: &ToldChange<'_>) {
    let change = told.change;
    let effect = match change.effect {
        Effect::Breaking | Effect::Unhandled => format!("**{}**", change.effect),
        Effect::Additive | Effect::Editorial => change.effect.to_string(),
    };
    let (message, reason) = (message(&change.message()), message(change.reason));
    let _ = writeln!(text, "| {effect} | {} | {message}<br>{reason} |", change.aspect);
}

/// Each consumer once, with the worst that becomes of it.
fn consumers(text: &mut String, report: &Report<'_>) {
    let mut by_consumer: BTreeMap<String, Vec<(&ToldChange<'_>, &Impact)>> = BTreeMap::new();
    for told in &report.changes {
        for impact in &told.impacts {
            by_consumer.entry(impact.subscription.to_string()).or_default().push((told, impact));
        }
    }
    if by_consumer.is_empty() {
        return;
    }
    text.push_str("\n### Consumers\n\n| consumer | team | must | because of | by its | may refuse |\n|---|---|---|---|---|---|\n");
    for (consumer, touched) in by_consumer.iter().take(TOLD_MAX) {
        let Some((_, worst)) = touched.iter().max_by_key(|(_, impact)| &impact.fate) else { continue };
        let listed = |all: Vec<String>| {
            let mut once: Vec<String> = Vec::new();
            for it in all {
                if !once.contains(&it) {
                    once.push(it);
                }
            }
            message(&once.join(", "))
        };
        let because = listed(touched.iter().map(|(told, _)| format!("`{}`", told.change.target)).collect());
        let by = listed(touched.iter().flat_map(|(_, impact)| impact.by.clone()).collect());
        let team = worst.team.as_ref().map_or("–".to_owned(), |team| code(team.as_str()));
        let veto = if touched.iter().any(|(_, impact)| impact.may_veto) { "**yes**" } else { "no" };
        let _ = writeln!(
            text,
            "| {} | {team} | {} | {because} | {by} | {veto} |",
            code(consumer),
            must(&worst.fate, consumer)
        );
    }
    more(text, by_consumer.len());
}

/// Returns what a consumer must do.
fn must(fate: &Fate, consumer: &str) -> String {
    match fate {
        Fate::Breaks => "**breaks**: move or mend it before this ships".to_owned(),
        Fate::MustMove { .. } => prose(fate.to_string().trim_start_matches("must ")),
        Fate::MustRead => format!("read it and run {}", code(&format!("seamline accept {consumer}"))),
    }
}

fn finding(text: &mut String, told: &Told) {
    let (finding, at) = (&told.finding, &told.at);
    let level = match finding.level {
        Level::Error => "**error**",
        Level::Warn => "warn",
        Level::Advice => "advice",
    };
    let whose =
        finding.context.as_ref().map_or_else(String::new, |it| format!(", owed by {}", code(it.as_str())));
    let place = code(&format!("{}:{}", at.file, at.line));
    let _ =
        writeln!(text, "- {level} {} at {place}{whose}: {}", code(finding.rule), message(&finding.message));
    if let Some(help) = &finding.help {
        let _ = writeln!(text, "  <br>help: {}", message(help));
    }
}

/// Returns a message in which users' texts stand in backticks: these as code, the rest as prose. Where a user's text has a
/// backtick of its own, nobody knows which is which: then either is harmless.
fn message(text: &str) -> String {
    let mut line = one_line(text);
    if let Some((cut, _)) = line.char_indices().nth(LETTERS_MAX) {
        line.truncate(cut);
        line.push('…');
    }
    let parts: Vec<&str> = line.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return code(&line);
    }
    let is_code = |idx: usize| idx % 2 == 1;
    parts.iter().enumerate().map(|(idx, part)| if is_code(idx) { code(part) } else { prose(part) }).collect()
}

/// Returns a text as code: between more backticks than it has in a row. A bar would end the cell of a table.
fn code(text: &str) -> String {
    let line = one_line(text);
    if line.is_empty() {
        return String::new();
    }
    let longest = line.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", line.replace('|', "\\|"))
}

/// Returns a text as prose in which nothing is Markdown, HTML or the name of somebody to call.
fn prose(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in one_line_kept(text).chars() {
        match letter {
            '@' => escaped.push_str("`@`"),
            '\\' | '*' | '_' | '<' | '>' | '|' | '[' | ']' | '#' | '&' | '~' | '$' | '!' | '`' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Returns a text on one line with the spaces at its ends, which part it from what stands beside it.
fn one_line_kept(text: &str) -> String {
    let (begins, ends) = (text.starts_with(' '), text.ends_with(' ') && text.trim() != "");
    format!("{}{}{}", if begins { " " } else { "" }, one_line(text), if ends { " " } else { "" })
}
