//! Reads estates of revisions in repositories that the program `git` made, and says what is missing.

use crate::folder::{CONTEXT, lines, settings, write};
use crate::git::git;
use seamline_estate::open::open;
use seamline_estate::revision::{Asked, Repository, RevisionError};
use std::path::Path;
use tempfile::TempDir;

/// Writes files, and commits all there is.
fn commit(folder: &Path, files: &[(&str, &[u8])]) -> String {
    write(folder, files);
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--allow-empty", "--message", "as it is now"]);
    git(folder, &["rev-parse", "HEAD"])
}

/// Makes a repository whose estate has one context, then two.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    let settings = settings("[.]");
    commit(
        folder.path(),
        &[("data/seamline.yaml", settings.as_bytes()), ("data/claims/c.context.yaml", CONTEXT.as_bytes())],
    );
    git(folder.path(), &["tag", "--annotate", "v1", "--message", "the first"]);
    commit(folder.path(), &[("data/crm/d.context.yaml", CONTEXT.as_bytes()), ("data/run.md", b"# Do\n")]);
    folder
}

fn n_contexts(folder: &Path, revision: &str, within: &str) -> usize {
    let repository = Repository::around(folder).unwrap();
    let commit = repository.commit(revision).unwrap();
    let opened = repository.open(commit, revision, within).unwrap();
    assert_eq!(lines(&opened), [""; 0]);
    opened.reading.estate.contexts.len()
}

