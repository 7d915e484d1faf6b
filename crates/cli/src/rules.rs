//! `seamline rules` and `seamline explain RULE`: what is checked, and why.

use crate::exit::{Exit, usage};
use crate::rule_pages::page;
use crate::terminal::{Format, columns};
use anyhow::Result;
use seamline_lang::rule::RULES as LANGUAGE;
use seamline_rules::rule::{RULES, thresholds};
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
    if let Some(page) = page(&id) {
        println!("{page}");
        return Ok(Exit::Clean);
    }
    if let Some(rule) = LANGUAGE.iter().find(|rule| rule.id == id) {
        println!("{}: {}\n\nnext: the finding itself says what to write instead", rule.id, rule.reason);
        return Ok(Exit::Clean);
    }
    Err(usage(format!("there is no rule `{}`", args.rule), "`seamline rules` lists them"))
}
