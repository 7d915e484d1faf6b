//! Tells the tests whether the example estates are beside the repository, and whether git is here: without them they are
//! reported as not run.

use std::path::Path;

const ESTATES: &str = "../../../shared/estates";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(estates_here)");
    println!("cargo::rerun-if-changed={ESTATES}");
    if Path::new(ESTATES).is_dir() {
        println!("cargo::rustc-cfg=estates_here");
    }
    println!("cargo::rustc-check-cfg=cfg(git_here)");
    println!("cargo::rerun-if-env-changed=PATH");
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join("git").is_file()) {
        println!("cargo::rustc-cfg=git_here");
    }
}
