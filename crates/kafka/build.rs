//! Tells the tests which servers are here: without them those that need one are reported as not run.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(servers_here)");
    println!("cargo::rustc-check-cfg=cfg(jars_here)");
    println!("cargo::rerun-if-env-changed=SEAMLINE_SERVICES");
    println!("cargo::rerun-if-env-changed=SEAMLINE_KAFKA_LIBS");
    if env::var_os("SEAMLINE_SERVICES").is_some_and(|value| value == "1") {
        println!("cargo::rustc-cfg=servers_here");
    }
    let jars = env::var_os("SEAMLINE_KAFKA_LIBS").is_some_and(|folder| Path::new(&folder).is_dir());
    if jars && runs("java", "-version") && runs("openssl", "version") {
        println!("cargo::rustc-cfg=jars_here");
    }
}

fn runs(program: &str, arg: &str) -> bool {
    Command::new(program).arg(arg).output().is_ok_and(|output| output.status.success())
}
