//! What a long run came to, and the page that says so.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use xtask::command::root;

/// Where the page lies, from the root.
pub(crate) const PATH: &str = "docs/proof/soak.md";

const HEAD: &str = "# The long run on real servers

<!-- Written by `cargo x soak --minutes N --report`. -->

One PostgreSQL, one Apache Kafka, four contexts and their agents, which reach both servers through a proxy. Writers write without a
pause, faults come at random under the seed, one on top of another, and reconciliation runs again and again. Meanwhile rows, sources and
topics of keys that no writer touches are changed by hand. At the end of each round all that waits is worked off, and judged:

- each pass that ran beside the load names nothing that was not injected, and of what was injected all that lies on links that it concluded;
- once it is quiet, reconciliation names what was injected and nothing else; it mends that, and is clean then;
- the oracle of [faults](faults.md) finds nothing lost, nothing added, each key in order, each effect once, all accounts balanced,
  and what was injected mended at every consumer;
- `seamline status` balances; no agent ended that was not told to, and none failed to end when told. One that ends as it starts since a
  server is away is started again, and counted as such below.
";

/// How passes that ran beside the load ended.
#[derive(Default)]
pub(crate) struct Passes {
    pub(crate) clean: u64,
    pub(crate) drift: u64,
    pub(crate) inconclusive: u64,
    /// The servers were away, or the pass was cut off with its connection.
    pub(crate) unfinished: u64,
}

/// What one round came to.
pub(crate) struct Round {
    pub(crate) took: Duration,
    pub(crate) committed: u64,
    pub(crate) faults: u64,
    pub(crate) drift: u64,
    /// How it was judged, in words.
    pub(crate) judged: String,
}

/// What the run came to, up to now.
pub(crate) struct Tally {
    begun: Instant,
    pub(crate) seed: u64,
    fired: BTreeMap<String, u64>,
    drift: BTreeMap<String, u64>,
    pub(crate) named: u64,
    pub(crate) passes: Passes,
    pub(crate) rounds: Vec<Round>,
    pub(crate) failed: Vec<String>,
}

impl Tally {
    pub(crate) fn new(seed: u64) -> Tally {
        Tally {
            begun: Instant::now(),
            seed,
            fired: BTreeMap::new(),
            drift: BTreeMap::new(),
            named: 0,
            passes: Passes::default(),
            rounds: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Counts a fault that really fired.
    pub(crate) fn fired(&mut self, kind: &str) {
        *self.fired.entry(kind.to_owned()).or_default() += 1;
    }

    /// Counts what was changed by hand.
    pub(crate) fn injected(&mut self, kind: &str) {
        *self.drift.entry(kind.to_owned()).or_default() += 1;
    }

    /// Notes a broken promise.
    pub(crate) fn fails(&mut self, what: String) {
        let at = self.begun.elapsed().as_secs();
        eprintln!("FAILED after {at} s: {what}");
        self.failed.push(format!("round {}, after {at} s: {what}", self.rounds.len() + 1));
    }

    pub(crate) fn faults(&self) -> u64 {
        self.fired.values().sum()
    }

    pub(crate) fn drifts(&self) -> u64 {
        self.drift.values().sum()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Returns the page.
    fn markdown(&self) -> String {
        let mut page = HEAD.to_owned();
        let minutes = self.elapsed().as_secs_f64() / 60.0;
        let committed: u64 = self.rounds.iter().map(|round| round.committed).sum();
        let _ = write!(
            page,
            "\n## This run\n\nRevision {}; seed {}; {minutes:.1} minutes in {} rounds; {committed} publications committed; {} faults fired; {} \
             changes by hand.\n",
            revision(),
            self.seed,
            self.rounds.len(),
            self.faults(),
            self.drifts()
        );
        let Passes { clean, drift, inconclusive, unfinished } = &self.passes;
        let _ = writeln!(
            page,
            "Passes beside the load: {clean} clean, {drift} that named drift ({} times a change by hand), {inconclusive} \
             inconclusive, {unfinished} cut off by a fault.",
            self.named
        );
        let _ =
            writeln!(page, "\n**Failed: {}.**", if self.failed.is_empty() { "nothing" } else { "see below" });
        for failure in &self.failed {
            let _ = writeln!(page, "\n```\n{failure}\n```");
        }
        for (title, counts) in [("Faults that really fired", &self.fired), ("Changed by hand", &self.drift)] {
            let _ = write!(page, "\n{title}:\n\n| what | times |\n|---|---:|\n");
            for (kind, count) in counts {
                let _ = writeln!(page, "| {kind} | {count} |");
            }
        }
        let _ = write!(
            page,
            "\n## Rounds\n\n| round | seconds | publications | faults | by hand | judged |\n|---:|---:|---:|---:|---:|---|\n"
        );
        for (idx, round) in self.rounds.iter().enumerate() {
            let Round { took, committed, faults, drift, judged } = round;
            let took = took.as_secs();
            let _ = writeln!(page, "| {} | {took} | {committed} | {faults} | {drift} | {judged} |", idx + 1);
        }
        page
    }

    /// Writes the page as far as it is known: a run that is cut off leaves what it found.
    pub(crate) fn write(&self) -> Result<()> {
        let page = root().join(PATH);
        let folder: &Path = page.parent().context("a page lies in a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(&page, self.markdown()).with_context(|| format!("cannot write `{}`", page.display()))
    }

    pub(crate) fn text(&self) -> String {
        self.markdown()
    }
}

fn revision() -> String {
    let call = |words: &[&str]| Command::new("git").args(words).current_dir(root()).output().ok();
    let revision = call(&["rev-parse", "--short=12", "HEAD"])
        .map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
        .unwrap_or_default();
    let changed = call(&["status", "--porcelain", "--untracked-files=no", "--", "crates", "xtask", "proof"]);
    let is_changed = changed.is_some_and(|said| !said.stdout.is_empty());
    format!("{revision}{}", if is_changed { " and changes that are not committed" } else { "" })
}
