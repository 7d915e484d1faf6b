//! Installs what the tests need and the machine lacks, from Debian's packages.

use crate::command::run;
use anyhow::{Result, bail};
use std::process::{Command, Stdio};

/// Programs that tests start, and the Debian package of each.
const PROGRAMS: [(&str, &str); 2] = [("python3", "python3"), ("sqlite3", "sqlite3")];

/// Installs missing programs; as root without a question, else it says what to type.
pub(crate) fn install_missing() -> Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !answers(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    if !is_root {
        bail!("missing: {packages}. Install them with `sudo apt-get install {packages}` and run this again");
    }
    run("apt-get", &["update", "-q"])?;
    let mut call = vec!["install", "-q", "-y", "--no-install-recommends"];
    call.extend(missing);
    run("apt-get", &call)
}

fn answers(program: &str) -> bool {
    let call = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    call.is_ok_and(|status| status.success())
}
