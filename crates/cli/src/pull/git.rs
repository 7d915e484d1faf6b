//! The user's own `git`, which has their credentials, their ssh and their proxies: it fetches, and nothing else.

use crate::exit::{unreachable, usage};
use anyhow::{Context as _, Result};
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The ref under which what was fetched is kept, so that no cleaning loses it.
const KEPT: &str = "refs/seamline";
/// How many lines of what git says are passed on.
const LINES_MAX: usize = 6;

/// What a name stands for at the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Branch,
    Tag,
    Commit,
}

/// Fetches a revision into a clone, which is made when it is not there, and returns its commit and what names it.
///
/// # Errors
/// When there is no git, the repository cannot be reached, or it has no such revision.
pub(super) fn fetch(clone: &Path, url: &str, at: &str) -> Result<(String, Named)> {
    make(clone)?;
    if is_id(at) {
        fetch_commit(clone, url, at)?;
        return Ok((at.to_owned(), Named::Commit));
    }
    let (tag, branch) = (format!("refs/tags/{at}"), format!("refs/heads/{at}"));
    let listed = asked(clone, &["ls-remote", "--quiet", "--", url, &tag, &branch], url)?;
    let has = |name: &str| listed.lines().any(|line| line.split('\t').nth(1) == Some(name));
    let (name, named) = match (has(&tag), has(&branch)) {
        (true, _) => (tag, Named::Tag),
        (false, true) => (branch, Named::Branch),
        (false, false) => {
            let message = format!("`{url}` has no branch and no tag `{at}`");
            return Err(unreachable(
                message,
                "name one that it has, or a whole commit id: `git ls-remote` lists them",
            ));
        }
    };
    let to = format!("+{name}:{KEPT}/fetched");
    asked(clone, &["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", url, &to], url)?;
    let id = asked(clone, &["rev-parse", "--verify", "--quiet", &format!("{KEPT}/fetched^{{commit}}")], url)
        .map_err(|_| {
            usage(format!("`{at}` of `{url}` is no commit"), "name a branch, a tag or a whole commit id")
        })?;
    keep(clone, id.trim(), url)?;
    Ok((id.trim().to_owned(), named))
}

/// Fetches a commit by its whole id.
///
/// # Errors
/// When the repository cannot be reached, or has not the commit.
pub(super) fn fetch_commit(clone: &Path, url: &str, id: &str) -> Result<()> {
    if !is_id(id) {
        return Err(usage(
            format!("`{id}` is no whole commit id"),
            "take the lock from git, or run `seamline pull`",
        ));
    }
    make(clone)?;
    let to = format!("+{id}:{KEPT}/{id}");
    let fetched = run(clone, &["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", url, &to])?;
    if fetched.status.success() {
        return Ok(());
    }
    // Whether it answers at all tells which of the two is missing.
    asked(clone, &["ls-remote", "--quiet", "--", url, "HEAD"], url)?;
    let help = "its history may have been written anew: `seamline pull` takes what is there now";
    Err(unreachable(format!("`{url}` does not hand out the commit `{id}`: {}", said(&fetched)), help))
}

/// Whether it is a whole commit id.
fn is_id(at: &str) -> bool {
    matches!(at.len(), 40 | 64) && at.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

fn make(clone: &Path) -> Result<()> {
    if clone.join("HEAD").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(clone)
        .with_context(|| format!("cannot make the folder `{}`", clone.display()))?;
    // Clones are nothing to commit, whatever the estate's own `.gitignore` says.
    if let Some(folder) = clone.parent() {
        let path = folder.join(".gitignore");
        std::fs::write(&path, "*\n").with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    let made = run(clone, &["init", "--quiet", "--bare"])?;
    anyhow::ensure!(
        made.status.success(),
        "git cannot make a clone in `{}`: {}",
        clone.display(),
        said(&made)
    );
    Ok(())
}

fn keep(clone: &Path, id: &str, url: &str) -> Result<()> {
    asked(clone, &["update-ref", &format!("{KEPT}/{id}"), id], url).map(|_| ())
}

/// Runs git, and returns what it printed.
fn asked(clone: &Path, arguments: &[&str], url: &str) -> Result<String> {
    let output = run(clone, arguments)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let help = format!("see what `git ls-remote {url}` says: it is asked with your git and its credentials");
    Err(unreachable(format!("`{url}` cannot be fetched: {}", said(&output)), help))
}

/// Returns what git said, on one line.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).take(LINES_MAX).collect();
    if lines.is_empty() { "git says nothing".to_owned() } else { lines.join("; ") }
}

fn run(clone: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(clone).args(arguments).stdin(Stdio::null());
    // A hook's own repository is not the one meant here.
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    ] {
        command.env_remove(name);
    }
    if std::io::stdin().is_terminal() {
        command.stdin(Stdio::inherit());
    } else {
        command.env("GIT_TERMINAL_PROMPT", "0");
    }
    command.output().map_err(|error| {
        let help = "install it: `seamline pull` fetches by it; what is locked and fetched is read without it";
        unreachable(format!("the program `git` cannot be run: {error}"), help)
    })
}
