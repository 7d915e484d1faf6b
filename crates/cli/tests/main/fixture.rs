//! A copy of an example estate in a folder of its own, the services' tables, and the program run on it.

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The contexts of the insurer.
pub(crate) const CONTEXTS: [&str; 6] =
    ["policy-administration", "billing", "claims", "crm", "document-management", "portal"];

const TABLES: [(&str, &str); 2] = [
    (
        "policy-administration",
        "CREATE TABLE policy_current (policy_no TEXT PRIMARY KEY, claims_status TEXT, cover_from TEXT, cover_to TEXT,
           product TEXT, holder_name TEXT, annual_premium TEXT)",
    ),
    (
        "billing",
        "CREATE TABLE receivable_current (contract_ref TEXT PRIMARY KEY, billing_status TEXT, delinquency TEXT,
           outstanding TEXT, paid_to TEXT)",
    ),
];

/// What a run of the program left.
pub(crate) struct Ran {
    /// Its exit code; none when it was killed.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Ran {
    /// Returns what a run left.
    pub(crate) fn of(output: &Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Returns it when it ended with a code.
    pub(crate) fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// Returns it when it printed a text.
    pub(crate) fn says(self, text: &str) -> Ran {
        assert!(
            self.out.contains(text) || self.err.contains(text),
            "no `{text}` in:\n{}\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Returns its output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A folder with an estate.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    /// Makes an empty folder.
    pub(crate) fn empty() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    /// Copies an example.
    pub(crate) fn example(name: &str) -> Place {
        Place::example_within(name, ".")
    }

    /// Copies an example into a folder below.
    pub(crate) fn example_within(name: &str, folder: &str) -> Place {
        let place = Place::empty();
        let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"));
        copy(&examples.join(name), &place.root().join(folder));
        place
    }

    /// Copies the insurer, makes its services' tables with so many policies, and installs all contexts.
    pub(crate) fn insurer(policies: u32) -> Place {
        let place = Place::example("insurer");
        place.tables();
        for number in 1..=policies {
            place.sql("policy-administration", &bound(number));
        }
        for context in CONTEXTS {
            place.run(&["install", context, "--yes"]).exits(0).says("installed");
        }
        place
    }

    /// Makes the tables of the services.
    pub(crate) fn tables(&self) {
        for (context, table) in TABLES {
            self.sql(context, table);
        }
    }

    /// Returns the folder.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file below the folder.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Returns the database of a context.
    pub(crate) fn file(&self, context: &str) -> PathBuf {
        self.root().join(".seamline").join(format!("{context}.db"))
    }

    /// Returns the program, to be run in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seamline"));
        command.args(arguments).current_dir(self.root()).stdin(Stdio::null());
        command
    }

    /// Runs the program in the folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    /// Runs git in the folder, without the settings of whoever runs the tests, and returns what it printed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        crate::git::git(self.root(), arguments)
    }

    /// Makes the folder a repository if it is none, and commits all there is.
    pub(crate) fn commit(&self) {
        if !self.root().join(".git").exists() {
            self.git(&["init", "--quiet"]);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "as it is now"]);
    }

    /// Replaces a text that stands in a file of the folder.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.root().join(path)).unwrap();
        assert!(text.contains(from), "no `{from}` in {path}");
        self.write(path, text.replace(from, to));
    }

    /// Does SQL in a context's database, as its service or a hand would, in one transaction.
    pub(crate) fn sql(&self, context: &str, statements: &str) {
        let statements = format!("BEGIN IMMEDIATE; {statements}; COMMIT");
        self.with(context, async |conn| {
            sqlx::raw_sql(AssertSqlSafe(statements.as_str())).execute(conn).await.unwrap();
        });
    }

    /// Returns the first column of the first row.
    pub(crate) fn number(&self, context: &str, query: &str) -> i64 {
        self.with(context, async |conn| {
            sqlx::query(AssertSqlSafe(query)).fetch_one(conn).await.unwrap().get(0)
        })
    }

    fn with<T>(&self, context: &str, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let path = self.file(context);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let patience = std::time::Duration::from_secs(20);
            let options =
                SqliteConnectOptions::new().filename(path).create_if_missing(true).busy_timeout(patience);
            let mut conn = options.connect().await.unwrap();
            work(&mut conn).await
        })
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == ".seamline" {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Returns the statement that makes a policy.
pub(crate) fn bound(number: u32) -> String {
    format!(
        "INSERT INTO policy_current VALUES ('P-{number:08}', 'eligible', '2026-01-01', '2026-12-31', 'Motor Plus',
           'Harbour Logistics', '{}.50')",
        100 + number
    )
}

/// Returns the statement by which a service publishes a policy.
pub(crate) fn publish(number: u32, change: &str, reason: Option<&str>) -> String {
    let reason = reason.map_or_else(|| "NULL".to_owned(), |reason| format!("'{reason}'"));
    format!(
        "INSERT INTO seamline_publish (contract, change, key, reason)
         VALUES ('policy', '{change}', '[\"P-{number:08}\"]', {reason})"
    )
}
