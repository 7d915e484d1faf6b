//! Tells the tests whether the Chinook scripts and the servers are here: without them those that need them are reported as
//! not run.

use std::path::PathBuf;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(chinook_here)");
    println!("cargo::rustc-check-cfg=cfg(servers_here)");
    println!("cargo::rerun-if-env-changed=SEAMLINE_SERVICES");
    if std::env::var_os("SEAMLINE_SERVICES").is_some_and(|value| value == "1") {
        println!("cargo::rustc-cfg=servers_here");
    }
    println!("cargo::rerun-if-env-changed=SEAMLINE_CHINOOK");
    let named = std::env::var_os("SEAMLINE_CHINOOK").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from("../../../shared/data/chinook"));
    let script = folder.join("chinook_sqlite.sql");
    println!("cargo::rerun-if-changed={}", script.display());
    if script.is_file() {
        println!("cargo::rustc-cfg=chinook_here");
    }
}
