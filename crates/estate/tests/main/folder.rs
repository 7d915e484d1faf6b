//! Opens estates on disk, good and broken.

use seamline_contract::finding::Finding;
use seamline_estate::open::{OpenError, Opened, open};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const CONTEXT: &str =
    "apiVersion: seamline/v1\nkind: Context\nmeaning: Pays claims.\nteam: claims\n";

pub(crate) fn write(root: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("files have folders")).expect("the folder is ours");
        fs::write(path, bytes).expect("the folder is ours");
    }
}

fn opened(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Opened) {
    let folder = tempfile::tempdir().expect("there is a folder for such things");
    write(folder.path(), files);
    let opened = open(folder.path()).expect("the folder is there");
    (folder, opened)
}

pub(crate) fn lines(opened: &Opened) -> Vec<String> {
    let line = |finding: &Finding| {
        let at = opened.reading.sources.locate(&finding.at);
        format!("{}:{}:{} {} {}", at.document, at.line, at.column, finding.rule, finding.message)
    };
    opened.reading.findings.iter().map(line).collect()
}

pub(crate) fn settings(roots: &str) -> String {
    format!("apiVersion: seamline/v1\nkind: Estate\nroots: {roots}\n")
}

/// The folder of the example estates.
fn examples() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/estates"))
}

#[test]
#[cfg_attr(not(estates_here), ignore = "not run: the example estates are not beside the repository")]
fn example_estates_open_without_findings() {
    let folder = examples();
    for (name, contexts, contracts, subscriptions) in [("insurer", 6, 4, 7), ("custody", 6, 4, 5)] {
        let opened = open(&folder.join(name)).unwrap();
        assert_eq!(lines(&opened), [""; 0], "{name}");
        let estate = &opened.reading.estate;
        let counts = (estate.contexts.len(), estate.contracts.len(), estate.subscriptions.len());
        assert_eq!(counts, (contexts, contracts, subscriptions), "{name}");
    }
}

#[test]
fn the_examples_of_the_project_open_without_findings() {
    for name in ["chinook", "insurer"] {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")).join(name);
        let opened = open(&folder).unwrap();
        assert_eq!(lines(&opened), [""; 0], "{name}");
        assert!(!opened.reading.estate.contracts.is_empty(), "{name}");
    }
}

#[test]
fn settings_are_found_from_a_folder_below() {
    let (folder, _) =
        opened(&[("seamline.yaml", settings("[a]").as_bytes()), ("a/b/c.context.yaml", CONTEXT.as_bytes())]);
    let below = open(&folder.path().join("a/b")).unwrap();
    assert_eq!(below.root, folder.path().canonicalize().unwrap());
    assert_eq!(below.reading.estate.contexts.len(), 1);
    assert!(below.exists("a/b/c.context.yaml") && !below.exists("../x") && !below.exists("a/nothing"));
}

#[test]
fn a_folder_without_settings_is_read_whole() {
    let (_folder, opened) = opened(&[
        ("deep/down/c.context.yaml", CONTEXT.as_bytes()),
        (".git/hidden.context.yaml", CONTEXT.as_bytes()),
        ("target/built.context.yaml", CONTEXT.as_bytes()),
        ("readme.md", b"no document"),
        ("deployment.yaml", b"apiVersion: apps/v1\nkind: Deployment\n"),
    ]);
    assert_eq!(lines(&opened), [""; 0]);
    assert_eq!(opened.reading.estate.contexts.len(), 1);
}

#[test]
fn roots_that_cannot_be_read_are_findings_and_the_rest_is_read() {
    let roots = "[here, missing, ../out, {git: 'https://example.org/x', at: main, path: '.'}]";
    let (_folder, opened) =
        opened(&[("seamline.yaml", settings(roots).as_bytes()), ("here/c.context.yaml", CONTEXT.as_bytes())]);
    assert_eq!(
        lines(&opened),
        [
            "seamline.yaml:3:15 LANGUAGE_ROOT there is no folder `missing`",
            "seamline.yaml:3:24 LANGUAGE_ROOT the root `../out` lies outside the estate's folder",
            "seamline.yaml:3:32 LANGUAGE_ROOT nothing says yet which text of the root `https://example.org/x` at `main` is meant",
        ]
    );
    assert_eq!(opened.reading.estate.contexts.len(), 1);
}

#[test]
fn files_that_cannot_be_read_are_findings() {
    let large = vec![b'#'; 5 * 1024 * 1024];
    let (_folder, opened) = opened(&[
        ("a.context.yaml", CONTEXT.as_bytes()),
        ("large.contract.yaml", &large),
        ("latin.contract.yaml", b"meaning: caf\xe9\n"),
        ("wrong.yaml", CONTEXT.as_bytes()),
    ]);
    assert_eq!(
        lines(&opened),
        [
            "large.contract.yaml:1:1 LANGUAGE_UNREADABLE `large.contract.yaml` cannot be read: it has more than the 1048576 bytes a document may have",
            "latin.contract.yaml:1:1 LANGUAGE_UNREADABLE `latin.contract.yaml` cannot be read: it is not UTF-8 at byte 12",
            "wrong.yaml:2:7 LANGUAGE_FILE_NAME the file's name does not say its kind, so it is not read",
        ]
    );
}

#[cfg(unix)]
#[test]
fn links_do_not_make_a_walk_endless() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a/c.context.yaml", CONTEXT.as_bytes())]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("a/gone.contract.yaml")).unwrap();
    let opened = open(folder.path()).unwrap();
    assert_eq!(opened.reading.estate.contexts.len(), 1);
    assert_eq!(opened.reading.findings.len(), 1);
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_estate_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), &[("secret", b"hunter2")]);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a/c.context.yaml", CONTEXT.as_bytes())]);
    std::os::unix::fs::symlink("c.context.yaml", folder.path().join("a/d.context.yaml")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("a/e.contract.yaml"))
        .unwrap();
    let opened = open(folder.path()).unwrap();
    let told = "a/e.contract.yaml:1:1 LANGUAGE_UNREADABLE `a/e.contract.yaml` cannot be read: it is a link that leads out of the \
                estate's folder";
    assert_eq!(lines(&opened), [told]);
    assert_eq!(opened.reading.estate.contexts.len(), 2);
}

#[test]
fn a_locked_folder_that_changed_is_a_finding() {
    let lock = |digest: &str| {
        format!(
            "apiVersion: seamline/v1\nkind: Lock\nroots: [ {{ root: a, resolved: 1a2b, digest: {digest} }} ]\n"
        )
    };
    let files = |lock: &str| {
        let settings = settings("[a]");
        opened(&[
            ("seamline.yaml", settings.as_bytes()),
            ("a/c.context.yaml", CONTEXT.as_bytes()),
            ("seamline.lock", lock.as_bytes()),
        ])
    };
    let (_folder, changed) = files(&lock("b3-00112233"));
    assert_eq!(lines(&changed), ["seamline.lock:3:45 LANGUAGE_ROOT the root `a` is not what was locked"]);
    let digest = seamline_estate::open::digest(&changed.files, "a");
    let (_folder, same) = files(&lock(&digest));
    assert_eq!(lines(&same), [""; 0]);
}

#[test]
fn a_path_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    assert!(matches!(open(&gone), Err(OpenError::NotThere { .. })));
}
