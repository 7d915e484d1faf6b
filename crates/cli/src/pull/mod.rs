//! `seamline pull`: fetches what an estate reads of other repositories, and locks it.

mod git;
mod news;

use crate::exit::{Exit, unreachable, usage};
use crate::opened::{is_own, opened};
use crate::terminal::{Writing, counted};
use anyhow::{Context as _, Result};
use git::Named;
use news::News;
use seamline_contract::estate::{Root, Settings};
use seamline_contract::finding::Finding;
use seamline_estate::open::{Opened, open_locked};
use seamline_estate::revision::Repository;
use seamline_estate::roots::{GitRoot, git_roots};
use seamline_estate::written::replace;
use seamline_lang::estate::LOCK_FILE;
use seamline_lang::lock::{Lock, LockedDocument, LockedRoot};
use seamline_lang::rule;
use std::path::{Path, PathBuf};

/// Fetches the roots in other repositories, shows what changed in them, and locks it: `check` and all others read what is locked,
/// without the network.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder of the estate.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Fetches what the lock says and changes nothing in it: for a fresh clone, and for CI.
    #[arg(long)]
    locked: bool,
    /// Takes what was moved, too: tags that name another commit, branches whose history was written anew.
    #[arg(long, conflicts_with = "locked")]
    moved: bool,
    #[command(flatten)]
    writing: Writing,
}

/// A root and the commit that was fetched for it.
struct Fetched {
    root: GitRoot,
    /// The commit that is locked until now, where there is one.
    old: Option<String>,
    new: String,
}

/// Runs the command.
///
/// # Errors
/// When a repository cannot be reached, lacks what is asked of it, or moved it; nothing is locked then.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let opened = opened(&args.path)?;
    let settings = &opened.reading.estate.settings;
    let roots = roots(settings)?;
    if roots.is_empty() {
        println!(
            "the estate reads no other repository: `roots` in seamline.yaml names none\nnext: seamline check"
        );
        return Ok(Exit::Clean);
    }
    if args.locked {
        return locked(args, &opened, &roots);
    }
    let lock = opened.reading.lock.as_ref();
    let mut fetched: Vec<Fetched> = Vec::new();
    let mut digests: Vec<LockedRoot> = Vec::new();
    for root in roots {
        let found = one(&opened.root, root, lock, args.moved)?;
        let digest = digest(&opened.root, &found.root, &found.new)?;
        digests.push(entry(&found.root, &found.new, digest));
        fetched.push(found);
    }
    let first = text(&Lock { roots: digests.clone(), ..Lock::default() });
    let documents = documents(&open_locked(&args.path, &first)?);
    let text = text(&Lock { roots: digests, documents, ..Lock::default() });
    let newer = open_locked(&args.path, &text)?;
    if let Some(finding) = of_roots(&newer).next() {
        return Err(refusal(finding));
    }
    let news = News::of(&opened, newer, &fetched);
    if args.writing.is_text() {
        print!("{}", news.text());
    }
    let is_old = opened.files.iter().any(|(id, old)| id.0 == LOCK_FILE && *old == text);
    if is_old {
        return Ok(news.ended(&args.writing, "this is what was locked already", false));
    }
    if !args.writing.agreed(&format!("write it into {LOCK_FILE}?"))? {
        return Ok(news.ended(&args.writing, &format!("{LOCK_FILE} is as it was"), false));
    }
    write(&opened.root.join(LOCK_FILE), &text)?;
    Ok(news.ended(&args.writing, &format!("{LOCK_FILE} written: commit it with seamline.yaml"), true))
}

/// Returns the git roots of an estate.
fn roots(settings: &Settings) -> Result<Vec<GitRoot>> {
    if let Some(Root::Hub { hub, .. }) = settings.roots.iter().find(|root| matches!(root, Root::Hub { .. })) {
        let help = "name the git repository of its contracts: `{ git: …, at: …, path: … }`";
        return Err(unreachable(
            format!("the root `{hub}` is a hub, and this version knows no hub to ask"),
            help,
        ));
    }
    git_roots(settings).into_iter().map(|root| root.map_err(|finding| refusal(&finding))).collect()
}

fn refusal(finding: &Finding) -> anyhow::Error {
    usage(finding.message.clone(), finding.help.clone().unwrap_or_else(|| "run `seamline check`".to_owned()))
}

/// Returns what keeps roots from being read together.
fn of_roots(opened: &Opened) -> impl Iterator<Item = &Finding> {
    let settings = &opened.settings;
    let lacks = |it: &&Finding| {
        [rule::ROOT, rule::IDENTITY].contains(&it.rule)
            && (it.at.document == *settings || it.at.document.0 == LOCK_FILE)
    };
    opened.reading.findings.iter().filter(lacks)
}

