//! `seamline try`: an estate of one's own, on files in a scratch folder, under load that is drawn from its contracts.

mod cast;
mod dice;
mod draft;
mod pattern;
mod run;
mod sample;
mod solve;
mod table;
mod trade;

use crate::exit::{Exit, usage};
use crate::opened::{findings, opened};
use crate::proving::fault::{self, FaultKind};
use crate::proving::scene::Scene;
use crate::proving::story::Story;
use crate::proving::verdict;
use crate::site::block_on;
use crate::terminal::{Format, colour, counted};
use crate::trial::cast::{Cast, Untried, cast};
use crate::trial::solve::TRIES;
use crate::trial::trade::{Played, Trade};
use anyhow::{Context, Result};
use clap::builder::NonEmptyStringValueParser;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::finding::Level;
use seamline_sqlite::context::Database;
use serde_json::json;
use std::path::PathBuf;

/// Tries an estate on files in a scratch folder: load drawn from its contracts, faults, and a verdict. No server is needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder of the estate.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// What rows, events and faults are drawn from; the same seed does the same.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How many changes the services write.
    #[arg(long, default_value_t = 400)]
    changes: usize,
    /// Which faults to inject: kinds separated by commas, `all` or `none`.
    #[arg(long, default_value = "all", value_parser = NonEmptyStringValueParser::new())]
    faults: String,
    /// Find, and mend nothing.
    #[arg(long)]
    no_repair: bool,
    /// One JSON object a line; the last is the verdict.
    #[arg(long)]
    json: bool,
}

/// The most changes of one trial.
const CHANGES_MAX: usize = 100_000;

/// Runs the command.
///
/// # Errors
/// When the call is wrong, nothing can be tried, or a file cannot be used.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    if !(1..=CHANGES_MAX).contains(&args.changes) {
        return Err(usage(
            format!("--changes goes from 1 to {CHANGES_MAX}"),
            "leave it out for a short trial",
        ));
    }
    let kinds = fault::kinds(&args.faults)?;
    block_on(tell(args, kinds))
}

async fn tell(args: &Args, kinds: Vec<FaultKind>) -> Result<Exit> {
    let story = Story::new(if args.json { Format::Json } else { Format::Text }, colour());
    let opened = opened(&args.path)?;
    let n_errors = findings(&opened).iter().filter(|finding| finding.level == Level::Error).count();
    let Cast { estate, parts, mut untried, stand_ins, at_hours } = cast(&opened.reading.estate);
    story.chapter(&format!("TRYING {}, seed {}", opened.root.display(), args.seed));
    story.line(&format!(
        "{}, {}; every database is a file in a scratch folder, with tables made from the contracts",
        counted(parts.len() as u64, "published contract"),
        counted(estate.subscriptions.len() as u64, "subscription"),
    ));
    if n_errors > 0 {
        story.line(&format!("`seamline check` finds {}", counted(n_errors as u64, "error")));
    }
    for system in &stand_ins {
        story.line(&format!("{system} is MySQL, which this version cannot run: SQLite stands in for it"));
    }
    if !at_hours.is_empty() {
        story.line(&format!("{}: sent at hours, and at once here", at_hours.join(", ")));
    }
    if parts.is_empty() {
        tell_untried(&story, &untried);
        return Err(usage(
            "there is nothing that can be tried",
            "write a publication with `feed: outbox` for one of its contracts",
        ));
    }
    let scratch = tempfile::tempdir().context("cannot make a folder to work in")?;
    let site = Site { root: scratch.path().to_owned(), estate, environment: cast::environment() };
    let prepare = async |agent: &Agent, file: &Database| {
        Trade::make_tables(&parts, agent.context.as_str(), &mut *file.writer().await).await
    };
    let scene = Scene::open(&site, prepare).await?;
    story.chapter(&format!("RUNNING {}", counted(args.changes as u64, "change")));
    let mut trade = Trade::new(args.seed, parts.clone());
    let injector = run::run(&scene, &story, &mut trade, args.changes, &kinds).await?;
    let played = trade.played();
    tell_played(&story, &played);
    for it in played.iter().filter(|it| it.changes == 0) {
        let why = format!("no row that keeps it was found, in {TRIES} changes of each row that was drawn");
        untried.push(Untried { what: format!("contract {}", it.contract), why });
    }
    let missed = injector.unsuited.iter().map(|kind| (*kind, "nothing in the estate is open to it"));
    let waiting = injector.waiting().into_iter().map(|kind| (kind, "no row was free for it in time"));
    for (kind, why) in missed.chain(waiting) {
        untried.push(Untried { what: format!("fault {}", kind.word()), why: why.to_owned() });
    }
    let mut verdict = verdict::judge(&scene, &story, &injector.injected, !args.no_repair, &mut trade).await?;
    tell_untried(&story, &untried);
    if verdict.word == "clean" && !untried.is_empty() {
        story.line("all that was tried is clean; what was not tried leaves the verdict open");
        verdict.word = "inconclusive";
    }
    let next = match verdict.exit() {
        Exit::Clean => "seamline install, for each context".to_owned(),
        _ => format!("seamline check {}", args.path.display()),
    };
    story.end(&verdict, &next);
    Ok(verdict.exit())
}

fn tell_played(story: &Story, played: &[Played]) {
    story.chapter("PLAYED: what was drawn from each contract");
    let mut rows = vec![["contract", "keys", "changes", "events"].map(str::to_owned).to_vec()];
    for it in played {
        let events: Vec<String> = it.events.iter().map(|(name, count)| format!("{name} {count}")).collect();
        rows.push(vec![
            it.contract.to_string(),
            it.keys.to_string(),
            it.changes.to_string(),
            events.join(", "),
        ]);
        let events: serde_json::Map<String, serde_json::Value> =
            it.events.iter().map(|(name, count)| (name.to_string(), json!(count))).collect();
        story.object(&json!({ "played": it.contract.to_string(), "keys": it.keys, "changes": it.changes, "events": events }));
    }
    story.table(&rows);
}

fn tell_untried(story: &Story, untried: &[Untried]) {
    if untried.is_empty() {
        return;
    }
    story.chapter("NOT TRIED");
    for it in untried {
        story.line(&format!("{}: {}", it.what, it.why));
        story.object(&json!({ "untried": it.what, "why": it.why }));
    }
}
