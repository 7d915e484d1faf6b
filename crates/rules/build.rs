//! Tells the tests whether the example estates are beside the repository: without them they are reported as not run.

use std::path::Path;

const ESTATES: &str = "../../../shared/estates";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(estates_here)");
    println!("cargo::rerun-if-changed={ESTATES}");
    if Path::new(ESTATES).is_dir() {
        println!("cargo::rustc-cfg=estates_here");
    }
}
