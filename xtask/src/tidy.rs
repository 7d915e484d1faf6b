//! Style that a tool can check.

use crate::arrows::{ARROWS, CORE};
use crate::licences;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::command::root;

const LINES_MAX: usize = 500;
const MODULES_REFUSED: [&str; 6] = ["utils", "util", "common", "types", "helpers", "manager"];
const WORDS_REFUSED: [&str; 6] =
    ["todo!(", "unimplemented!(", "dbg!(", "#[allow(", "#[ignore", "use super::*"];
const CORE_REFUSED: [&str; 7] =
    ["async fn", "std::fs", "std::net", "SystemTime", "Instant::now", "Timestamp::now", "std::process"];
/// Folders of one machine. Written in two parts, for this file is searched too.
const MACHINE_PATHS: [&str; 2] = [concat!("/wor", "k/"), concat!("/tm", "p/")];
/// How code without the compiler's checks begins, and how the lint against it is lifted.
const UNSAFE: [&str; 5] = [
    concat!("unsafe", " {"),
    concat!("unsafe", " fn"),
    concat!("unsafe", " impl"),
    concat!("unsafe", " extern"),
    concat!("unsafe", "_code"),
];
/// The one module that may hold such code.
const UNSAFE_HERE: &str = "crates/kafka/src/raw";
const VENDORS: [&str; 4] = ["sqlite", "postgres", "kafka", "mysql"];

/// Prints one line a fault and fails if there is any.
pub(crate) fn run() -> Result<()> {
    let root = root();
    let mut faults = Vec::new();
    for (name, allowed) in ARROWS {
        faults.extend(arrow_faults(&root, name, allowed)?);
    }
    faults.extend(unlisted_crates(&root)?);
    for name in kept_files(&root)? {
        // Of no interest here: removed but not yet so committed, or no text.
        let Ok(text) = fs::read_to_string(root.join(&name)) else { continue };
        let mut found = machine_path_faults(&text);
        if name.ends_with(".rs") {
            found.extend(source_faults(&name, &text));
        }
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    faults.extend(doc_faults(&root)?);
    faults.extend(licences::refused()?);
    for fault in &faults {
        println!("{fault}");
    }
    if faults.is_empty() { Ok(()) } else { bail!("{} faults", faults.len()) }
}

fn arrow_faults(root: &Path, name: &str, allowed: &[&str]) -> Result<Vec<String>> {
    let path = root.join("crates").join(name).join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut section = "";
    let mut faults = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let Some(rest) = line.strip_prefix("seamline-") else { continue };
        let to = rest.split(['.', ' ', '=']).next().unwrap_or_default();
        if section == "[dependencies]" && !allowed.contains(&to) {
            faults
                .push(format!("crates/{name} depends on {to}: not among the arrows in xtask/src/arrows.rs"));
        }
    }
    Ok(faults)
}

fn unlisted_crates(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !ARROWS.iter().any(|(known, _)| *known == name) {
            faults.push(format!("crates/{name} is not listed in xtask/src/arrows.rs"));
        }
    }
    Ok(faults)
}

