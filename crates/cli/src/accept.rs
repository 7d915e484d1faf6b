//! `seamline accept REF`: a consumer agrees to the meaning of what it uses.

use crate::exit::{Exit, unreachable, usage};
use crate::opened::{opened, subscription};
use crate::terminal::Writing;
use anyhow::{Context, Result};
use seamline_contract::contract::{Change, ChangeKind, Contract};
use seamline_contract::estate::Estate;
use seamline_contract::meaning::{Facet, Uses, facets, meaning_digest};
use seamline_contract::resolve::{ResolvedContract, resolve};
use seamline_contract::subscription::{Accepted, Subscription};
use seamline_estate::open::Opened;
use seamline_estate::written::replace;
use seamline_lang::accept::with_accepted;
use seamline_rules::uses::uses;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Shows the meanings that a subscription uses and what changed in them, and writes into it that they were read and agreed to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The subscription: context/subscription.
    reference: String,
    /// A folder of the estate.
    #[arg(long, default_value = ".")]
    estate: PathBuf,
    /// A folder of the estate as it was when it was accepted: what was said then is shown beside what is said now.
    #[arg(long, value_name = "FOLDER")]
    since: Option<PathBuf>,
    #[command(flatten)]
    writing: Writing,
}

/// Runs the command.
///
/// # Errors
/// When there is no such subscription, its contract does not resolve, or its file cannot be written.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.estate)?;
    let estate = &opened.reading.estate;
    let subscription = subscription(estate, &args.reference)?;
    if let Some(repository) = subscription.document.repository() {
        let message = format!("`{}` is of another repository, `{repository}`", subscription.name);
        return Err(usage(message, "its own team accepts what it uses, there"));
    }
    let contract = resolved(estate, subscription)?;
    let uses = uses(estate, subscription);
    let accepted = Accepted { version: contract.contract.version, meaning: meaning_digest(&contract, &uses) };
    let reading = Read {
        subscription,
        contract: &contract.contract,
        now: facets(&contract, &uses),
        before: args.since.as_ref().map(|since| before(since, subscription, &uses)).transpose()?,
        accepted: &accepted,
    };
    if args.writing.is_text() {
        print!("{}", reading.text());
    }
    if subscription.accepted.as_ref() == Some(&accepted) {
        return Ok(reading.ended(args.writing.is_text(), "this is what was accepted already", false));
    }
    if !args.writing.agreed(&format!("write it into {}?", subscription.document))? {
        return Ok(reading.ended(args.writing.is_text(), "nothing was written", false));
    }
    write(&opened, subscription, &accepted)?;
    Ok(reading.ended(args.writing.is_text(), "written", true))
}

fn resolved(estate: &Estate, subscription: &Subscription) -> Result<ResolvedContract> {
    resolve(estate, &subscription.contract).map_err(|reasons| {
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        unreachable(reasons.join("; "), "run `seamline check` and mend it first")
    })
}

/// Returns what an older text of the estate said of the same uses.
fn before(since: &std::path::Path, subscription: &Subscription, uses: &Uses) -> Result<Vec<Facet>> {
    let old = opened(since)?;
    Ok(facets(&resolved(&old.reading.estate, subscription)?, uses))
}

