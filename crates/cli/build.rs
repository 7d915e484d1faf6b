//! Tells the tests whether the program `sqlite3` is here: without it those that start it are reported as not run.

use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(sqlite3_here)");
    println!("cargo::rerun-if-env-changed=PATH");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Option<PathBuf> =
        std::env::split_paths(&path).map(|folder| folder.join("sqlite3")).find(|at| at.is_file());
    match found {
        Some(program) => {
            println!("cargo::rerun-if-changed={}", program.display());
            println!("cargo::rustc-cfg=sqlite3_here");
        }
        // A file that is never there: looked for again at each build.
        None => println!("cargo::rerun-if-changed=sqlite3.is-not-here"),
    }
}