fn error(folder: &Path, revision: &str) -> RevisionError {
    Repository::around(folder).unwrap().commit(revision).unwrap_err()
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn revisions_are_read_without_a_checkout() {
    let folder = repository();
    let root = folder.path();
    for (revision, count) in [("main", 2), ("HEAD~1", 1), ("v1", 1), ("@", 2), ("main^{/now}", 2)] {
        assert_eq!(n_contexts(root, revision, "data"), count, "{revision}");
        // A folder of the estate, and a file in it, stand for the estate that they lie in.
        assert_eq!(n_contexts(root, revision, "data/claims"), count, "{revision}");
        assert_eq!(n_contexts(root, revision, "data/claims/c.context.yaml"), count, "{revision}");
    }
    assert_eq!(n_contexts(root, &git(root, &["rev-parse", "--short", "v1^{}"]), "data"), 1);
    git(root, &["gc", "--quiet"]);
    assert_eq!(n_contexts(&root.join("data/crm"), "v1", "data"), 1);
    let repository = Repository::around(root).unwrap();
    assert_eq!(repository.within(&root.join("data/crm")).as_deref(), Some("data/crm"));
    let opened = repository.open(repository.commit("main").unwrap(), "main", "data").unwrap();
    assert!(
        opened.exists("run.md")
            && opened.exists("./claims")
            && !opened.exists("../data")
            && !opened.exists("gone")
    );
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn the_same_texts_are_read_from_a_folder_and_from_its_commit() {
    let folder = repository();
    let repository = Repository::around(folder.path()).unwrap();
    let committed = repository.open(repository.commit("HEAD").unwrap(), "HEAD", "data").unwrap();
    let on_disk = open(&folder.path().join("data")).unwrap();
    assert_eq!(committed.files, on_disk.files);
    assert_eq!(committed.root.canonicalize().unwrap(), on_disk.root);
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_has_no_working_tree_or_another_one_is_read_as_well() {
    let folder = repository();
    let elsewhere = tempfile::tempdir().unwrap();
    let (bare, linked) = (elsewhere.path().join("bare.git"), elsewhere.path().join("linked"));
    git(folder.path(), &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    git(folder.path(), &["worktree", "add", "--quiet", "--detach", linked.to_str().unwrap(), "v1"]);
    assert_eq!(n_contexts(&bare, "main", "data"), 2);
    assert!(Repository::around(&bare).unwrap().is_bare());
    assert_eq!(n_contexts(&linked, "HEAD", "data"), 1);
    assert_eq!(n_contexts(&linked, "main", "data"), 2);
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_is_no_revision_says_so() {
    let folder = repository();
    let root = folder.path();
    assert!(matches!(error(root, "develop"), RevisionError::Unknown { .. }));
    assert!(matches!(error(root, "v1..main"), RevisionError::Unknown { .. }));
    assert!(matches!(error(root, "HEAD~9"), RevisionError::Unknown { .. }));
    assert!(matches!(error(root, "HEAD^{tree}"), RevisionError::NoCommit { .. }));
    let repository = Repository::around(root).unwrap();
    let gone = repository.open(repository.commit("main").unwrap(), "main", "nowhere").unwrap_err();
    assert_eq!(gone.to_string(), "there is no `nowhere` in `main`");
    let outside = tempfile::tempdir().unwrap();
    assert!(matches!(Repository::around(outside.path()), Err(RevisionError::NoRepository { .. })));
    write(outside.path(), &[(".git", b"gitdir: nowhere\n")]);
    assert!(matches!(Repository::around(outside.path()), Err(RevisionError::Unreadable { .. })));
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_working_tree_is_held_against_where_it_left_a_branch() {
    let folder = repository();
    let root = folder.path();
    let left = git(root, &["rev-parse", "HEAD"]);
    git(root, &["checkout", "--quiet", "-b", "feature"]);
    commit(root, &[("data/run.md", b"# Do more\n")]);
    git(root, &["checkout", "--quiet", "main"]);
    commit(root, &[("data/other.md", b"# Other\n")]);
    git(root, &["checkout", "--quiet", "feature"]);
    let base = || Repository::around(root).unwrap().merge_base("main");
    assert_eq!(base().unwrap().id(), left);
    git(root, &["checkout", "--quiet", "--orphan", "apart"]);
    assert!(matches!(base(), Err(RevisionError::NoHistory)));
    commit(root, &[]);
    assert!(matches!(base(), Err(RevisionError::Unrelated { .. })));
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn a_shallow_clone_names_the_commit_that_is_missing() {
    let folder = repository();
    let missing = git(folder.path(), &["rev-parse", "HEAD~1"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    git(elsewhere.path(), &["clone", "--quiet", "--depth", "1", &url, "clone"]);
    let clone = elsewhere.path().join("clone");
    assert_eq!(n_contexts(&clone, "HEAD", "data"), 2);
    for revision in ["HEAD~1", "origin/feature"] {
        let error = error(&clone, revision);
        assert!(error.to_string().contains(&missing[..10]), "{error}");
        assert!(error.help().contains("fetch-depth: 0") && error.help().contains("--deepen"));
    }
    // A branch that was fetched as shallowly has nothing in common with HEAD as far as is known.
    git(folder.path(), &["checkout", "--quiet", "-b", "feature", "HEAD~1"]);
    commit(folder.path(), &[]);
    git(&clone, &["fetch", "--quiet", "--depth", "1", "origin", "feature:feature"]);
    let error = Repository::around(&clone).unwrap().merge_base("feature").unwrap_err();
    assert!(matches!(error, RevisionError::Shallow { .. }), "{error}");
    assert!(error.to_string().contains(&missing[..10]), "{error}");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_a_clone_left_out_is_a_finding() {
    let folder = repository();
    git(folder.path(), &["config", "uploadpack.allowFilter", "true"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    git(elsewhere.path(), &["clone", "--quiet", "--no-checkout", "--filter", "blob:none", &url, "clone"]);
    let repository = Repository::around(&elsewhere.path().join("clone")).unwrap();
    let opened = repository.open(repository.commit("HEAD").unwrap(), "HEAD", "data").unwrap();
    let told = lines(&opened);
    assert!(
        told.iter().any(|it| it.contains("is not in this clone: `git fetch --refetch` brings it")),
        "{told:?}"
    );
}

#[cfg(unix)]
#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn what_cannot_be_read_at_a_revision_is_a_finding() {
    use std::os::unix::fs::symlink;
    let folder = repository();
    let root = folder.path();
    let large = vec![b'#'; 2 * 1024 * 1024];
    write(
        root,
        &[("data/a/large.contract.yaml", &large), ("data/a/latin.contract.yaml", b"meaning: caf\xe9\n")],
    );
    symlink("../claims/c.context.yaml", root.join("data/a/inside.context.yaml")).unwrap();
    symlink("/etc/hostname", root.join("data/a/host.contract.yaml")).unwrap();
    symlink("../../../out.yaml", root.join("data/a/out.contract.yaml")).unwrap();
    symlink("self.contract.yaml", root.join("data/a/self.contract.yaml")).unwrap();
    symlink("../claims", root.join("data/a/folder")).unwrap();
    git(root, &["add", "--all"]);
    let head = git(root, &["rev-parse", "HEAD"]);
    git(root, &["update-index", "--add", "--cacheinfo", &format!("160000,{head},data/sub")]);
    git(root, &["commit", "--quiet", "--message", "broken"]);
    let repository = Repository::around(root).unwrap();
    let opened = repository.open(repository.commit("HEAD").unwrap(), "HEAD", "data").unwrap();
    let why = |name: &str, reason: &str| {
        let path = format!("a/{name}.contract.yaml");
        format!("{path}:1:1 LANGUAGE_UNREADABLE `{path}` cannot be read: {reason}")
    };
    let out = "it is a link that leads out of the estate's folder";
    assert_eq!(
        lines(&opened),
        [
            why("host", out),
            why("large", "it has more than the 1048576 bytes a document may have"),
            why("latin", "it is not UTF-8 at byte 12"),
            why("out", out),
            why("self", "it is a link that leads to links without end"),
            "sub:1:1 LANGUAGE_UNREADABLE `sub` is a submodule: what is in it is not read at a revision"
                .to_owned(),
        ]
    );
    assert_eq!(opened.reading.estate.contexts.len(), 3);
}

#[test]
fn a_revision_and_its_path_part_at_the_first_colon_outside_braces() {
    let cases = [
        ("main", ("main", None)),
        ("origin/main:path/of/estate", ("origin/main", Some("path/of/estate"))),
        ("main:", ("main", Some(""))),
        ("main^{/fix: it}:a", ("main^{/fix: it}", Some("a"))),
        (":/fix", (":/fix", None)),
    ];
    for (text, (revision, path)) in cases {
        assert_eq!(Asked::new(text), Asked { revision, path }, "{text}");
    }
}
