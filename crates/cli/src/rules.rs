//! `seamline rules` and `seamline explain RULE`: what is checked, and why.

use crate::exit::{Exit, usage};
use crate::rule_pages::page;
use crate::terminal::{Format, columns};
use anyhow::Result;
use seamline_contract::finding::Level;
use seamline_lang::rule::RULES as LANGUAGE;
use seamline_rules::diff::change::CLASSES;
use seamline_rules::diff::verdict::CHANGE_RULES;
use seamline_rules::rule::{RULES, rule, thresholds};
use serde_json::json;

/// Lists what `check` looks for.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Says why a rule is one.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The rule's id, as findings print it.
    rule: String,
}

/// Lists the rules.
pub(crate) fn list(args: &ListArgs) -> Exit {
    match args.format {
        Format::Text => {
            let rows: Vec<Vec<String>> = RULES
                .iter()
                .map(|rule| vec![rule.id.to_owned(), rule.level.to_string(), rule.reason.to_owned()])
                .collect();
            print!("{}", columns(&rows));
            let rows: Vec<Vec<String>> =
                thresholds().into_iter().map(|(id, text)| vec![id.to_owned(), text]).collect();
            print!("\nthresholds\n{}", columns(&rows));
            println!(
                "\n{} rules, and {} of the language itself\nnext: seamline explain {}",
                RULES.len(),
                LANGUAGE.len(),
                RULES[0].id
            );
        }
        Format::Json => {
            let rules: Vec<_> = RULES
                .iter()
                .map(|rule| {
                    json!({ "id": rule.id, "category": rule.category.to_string(), "level": rule.level.to_string(), "reason": rule.reason })
                })
                .collect();
            let thresholds: serde_json::Map<_, _> =
                thresholds().into_iter().map(|(id, text)| (id.to_owned(), json!(text))).collect();
            println!(
                "{}",
                json!({ "schema": "seamline/rules/v1", "rules": rules, "thresholds": thresholds })
            );
        }
    }
    Exit::Clean
}

/// Explains one rule by its page.
///
/// # Errors
/// When there is no such rule.
pub(crate) fn explain(args: &ExplainArgs) -> Result<Exit> {
    let id = args.rule.to_uppercase();
    let Some(known) = known(&id) else {
        return Err(usage(format!("there is no rule `{}`", args.rule), "`seamline rules` lists them"));
    };
    println!("{}\n\nnext: {}", known.page.trim_end(), known.next);
    Ok(Exit::Clean)
}

/// What is known of the id of a finding, or of a class of changes.
pub(crate) struct Known {
    /// The level where the estate sets none.
    pub(crate) level: Level,
    /// Why it matters, in one sentence.
    pub(crate) reason: &'static str,
    /// All that is to say of it, as Markdown.
    pub(crate) page: String,
    /// The next sensible command.
    next: &'static str,
}

/// Returns what is known of an id.
pub(crate) fn known(id: &str) -> Option<Known> {
    let (check, diff) = ("seamline check", "seamline diff main");
    let page = |level: &dyn std::fmt::Display, reason: &str, advice: &str| {
        page(id).map_or_else(|| format!("# {id}\n\n**{level}.** {reason}\n\n{advice}\n"), ToOwned::to_owned)
    };
    if let Some(rule) = rule(id) {
        return Some(Known {
            level: rule.level,
            reason: rule.reason,
            page: page(&rule.level, rule.reason, ""),
            next: check,
        });
    }
    if let Some(rule) = CHANGE_RULES.iter().find(|rule| rule.id == id) {
        let page = page(&rule.level, rule.reason, "");
        return Some(Known { level: rule.level, reason: rule.reason, page, next: diff });
    }
    if let Some(rule) = LANGUAGE.iter().find(|rule| rule.id == id) {
        let page = page(&Level::Error, rule.reason, rule.mend);
        return Some(Known { level: Level::Error, reason: rule.reason, page, next: check });
    }
    let class = CLASSES.iter().find(|class| class.id == id)?;
    let page = page(&"A class of changes", class.reason, class.advice);
    Some(Known { level: Level::Advice, reason: class.reason, page, next: diff })
}
