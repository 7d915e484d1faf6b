//! Runs cargo and other programs, and says how long each step took.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// Returns the root of the workspace.
///
/// # Panics
/// Never: the manifest lies below the root.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the manifest lies below the root").to_path_buf()
}

/// Returns the target directory, wherever variables or configuration put it.
///
/// # Errors
/// Cargo does not say.
pub fn target() -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .context("cannot start `cargo`")?;
    if !output.status.success() {
        bail!("`cargo metadata` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("`cargo metadata` printed no JSON")?;
    let folder =
        metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    Ok(PathBuf::from(folder))
}

/// Runs cargo at the root; output goes where ours goes.
///
/// # Errors
/// It cannot be started, or fails.
pub fn cargo(args: &[&str]) -> Result<()> {
    run("cargo", args)
}

/// Runs a program at the root; output goes where ours goes.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(program: &str, args: &[&str]) -> Result<()> {
    run_with(program, args, &[])
}

/// Runs a program at the root with some variables set.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run_with(program: &str, args: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let status = Command::new(program)
        .args(args)
        .envs(variables.iter().copied())
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot start `{program}`"))?;
    if !status.success() {
        bail!("`{program} {}` ended with {status}", args.join(" "));
    }
    Ok(())
}

/// Runs a named step and prints its time to standard error.
///
/// # Errors
/// The step fails.
pub fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("── {name}");
    let begun = Instant::now();
    let done = work();
    eprintln!("── {name}: {} s", begun.elapsed().as_secs());
    done
}
