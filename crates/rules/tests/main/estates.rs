//! Whole estates under all rules.

use crate::pages::Files;
use seamline_contract::finding::Level;
use seamline_contract::path::DocumentId;
use seamline_lang::estate::read_estate;
use seamline_rules::review::{Facts, review, runbooks};
use std::path::Path;

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

/// The examples are what newcomers copy.
#[test]
fn the_examples_have_nothing_that_must_be_mended() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let root = entry.unwrap().path();
        if !root.join("seamline.yaml").exists() {
            continue;
        }
        let mut texts = Files::new();
        files(&root, &root, &mut texts);
        let reading = read_estate(&texts, DocumentId("seamline.yaml".to_owned()));
        let there = runbooks(&reading.estate).into_iter().filter(|runbook| root.join(runbook).exists());
        let findings = review(&reading.estate, &Facts { runbooks: there.collect(), ..Facts::default() });
        let serious: Vec<String> = reading
            .findings
            .iter()
            .chain(findings.iter().filter(|finding| finding.level == Level::Error))
            .map(|finding| crate::pages::told(&reading, finding))
            .collect();
        assert_eq!(serious, [""; 0], "{}", root.display());
        seen += 1;
    }
    assert!(seen > 0, "there are examples");
}