/// Returns the files that are in the history or about to be: neither ignored nor built.
fn kept_files(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .current_dir(root)
        .output()
        .context("cannot start `git`, which knows the files of the project")?;
    if !output.status.success() {
        bail!("`git ls-files` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let names = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// A path counts where it begins: a folder of that name further down is none of a machine.
fn machine_path_faults(text: &str) -> Vec<String> {
    let begins = |at: usize| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !"._-~}*".contains(before))
    };
    let found = MACHINE_PATHS.iter().filter(|path| text.match_indices(**path).any(|(at, _)| begins(at)));
    found.map(|path| format!("`{path}` is a folder of one machine")).collect()
}

fn source_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//! ") {
        faults.push("the first line does not say what the file is for (`//! …`)".to_owned());
    }
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let is_test = name.contains("/tests/");
    if !is_test && code.lines().count() > LINES_MAX {
        faults.push(format!("{} lines before its tests; at most {LINES_MAX}", code.lines().count()));
    }
    let stem =
        Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if MODULES_REFUSED.contains(&stem.as_str()) {
        faults.push(format!("`{stem}` says nothing; name the module for what it holds"));
    }
    let refused = |words: &[&str], why: &str| -> Vec<String> {
        let found = words.iter().filter(|word| code.contains(**word));
        found.map(|word| format!("`{word}` {why}")).collect()
    };
    if !name.starts_with("xtask/") {
        faults.extend(refused(&WORDS_REFUSED, "has no place here"));
    }
    if !name.starts_with(UNSAFE_HERE) {
        let found = UNSAFE.iter().filter(|word| text.contains(**word));
        faults.extend(found.map(|word| format!("`{word}` may stand in {UNSAFE_HERE} alone")));
    }
    let in_crate = |krate: &str| name.starts_with(&format!("crates/{krate}/src"));
    if CORE.iter().any(|krate| in_crate(krate)) {
        faults.extend(refused(&CORE_REFUSED, "has no place in a core crate"));
    }
    if in_crate("flow") {
        let lower = code.to_lowercase();
        let named = VENDORS.iter().filter(|vendor| lower.contains(**vendor));
        faults.extend(named.map(|vendor| format!("names {vendor}; flow names no vendor")));
    }
    if matches!(stem.as_str(), "decide" | "diff") {
        faults.extend(refused(&CORE_REFUSED, "has no place where decisions are pure"));
    }
    faults
}

fn doc_faults(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let architecture = fs::read_to_string(root.join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    for (name, _) in ARROWS {
        if !architecture.contains(&format!("**{name}**")) {
            faults.push(format!("ARCHITECTURE.md has no paragraph on **{name}**"));
        }
    }
    let mut decisions: Vec<String> =
        files_below(&root.join("docs/decisions"), "md")?.iter().map(|file| relative(root, file)).collect();
    decisions.sort();
    for (idx, file) in decisions.iter().enumerate() {
        if !file.contains(&format!("/{:04}-", idx + 1)) {
            faults
                .push(format!("{file}: decisions are numbered without gaps; this should be {:04}", idx + 1));
        }
    }
    Ok(faults)
}

fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn relative(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{UNSAFE, machine_path_faults, source_faults};

    fn check(name: &str, text: &str, expected: &str) {
        let faults = source_faults(name, text).join("; ");
        assert!(if expected.is_empty() { faults.is_empty() } else { faults.contains(expected) }, "{faults}");
    }

    #[test]
    fn faults_are_found_and_clean_files_pass() {
        check("crates/flow/src/relay/mod.rs", "//! Relays.\n", "");
        check("crates/flow/src/relay/mod.rs", "// Relays.\n", "first line");
        check("crates/flow/src/relay/mod.rs", "//! Relays.\nfn kafka() {}\n", "names kafka");
        check("crates/flow/src/projector/decide.rs", "//! Decides.\nasync fn x() {}\n", "`async fn`");
        check("crates/message/src/codec.rs", "//! Codes.\nuse std::fs;\n", "core crate");
        check("crates/cli/src/utils.rs", "//! Things.\n", "says nothing");
        check(
            "crates/cli/src/demo.rs",
            &format!("//! Long.\n{}", "\n".repeat(600)),
            "lines before its tests",
        );
    }

    #[test]
    fn code_without_checks_stands_in_one_file() {
        for word in UNSAFE {
            let text = format!("//! Wraps.\n{word}\n");
            check("crates/kafka/src/raw.rs", &text, "");
            check("crates/kafka/src/log.rs", &text, "alone");
            check("xtask/src/main.rs", &text, "alone");
            check("crates/kafka/tests/main/log.rs", &text, "alone");
        }
        check("crates/kafka/src/log.rs", "//! Is unsafe to repeat.\n", "");
    }

    #[test]
    fn folders_of_a_machine_are_found_where_a_path_begins() {
        let check =
            |text: &str, expected: usize| assert_eq!(machine_path_faults(text).len(), expected, "{text}");
        let folder = concat!("/wor", "k/main");
        check(folder, 1);
        check(&format!("cd {folder} && ls"), 1);
        check(&format!("url = \"sqlite:{folder}/x.db\""), 1);
        check(&format!("{folder} {}", concat!("/tm", "p/x")), 2);
        check(&format!("docs{folder}"), 0);
        check("they work/rest", 0);
    }
}
