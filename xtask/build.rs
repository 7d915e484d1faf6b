//! Tells the tests whether they may start servers: without, those that do are reported as not run.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(servers_here)");
    println!("cargo::rerun-if-env-changed=SEAMLINE_SERVICES");
    if std::env::var_os("SEAMLINE_SERVICES").is_some_and(|value| value == "1") {
        println!("cargo::rustc-cfg=servers_here");
    }
}
