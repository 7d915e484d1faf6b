//! Tells the tests whether the program `python3` is here, and whether they may install what they need: without it those that
//! do are reported as not run.

use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(python3_here)");
    println!("cargo::rustc-check-cfg=cfg(servers_here)");
    println!("cargo::rerun-if-env-changed=SEAMLINE_SERVICES");
    if std::env::var_os("SEAMLINE_SERVICES").is_some_and(|value| value == "1") {
        println!("cargo::rustc-cfg=servers_here");
    }
    println!("cargo::rerun-if-env-changed=PATH");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Option<PathBuf> =
        std::env::split_paths(&path).map(|folder| folder.join("python3")).find(|at| at.is_file());
    match found {
        Some(program) => {
            println!("cargo::rerun-if-changed={}", program.display());
            println!("cargo::rustc-cfg=python3_here");
        }
        // A file that is never there: looked for again at each build.
        None => println!("cargo::rerun-if-changed=python3.is-not-here"),
    }
}
