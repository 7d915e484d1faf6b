//! Reconciliation beside the load, one pass after another, each held against what was injected.

use crate::faults::process::{Running, Said};
use crate::faults::soak::tally::Tally;
use crate::faults::stage::{Stage, last_line, lines, write_lines};
use anyhow::{Result, bail};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

/// How long a pass may take under faults.
const LONGEST: Duration = Duration::from_secs(240);

/// The pass under way, and what it must and may name.
pub(crate) struct Reconciling {
    pass: Option<Pass>,
    repair_next: bool,
    n_passes: u64,
    /// Injected, and surely not mended.
    open: Vec<Value>,
    /// Injected, and perhaps mended.
    perhaps: Vec<Value>,
}

struct Pass {
    running: Running,
    begun: Instant,
    repairs: bool,
    /// What was open when it began, and is still.
    must: Vec<Value>,
}

impl Reconciling {
    pub(crate) fn new(stage: &Stage<'_>) -> Result<Reconciling> {
        let mut all = Reconciling {
            pass: None,
            repair_next: false,
            n_passes: 0,
            open: Vec::new(),
            perhaps: Vec::new(),
        };
        all.begin(stage)?;
        Ok(all)
    }

    fn begin(&mut self, stage: &Stage<'_>) -> Result<()> {
        self.n_passes += 1;
        let mut words = vec!["reconcile", "--format", "json"];
        let repairs = std::mem::take(&mut self.repair_next);
        if repairs {
            words.extend(["--repair", "--yes"]);
            // From now on each of them may be mended at any time.
            self.perhaps.append(&mut self.open);
        }
        let name = format!("pass-{}", self.n_passes % 50);
        let running = Running::start(&mut stage.command(&words), stage.folder.path(), &name)?;
        self.pass = Some(Pass { running, begun: Instant::now(), repairs, must: self.open.clone() });
        Ok(())
    }

    /// Has what is injected mended beside the load, by the next pass.
    pub(crate) fn repair_next(&mut self) {
        self.repair_next = true;
    }

    /// Notes what was injected. A pass under way that mends may mend it, too.
    pub(crate) fn injected(&mut self, answers: Vec<Value>) {
        let repairs = self.pass.as_ref().is_some_and(|pass| pass.repairs);
        if repairs { self.perhaps.extend(answers) } else { self.open.extend(answers) }
    }

    /// Returns how many injected differences there are, mended or not.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Writes down what was injected, and returns where.
    pub(crate) fn write_known(&self, stage: &Stage<'_>) -> Result<String> {
        let path = stage.path("known.json");
        write_lines(&path, &[&self.open[..], &self.perhaps[..]].concat())?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Judges the pass under way if it ended, and begins another.
    pub(crate) fn look(&mut self, stage: &Stage<'_>, tally: &mut Tally) -> Result<()> {
        let Some(pass) = &mut self.pass else { return self.begin(stage) };
        match pass.running.ended_within(Duration::ZERO)? {
            Some(said) => {
                self.judged(stage, &said, tally)?;
                self.begin(stage)
            }
            None if pass.begun.elapsed() > LONGEST => {
                tally.fails(format!("a pass takes longer than {} s", LONGEST.as_secs()));
                self.pass = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Waits for the pass under way.
    pub(crate) fn end(&mut self, stage: &Stage<'_>, tally: &mut Tally) -> Result<()> {
        let Some(pass) = &mut self.pass else { return Ok(()) };
        match pass.running.ended_within(LONGEST)? {
            Some(said) => self.judged(stage, &said, tally),
            None => {
                tally.fails(format!("a pass takes longer than {} s", LONGEST.as_secs()));
                self.pass = None;
                Ok(())
            }
        }
    }

    fn judged(&mut self, stage: &Stage<'_>, said: &Said, tally: &mut Tally) -> Result<()> {
        let Some(pass) = self.pass.take() else { return Ok(()) };
        let report = last_line(said);
        match report["conclusion"].as_str() {
            Some("clean") => tally.passes.clean += 1,
            Some("drift") => tally.passes.drift += 1,
            Some("inconclusive") => tally.passes.inconclusive += 1,
            _ => {
                tally.passes.unfinished += 1;
                return Ok(());
            }
        }
        // One that mends reports what is left.
        if pass.repairs {
            return Ok(());
        }
        tally.named += drifts(&report);
        let may = [&self.open[..], &self.perhaps[..]].concat();
        if let Some(wrong) = blamed(stage, &report, &pass.must, &may, true)? {
            let kept = stage.path(&format!("wrong-{}.json", self.n_passes));
            fs::write(kept, report.to_string())?;
            tally.fails(format!("pass {} beside the load: {wrong}", self.n_passes));
        }
        Ok(())
    }

    /// Reconciles, and holds the report against what was injected. Returns what was named wrongly.
    pub(crate) fn named(&self, stage: &Stage<'_>, live: bool) -> Result<Option<String>> {
        let said = stage.seamline(&["reconcile", "--format", "json"])?;
        let report = last_line(&said);
        if report["conclusion"].is_null() {
            bail!("reconcile ended with {:?}: {}", said.code, said.tail());
        }
        blamed(stage, &report, &self.open, &self.perhaps, live)
    }
}

fn drifts(report: &Value) -> u64 {
    let subjects = report["subjects"].as_array().into_iter().flatten();
    let links = subjects.flat_map(|subject| subject["links"].as_array().into_iter().flatten());
    links.map(|link| link["drifts"].as_array().map_or(0, Vec::len) as u64).sum()
}

fn blamed(
    stage: &Stage<'_>,
    report: &Value,
    must: &[Value],
    may: &[Value],
    live: bool,
) -> Result<Option<String>> {
    let [report_file, must_file, may_file] =
        ["report.json", "must.json", "may.json"].map(|name| stage.path(name));
    fs::write(&report_file, report.to_string())?;
    write_lines(&must_file, must)?;
    write_lines(&may_file, may)?;
    let [report_file, must_file, may_file] =
        [report_file, must_file, may_file].map(|path| path.to_string_lossy().into_owned());
    let mut words = vec!["blame", &report_file, &must_file, "--may", &may_file];
    if live {
        words.push("--live");
    }
    let said = stage.oracle_said(&words)?;
    match said.code {
        Some(0) => Ok(None),
        Some(1) => {
            let found: Vec<String> = lines(&said).iter().take(4).map(ToString::to_string).collect();
            Ok(Some(found.join(" ")))
        }
        _ => bail!("a report could not be judged: {}", said.tail()),
    }
}