fn write(opened: &Opened, subscription: &Subscription, accepted: &Accepted) -> Result<()> {
    let text = &opened.files[&subscription.document];
    let text = with_accepted(text, accepted).with_context(|| subscription.document.to_string())?;
    let path = opened.root.join(&subscription.document.0);
    replace(&path, &text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// What there is to read before it is accepted.
struct Read<'a> {
    subscription: &'a Subscription,
    contract: &'a Contract,
    now: Vec<Facet>,
    /// What an older text said of the same uses, when one was given.
    before: Option<Vec<Facet>>,
    accepted: &'a Accepted,
}

impl Read<'_> {
    fn text(&self) -> String {
        let contract = format!("{} {}", self.contract.reference(), self.contract.version);
        let mut text = format!("{} uses of {contract}:\n", self.subscription.name);
        self.now.iter().for_each(|facet| text.push_str(&format!("  {}\n", line(facet))));
        text.push_str(
            "nothing else is part of the digest: a change of anything else asks nobody to read again\n",
        );
        let since = self.since();
        if !since.is_empty() {
            text.push_str("\nwhat the contract declares since then:\n");
            since.iter().for_each(|change| text.push_str(&format!("  {}\n", declared(change))));
        }
        if let Some((gone, new)) = self.difference() {
            let n_changes = gone.len() + new.len();
            text.push_str(if n_changes == 0 { "\nit said the same before\n" } else { "\nwhat changed:\n" });
            gone.iter().for_each(|facet| text.push_str(&format!("  - {}\n", line(facet))));
            new.iter().for_each(|facet| text.push_str(&format!("  + {}\n", line(facet))));
        }
        let was = self.subscription.accepted.as_ref().map(shown).unwrap_or_else(|| "nothing".to_owned());
        text.push_str(&format!("\naccepted until now: {was}\nto be accepted: {}\n", shown(self.accepted)));
        text
    }

    /// Returns the declared changes of the versions above the one that was accepted.
    fn since(&self) -> Vec<&Change> {
        let Some(accepted) = &self.subscription.accepted else { return Vec::new() };
        let changes = self.contract.changes.iter();
        changes.filter(|it| it.version > accepted.version && it.version <= self.contract.version).collect()
    }

    /// Returns what is said no longer, and what is said now and was not before.
    fn difference(&self) -> Option<(Vec<&Facet>, Vec<&Facet>)> {
        let before = self.before.as_ref()?;
        let (old, new): (BTreeSet<&Facet>, BTreeSet<&Facet>) =
            (before.iter().collect(), self.now.iter().collect());
        Some((old.difference(&new).copied().collect(), new.difference(&old).copied().collect()))
    }

    /// Says how it ended, to people or programs.
    fn ended(&self, is_text: bool, says: &str, written: bool) -> Exit {
        if is_text {
            println!("\n{says}\nnext: seamline check");
        } else {
            println!("{}", self.document(written));
        }
        Exit::Clean
    }

    fn document(&self, written: bool) -> Value {
        let facet =
            |it: &Facet| json!({ "subject": it.subject, "aspect": it.aspect.to_string(), "text": it.text });
        let accepted = |it: &Accepted| json!({ "version": it.version.to_string(), "meaning": it.meaning });
        let changed = self.difference().map(|(gone, new)| {
            let all = |side: Vec<&Facet>| side.into_iter().map(facet).collect::<Vec<_>>();
            json!({ "gone": all(gone), "new": all(new) })
        });
        json!({
            "schema": "seamline/accept/v1",
            "subscription": self.subscription.name.to_string(),
            "contract": self.contract.reference().to_string(),
            "uses": self.now.iter().map(facet).collect::<Vec<_>>(),
            "declared": self.since().into_iter().map(declared).collect::<Vec<_>>(),
            "changed": changed,
            "was": self.subscription.accepted.as_ref().map(accepted),
            "accepted": accepted(self.accepted),
            "written": written,
        })
    }
}

fn line(facet: &Facet) -> String {
    format!("{} {}: {}", facet.subject, facet.aspect, facet.text)
}

fn shown(accepted: &Accepted) -> String {
    format!("{{ version: {}, meaning: {} }}", accepted.version, accepted.meaning)
}

fn declared(change: &Change) -> String {
    let (verb, targets) = match &change.kind {
        ChangeKind::Added(targets) => ("added", targets.join(", ")),
        ChangeKind::Removed(targets) => ("removed", targets.join(", ")),
        ChangeKind::Redefined(targets) => ("redefined", targets.join(", ")),
        ChangeKind::Refined(targets) => ("refined", targets.join(", ")),
        ChangeKind::Clarified(targets) => ("clarified", targets.join(", ")),
        ChangeKind::Deprecated(targets) => ("deprecated", targets.join(", ")),
        ChangeKind::Strengthened(targets) => ("strengthened", targets.join(", ")),
        ChangeKind::Weakened(targets) => ("weakened", targets.join(", ")),
        ChangeKind::Renamed(names) => {
            let names: Vec<String> = names.iter().map(|(old, new)| format!("{old} to {new}")).collect();
            ("renamed", names.join(", "))
        }
    };
    format!("{} {verb} {targets}: {}", change.version, change.because)
}