/// Fetches a root, and holds what was fetched against what is locked.
fn one(estate: &Path, root: GitRoot, lock: Option<&Lock>, may_move: bool) -> Result<Fetched> {
    let clone = root.clone_of(estate);
    let (new, named) = git::fetch(&clone, &root.url(estate), &root.at)?;
    let locked = lock.and_then(|lock| lock.roots.iter().find(|it| it.is_of(&root.root)));
    let old = locked.map(|it| it.resolved.clone());
    let same_name = locked.is_some_and(|it| it.at.as_ref().is_none_or(|at| *at == root.at));
    if let Some(old) = old.as_ref().filter(|old| same_name && !may_move && **old != new) {
        let repository = Repository::at(&clone)?;
        let short = |id: &str| id.get(..10).unwrap_or(id).to_owned();
        let (was, is) = (short(old), short(&new));
        let help = "ask its team what happened; `seamline pull --moved` takes what is there now";
        let (at, git) = (&root.at, &root.git);
        let leads_on = || {
            let pair = repository.holds(old).zip(repository.holds(&new));
            pair.is_some_and(|(old, new)| repository.leads_to(old, new))
        };
        match named {
            Named::Tag => {
                let message =
                    format!("the tag `{at}` of `{git}` was moved: it named {was}, and names {is} now");
                return Err(unreachable(message, help));
            }
            Named::Branch if !leads_on() => {
                let message = format!(
                    "the history of `{at}` of `{git}` was written anew: {is} does not come from {was}"
                );
                return Err(unreachable(message, help));
            }
            Named::Branch | Named::Commit => {}
        }
    }
    Ok(Fetched { root, old, new })
}

fn digest(estate: &Path, root: &GitRoot, commit: &str) -> Result<String> {
    let texts = root.texts(estate, commit).map_err(|lack| {
        let help = "name a folder that is there, or a revision that has it";
        unreachable(format!("the root {} cannot be read: {lack}", root.told()), help)
    })?;
    if texts.files.is_empty() {
        let message = format!("there is no document in the root {}", root.told());
        return Err(unreachable(message, "name the folder of its contracts as `path`"));
    }
    Ok(texts.digest())
}

fn entry(root: &GitRoot, commit: &str, digest: String) -> LockedRoot {
    let Root::Git { git, at, path } = &root.root else { unreachable!("a git root is declared as one") };
    let (root, at, path) = (git.clone(), Some(at.clone()), Some(path.clone()));
    LockedRoot { root, at, path, resolved: commit.to_owned(), digest }
}

/// Returns the contracts of other repositories, by reference.
fn documents(opened: &Opened) -> Vec<LockedDocument> {
    let contracts = opened.reading.estate.contracts.iter().filter(|it| !is_own(&it.document));
    let mut documents: Vec<LockedDocument> = contracts
        .map(|contract| {
            let text = &opened.files[&contract.document];
            LockedDocument {
                reference: contract.reference().to_string(),
                kind: "Contract".to_owned(),
                version: Some(contract.version),
                digest: format!("b3-{}", blake3::hash(text.as_bytes()).to_hex()),
                meaning: None,
            }
        })
        .collect();
    documents.sort_by(|one, two| one.reference.cmp(&two.reference));
    documents.dedup_by(|one, two| one.reference == two.reference);
    documents
}

/// Returns the text of a lock.
fn text(lock: &Lock) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut text = String::from(
        "# Written by `seamline pull`; commit it. It says which text of other repositories is meant here.\n\
         apiVersion: seamline/v1\nkind: Lock\nroots:\n",
    );
    for root in &lock.roots {
        text.push_str(&format!("  - root: {}\n", quoted(&root.root)));
        for (key, value) in [("at", &root.at), ("path", &root.path)] {
            value.iter().for_each(|value| text.push_str(&format!("    {key}: {}\n", quoted(value))));
        }
        text.push_str(&format!("    resolved: {}\n    digest: {}\n", root.resolved, root.digest));
    }
    if !lock.documents.is_empty() {
        text.push_str("documents:\n");
    }
    for it in &lock.documents {
        let version = it.version.map_or_else(String::new, |version| format!("version: {version}, "));
        text.push_str(&format!(
            "  {}: {{ kind: {}, {version}digest: {} }}\n",
            it.reference, it.kind, it.digest
        ));
    }
    text
}

fn write(path: &Path, text: &str) -> Result<()> {
    let written = if path.exists() { replace(path, text) } else { std::fs::write(path, text) };
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// Fetches what is locked.
fn locked(args: &Args, opened: &Opened, roots: &[GitRoot]) -> Result<Exit> {
    let help = "run `seamline pull`: it fetches what is there now, shows it, and locks it";
    let Some(lock) = &opened.reading.lock else {
        return Err(usage(format!("there is no {LOCK_FILE} that can be read"), help));
    };
    for root in roots {
        let Some(locked) = lock.roots.iter().find(|it| it.is_of(&root.root)) else {
            return Err(usage(format!("the root {} is not in {LOCK_FILE}", root.told()), help));
        };
        let clone = root.clone_of(&opened.root);
        let has = || Repository::at(&clone).is_ok_and(|it| it.holds(&locked.resolved).is_some());
        if !has() {
            git::fetch_commit(&clone, &root.url(&opened.root), &locked.resolved)?;
        }
        let digest = digest(&opened.root, root, &locked.resolved)?;
        if digest != locked.digest {
            let message = format!(
                "the root {} at {} has the digest `{digest}`, and the lock says `{}`",
                root.told(),
                locked.resolved,
                locked.digest
            );
            return Err(unreachable(
                message,
                "the lock was changed by hand: take it from git, or run `seamline pull`",
            ));
        }
    }
    let n_roots = counted(roots.len() as u64, "root");
    if args.writing.is_text() {
        println!("{n_roots} as locked\nnext: seamline check");
    } else {
        println!(
            "{}",
            serde_json::json!({ "schema": "seamline/pull/v1", "roots": roots.len(), "written": false })
        );
    }
    Ok(Exit::Clean)
}
