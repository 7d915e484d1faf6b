//! Whole estates under all rules.

use crate::pages::Files;
use seamline_contract::finding::Level;
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::review::{Facts, review, runbooks};
use std::path::{Path, PathBuf};

fn files(root: &Path, folder: &Path, into: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(root, &path, into);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let id = path
                .strip_prefix(root)
                .ok()
                .and_then(Path::to_str)
                .expect("a path below the root")
                .to_owned();
            into.insert(DocumentId(id), std::fs::read_to_string(&path).expect("a text"));
        }
    }
}

/// Returns the estates below a folder of the repository, or a folder that is named by its whole path.
pub(crate) fn estates_in(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder of estates");
    let mut roots: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    roots.retain(|root| root.join("seamline.yaml").exists());
    roots.sort();
    roots
}

/// Returns the texts of an estate.
pub(crate) fn texts(root: &Path) -> Files {
    let mut texts = Files::new();
    files(root, root, &mut texts);
    texts
}

/// Returns what must be mended or is likely to hurt, with the runbooks that are there.
fn serious(root: &Path) -> Vec<String> {
    let reading = read_estate(&texts(root), DocumentId("seamline.yaml".to_owned()));
    let there = runbooks(&reading.estate).into_iter().filter(|runbook| root.join(runbook).exists());
    let findings = review(&reading.estate, &Facts { runbooks: there.collect(), ..Facts::default() });
    let all = reading.findings.iter().chain(&findings);
    all.filter(|finding| finding.level > Level::Advice)
        .map(|finding| crate::pages::told(&reading, finding))
        .collect()
}

/// The examples are what newcomers copy.
#[test]
fn the_examples_have_nothing_that_must_be_mended() {
    let roots = estates_in("examples");
    assert!(!roots.is_empty(), "there are examples");
    for root in roots {
        assert_eq!(serious(&root), [""; 0], "{}", root.display());
    }
}

#[test]
fn the_estates_of_the_proofs_have_nothing_that_must_be_mended() {
    for folder in ["proof", "proof/bench"] {
        for root in estates_in(folder) {
            assert_eq!(serious(&root), [""; 0], "{}", root.display());
        }
    }
}
