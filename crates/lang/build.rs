//! Tells the tests whether the example estates are beside the repository, and where public corpora of bad texts are: without
//! them they are reported as not run.

use std::path::Path;

const ESTATES: &str = "../../../shared/estates";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(estates_here)");
    println!("cargo::rerun-if-changed={ESTATES}");
    if Path::new(ESTATES).is_dir() {
        println!("cargo::rustc-cfg=estates_here");
    }
    println!("cargo::rustc-check-cfg=cfg(corpora_here)");
    println!("cargo::rerun-if-env-changed=SEAMLINE_CORPORA");
    if std::env::var_os("SEAMLINE_CORPORA").is_some_and(|folder| Path::new(&folder).join("blns").is_dir()) {
        println!("cargo::rustc-cfg=corpora_here");
    }
}
