//! `seamline accept REF`: a consumer agrees to the meaning of what it uses.

use crate::exit::{Exit, unreachable};
use crate::opened::{opened, subscription};
use crate::terminal::confirmed;
use anyhow::{Context, Result};
use seamline_contract::meaning::{facets, meaning_digest};
use seamline_contract::resolve::resolve;
use seamline_contract::subscription::Accepted;
use seamline_estate::written::replace;
use seamline_lang::accept::with_accepted;
use seamline_rules::uses::uses;
use std::path::PathBuf;

/// Shows the meanings that a subscription uses, and writes into it that they were read and agreed to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The subscription: context/subscription.
    reference: String,
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    estate: PathBuf,
    /// Write without asking.
    #[arg(long)]
    yes: bool,
    /// Show, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
///
/// # Errors
/// When there is no such subscription, its contract does not resolve, or its file cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.estate)?;
    let estate = &opened.reading.estate;
    let subscription = subscription(estate, &args.reference)?;
    let contract = resolve(estate, &subscription.contract).map_err(|reasons| {
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        unreachable(reasons.join("; "), "run `seamline check` and mend it first")
    })?;
    let uses = uses(estate, subscription);
    let digest = meaning_digest(&contract, &uses.attributes, &uses.events, &uses.channels);
    println!(
        "{} uses of {} {}:",
        subscription.name,
        contract.contract.reference(),
        contract.contract.version
    );
    for facet in facets(&contract, &uses.attributes, &uses.events, &uses.channels) {
        println!("  {} {}: {}", facet.subject, facet.aspect, facet.text);
    }
    let accepted = Accepted { version: contract.contract.version, meaning: digest };
    if subscription.accepted.as_ref() == Some(&accepted) {
        println!("\nthis is what was accepted already\nnext: seamline check");
        return Ok(Exit::Clean);
    }
    println!("\naccepted: {{ version: {}, meaning: {} }}", accepted.version, accepted.meaning);
    if args.dry_run || !confirmed(&format!("write it into {}?", subscription.document), args.yes)? {
        println!("nothing was written");
        return Ok(Exit::Clean);
    }
    let text = &opened.files[&subscription.document];
    let text = with_accepted(text, &accepted).with_context(|| subscription.document.to_string())?;
    let path = opened.root.join(&subscription.document.0);
    replace(&path, &text).with_context(|| format!("cannot write `{}`", path.display()))?;
    println!("written\nnext: seamline check");
    Ok(Exit::Clean)
}
