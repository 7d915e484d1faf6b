//! A baseline: the findings that an old estate begins with, so that only new ones fail its check.

use crate::exit::usage;
use crate::terminal::counted;
use anyhow::{Context as _, Result};
use seamline_contract::finding::Finding;
use seamline_contract::path::{ModelPath, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

const SCHEMA: &str = "seamline/baseline/v1";

/// Whether findings are written down, or held against those that were.
#[derive(Debug, clap::Args)]
pub(crate) struct Baseline {
    /// Report only findings that are not in this file.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write all present findings into this file, and report none.
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    write_baseline: Option<PathBuf>,
}

/// What a finding is known by: its rule, its place without lines and counts of elements, and what it says.
type Fingerprint = (String, String, String);

fn fingerprint(finding: &Finding) -> Fingerprint {
    (finding.rule.to_owned(), place(&finding.at), finding.message.clone())
}

/// A place that stays when lines move and when elements come and go before it.
fn place(at: &ModelPath) -> String {
    let keys = at.steps.iter().map(|step| match step {
        Step::Key(key) => key.as_str(),
        Step::Index(_) => "[]",
    });
    format!("{}#{}", at.document, keys.collect::<Vec<_>>().join("."))
}

/// How much of a baseline there still is.
#[derive(Debug)]
pub(crate) struct Known {
    /// What is still found.
    pub(crate) left_out: Vec<Finding>,
    gone: usize,
}

impl Baseline {
    /// Writes the findings where that is asked for, and says so; returns whether it was.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, findings: &[Finding]) -> Result<bool> {
        let Some(path) = &self.write_baseline else { return Ok(false) };
        let mut known: Vec<Fingerprint> = findings.iter().map(fingerprint).collect();
        known.sort();
        let known: Vec<Value> = known
            .iter()
            .map(|(rule, path, message)| json!({ "rule": rule, "path": path, "message": message }))
            .collect();
        let text = serde_json::to_string_pretty(&json!({ "schema": SCHEMA, "findings": known }))?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
        println!("{} written to {}", counted(known.len() as u64, "finding"), path.display());
        println!("next: seamline check --baseline {}", path.display());
        Ok(true)
    }

    /// Leaves out the findings that are in the baseline, each as often as it is there; without one, none.
    ///
    /// # Errors
    /// When the file cannot be read as a baseline.
    pub(crate) fn without_known(&self, findings: Vec<Finding>) -> Result<(Vec<Finding>, Option<Known>)> {
        let Some(path) = &self.baseline else { return Ok((findings, None)) };
        let help = "write one with `seamline check --write-baseline FILE`";
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| usage(format!("there is no baseline in `{name}`: {error}"), help))?;
        let mut left = read(&text).ok_or_else(|| usage(format!("`{name}` is no baseline"), help))?;
        let mut new = Vec::new();
        let mut left_out = Vec::new();
        for finding in findings {
            match left.get_mut(&fingerprint(&finding)).filter(|times| **times > 0) {
                Some(times) => {
                    *times -= 1;
                    left_out.push(finding);
                }
                None => new.push(finding),
            }
        }
        Ok((new, Some(Known { left_out, gone: left.values().sum() })))
    }
}

fn read(text: &str) -> Option<BTreeMap<Fingerprint, usize>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut known = BTreeMap::new();
    for finding in value.get("findings").filter(|_| value["schema"] == SCHEMA)?.as_array()? {
        let part = |key: &str| finding.get(key)?.as_str().map(ToOwned::to_owned);
        *known.entry((part("rule")?, part("path")?, part("message")?)).or_default() += 1;
    }
    Some(known)
}

impl Known {
    /// Returns it in a line for people.
    pub(crate) fn line(&self) -> String {
        let known = counted(self.left_out.len() as u64, "finding");
        let gone = match self.gone {
            0 => String::new(),
            gone => format!("; {gone} of it gone by now, write it anew with `--write-baseline`"),
        };
        format!("{known} of the baseline left out{gone}")
    }

    /// Returns it for programs.
    pub(crate) fn document(&self) -> Value {
        json!({ "leftOut": self.left_out.len(), "gone": self.gone })
    }
}
