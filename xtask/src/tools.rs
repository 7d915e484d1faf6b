//! Installs what tests and builds need and the machine lacks, from Debian's packages.

use crate::command::run_with;
use crate::services::postgres::newest;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// How to see that a package is there.
enum Sign {
    /// A program on the path.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// A module that Python can load.
    Python(&'static str),
    /// A Java of at least this major version.
    Java(u32),
    /// A version of PostgreSQL that we support.
    Postgres,
}

/// What is needed, and the Debian package of each.
const NEEDS: [(Sign, &str); 14] = [
    (Sign::Postgres, "postgresql"),
    (Sign::File("/usr/sbin/pgbouncer"), "pgbouncer"),
    (Sign::Program("openssl"), "openssl"),
    (Sign::File("/usr/include/openssl/ssl.h"), "libssl-dev"),
    (Sign::Program("pkg-config"), "pkg-config"),
    (Sign::Program("make"), "make"),
    (Sign::Program("g++"), "g++"),
    (Sign::Program("python3"), "python3"),
    (Sign::Python("ensurepip"), "python3-venv"),
    (Sign::Program("sqlite3"), "sqlite3"),
    (Sign::Java(17), "default-jre-headless"),
    (Sign::Program("mvn"), "maven"),
    (Sign::Program("node"), "nodejs"),
    (Sign::Program("npm"), "npm"),
];

/// Installs missing packages; as root without a question, else it says what to type.
///
/// # Errors
/// A package is missing and we are not root, or it cannot be installed.
pub fn install_missing() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !is_root() {
        bail!(
            "missing: {packages}. Install them with `sudo apt-get install --no-install-recommends {packages}` and run this again"
        );
    }
    eprintln!("installing {packages}");
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    run_with("apt-get", &["update", "-q"], &quiet)?;
    let mut call = vec!["install", "-q", "-y", "--no-install-recommends"];
    call.extend(missing);
    run_with("apt-get", &call, &quiet)?;
    let still = self::missing();
    if !still.is_empty() {
        bail!("installed, but not to be seen: {}. Is an older one earlier on the path?", still.join(" "));
    }
    Ok(())
}

/// Returns whether we run as root.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

fn missing() -> Vec<&'static str> {
    NEEDS.iter().filter(|(sign, _)| !is_there(sign)).map(|(_, package)| *package).collect()
}

fn is_there(sign: &Sign) -> bool {
    match sign {
        Sign::Program(name) => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
        }
        Sign::File(path) => Path::new(path).is_file(),
        Sign::Python(module) => {
            let call = Command::new("python3")
                .args(["-c", &format!("import {module}")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            call.is_ok_and(|status| status.success())
        }
        Sign::Java(least) => {
            let call = Command::new("java").arg("-version").output();
            call.is_ok_and(|out| java_major(&String::from_utf8_lossy(&out.stderr)) >= Some(*least))
        }
        Sign::Postgres => newest(Path::new("/usr/lib/postgresql")).is_some(),
    }
}

/// Reads `openjdk version "17.0.15"`; Java 8 called itself 1.8, and is as old as 1.
fn java_major(said: &str) -> Option<u32> {
    let version = said.split('"').nth(1)?;
    version.split(['.', '-', '+']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Sign, is_there, java_major};

    #[test]
    fn version_of_java_is_read() {
        assert_eq!(java_major("openjdk version \"17.0.15\" 2025-04-15\n"), Some(17));
        assert_eq!(java_major("openjdk version \"21\" 2023-09-19\n"), Some(21));
        assert_eq!(java_major("openjdk version \"22-ea\"\n"), Some(22));
        assert_eq!(java_major("java version \"1.8.0_402\"\n"), Some(1));
        assert_eq!(java_major("no java here"), None);
    }

    #[test]
    fn what_is_not_there_is_missed() {
        assert!(is_there(&Sign::Program("sh")));
        assert!(!is_there(&Sign::Program("no-such-program")));
        assert!(!is_there(&Sign::File("/no/such/file")));
        assert!(!is_there(&Sign::Python("no_such_module")));
        assert!(!is_there(&Sign::Java(1000)));
    }
}
