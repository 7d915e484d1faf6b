//! `seamline demo`: an insurer in one process; meaning moves under contract, breaks, is found, blamed and mended.

mod after;
mod before;
mod insurer;
mod run;
mod scene;

use crate::demo::insurer::Insurer;
use crate::demo::run::Plan;
use crate::exit::{Exit, usage};
use crate::proving::fault::{self, FaultKind};
use crate::proving::story::Story;
use crate::proving::verdict;
use crate::site::block_on;
use crate::terminal::{Format, colour};
use anyhow::{Context, Result};
use clap::builder::NonEmptyStringValueParser;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use seamline_contract::estate::Estate;
use std::path::{Path, PathBuf};

/// Shows the whole of it on an insurer: no server needed, about half a minute.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long the services write, in seconds.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// How many changes they write a second.
    #[arg(long, default_value_t = 120.0)]
    rate: f64,
    /// What faults and business are drawn from; at which policy a fault strikes depends on the machine's speed, too.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Which faults to inject: kinds separated by commas, `all` or `none`.
    #[arg(long, default_value = "all", value_parser = NonEmptyStringValueParser::new())]
    inject: String,
    /// Find, and mend nothing.
    #[arg(long)]
    no_repair: bool,
    /// Keep the estate and its databases in this folder, to look at and to run commands on.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// One JSON object a line; the last is the verdict.
    #[arg(long)]
    json: bool,
}

/// How many faults of each kind are injected.
const TIMES: usize = 2;

/// Runs the command.
///
/// # Errors
/// When the call is wrong, or a file cannot be used.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    if !(0.5..=3_600.0).contains(&args.seconds) || !(1.0..=5_000.0).contains(&args.rate) {
        return Err(usage(
            "--seconds goes from 0.5 to 3600, --rate from 1 to 5000",
            "leave them out for a short run",
        ));
    }
    let kinds = fault::kinds(&args.inject)?;
    block_on(tell(args, kinds))
}

async fn tell(args: &Args, kinds: Vec<FaultKind>) -> Result<Exit> {
    let story = Story::new(if args.json { Format::Json } else { Format::Text }, colour());
    let scratch = tempfile::tempdir().context("cannot make a folder to work in")?;
    let folder: &Path = args.keep.as_deref().unwrap_or(scratch.path());
    scene::write_estate(folder)?;
    open_with_the_past(&story, args.seed);
    let opened = crate::opened::opened(folder)?;
    story.chapter("THE CONTRACT WAY: two questions, two attributes, two owners");
    present(&story, &opened.reading.estate);
    let scene = scene::open(&opened).await?;
    story.chapter(&format!("RUNNING for {} s at {} changes a second", args.seconds, args.rate));
    let mut insurer = Insurer::new(ChaCha8Rng::seed_from_u64(args.seed));
    let plan = Plan { seconds: args.seconds, rate: args.rate, kinds, times: TIMES };
    let injector = run::run(&scene, &story, &plan, &mut insurer).await?;
    let verdict = verdict::judge(&scene, &story, &injector.injected, !args.no_repair, &mut insurer).await?;
    story.chapter("AFTER: what each context knows, in its own database");
    for line in after::look(&scene).await? {
        story.line(&line);
    }
    let next = match &args.keep {
        Some(folder) => format!("seamline reconcile --estate {}", folder.display()),
        None => "seamline demo --keep insurer, then change a cell with sqlite3 and `seamline reconcile`"
            .to_owned(),
    };
    story.end(&verdict, &next);
    Ok(verdict.exit())
}

fn open_with_the_past(story: &Story, seed: u64) {
    story.chapter(&format!("SEAMLINE DEMO: an insurer in one process, seed {seed}"));
    story.chapter("BEFORE: one event for every change, one word for two questions");
    let (lines, n_wrong) = before::play();
    for line in &lines {
        story.line(line);
    }
    story.line(&format!("no error, no alarm, {n_wrong} wrong decisions"));
}

fn present(story: &Story, estate: &Estate) {
    let question = |context: &str, attribute: &str| {
        let contract = estate.contracts.iter().find(|it| it.name.context.as_str() == context)?;
        let found = contract.attributes.iter().find(|it| it.name.as_str() == attribute)?;
        Some(vec![format!("{}.{attribute}", contract.name), found.meaning.clone()])
    };
    let questions = [question("policy-administration", "claimsStatus"), question("billing", "billingStatus")];
    story.table(&questions.into_iter().flatten().collect::<Vec<_>>());
    story.line(&format!(
        "checked: {} contexts, {} contracts, {} subscriptions, no errors",
        estate.contexts.len(),
        estate.contracts.len(),
        estate.subscriptions.len()
    ));
}
