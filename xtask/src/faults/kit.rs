//! What all scenarios stand on: the program with its deliberate bugs, the oracle in an environment of its own, the servers.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::command::{cargo, root, run, step, target};
use xtask::tools;

/// The program and the oracle.
pub(crate) struct Kit {
    pub(crate) seamline: PathBuf,
    pub(crate) python: PathBuf,
}

impl Kit {
    /// Builds the program, unless one is given, and installs the oracle where it is missing.
    pub(crate) fn build(given: Option<&str>) -> Result<Kit> {
        tools::install_missing()?;
        let folder = target()?.join("faults");
        fs::create_dir_all(&folder)?;
        let seamline = match given {
            Some(path) => fs::canonicalize(path).with_context(|| format!("no program `{path}`"))?,
            None => program(&folder)?,
        };
        Ok(Kit { seamline, python: oracle(&folder)? })
    }

    /// Returns a call of the oracle.
    pub(crate) fn oracle(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "oracle"]).current_dir(root().join("proof")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs the oracle's own controls.
    pub(crate) fn selftest(&self) -> Result<()> {
        let output = self.oracle().arg("selftest").output()?;
        if !output.status.success() {
            bail!("the oracle does not notice what it must: {}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(())
    }
}

/// Builds the program with all deliberate bugs and points, and puts it where no other build comes.
fn program(folder: &Path) -> Result<PathBuf> {
    step("program with deliberate bugs", || {
        cargo(&["build", "--quiet", "--package", "seamline", "--features", "kafka,mutants"])
    })?;
    let (fresh, seamline) = (folder.join("seamline.new"), folder.join("seamline"));
    fs::copy(target()?.join("debug/seamline"), &fresh).context("the program was not built")?;
    fs::rename(&fresh, &seamline)?;
    Ok(seamline)
}

/// Makes the oracle's virtual environment, anew when its requirements changed. Returns its Python.
fn oracle(folder: &Path) -> Result<PathBuf> {
    let home = folder.join("oracle");
    let (python, stamp) = (home.join("bin/python"), home.join("requirements.txt"));
    let requirements = root().join("proof/oracle/requirements.txt");
    let wanted = fs::read(&requirements)?;
    if fs::read(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(python);
    }
    step("oracle", || {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        run("python3", &["-m", "venv", "--clear", &path(&home)])?;
        run(&path(&python), &["-m", "pip", "install", "--quiet", "--requirement", &path(&requirements)])
    })?;
    fs::write(stamp, wanted)?;
    Ok(python)
}
