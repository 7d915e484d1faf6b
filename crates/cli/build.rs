//! Tells the tests what is here: the program `sqlite3`, servers, the Chinook script and the programs of its services. Without
//! them the tests that need them are reported as not run.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=PATH");
    found("sqlite3_here", program("sqlite3").is_some());
    found("git_here", program("git").is_some());
    let all = ["python3", "node", "npm", "java", "mvn"];
    found(
        "chinook_programs_here",
        all.into_iter().filter(|name| program(name).is_some()).count() == all.len(),
    );
    println!("cargo::rerun-if-env-changed=SEAMLINE_CHINOOK");
    let named = std::env::var_os("SEAMLINE_CHINOOK").map(PathBuf::from);
    let script =
        named.unwrap_or_else(|| PathBuf::from("../../../shared/data/chinook")).join("chinook_postgres.sql");
    found("chinook_here", is_there(&script));
    println!("cargo::rerun-if-env-changed=SEAMLINE_SERVICES");
    found("servers_here", std::env::var_os("SEAMLINE_SERVICES").is_some_and(|value| value == "1"));
}

/// Says whether something is here.
fn found(cfg: &str, is_here: bool) {
    println!("cargo::rustc-check-cfg=cfg({cfg})");
    if is_here {
        println!("cargo::rustc-cfg={cfg}");
    }
}

/// Returns where a program is.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let at = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|at| at.is_file());
    // A file that is never there is looked for again at each build.
    is_there(at.as_deref().unwrap_or(Path::new("a-program.is-not-here")));
    at
}

/// Returns whether a file is there, and has the build look again when that changes.
fn is_there(file: &Path) -> bool {
    println!("cargo::rerun-if-changed={}", file.display());
    file.is_file()
}
