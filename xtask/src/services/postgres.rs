//! A PostgreSQL server of our own: a fresh cluster on loopback that trusts everybody on this machine.

use crate::services::port::free_port;
use crate::services::server::{Account, Server, children_of, send};
use anyhow::{Context, Result, bail};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const VERSIONS: RangeInclusive<u32> = 13..=18;
const STOP_MAX: Duration = Duration::from_secs(60);
const STARTS: u32 = 3;

/// Beside the port; fsync stays on, for what is proved must hold after a crash.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "wal_level=logical",
    "max_replication_slots=200",
    "max_wal_senders=200",
    "shared_buffers=256MB",
];

/// A cluster and its server. When dropped, the server is stopped and the cluster removed.
pub struct Postgres {
    server: Server,
    /// How many transactions may be prepared; none, as the server is shipped, lets outboxes ring.
    prepared_max: u32,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes a cluster and starts its server on a free port; so many transactions may be prepared at once.
    ///
    /// # Errors
    /// No PostgreSQL is installed, or it does not start: then the error ends with the last lines of its log.
    pub fn start(prepared_max: u32) -> Result<Self> {
        let programs = newest(Path::new("/usr/lib/postgresql"))
            .context("no PostgreSQL 13 to 18 found below /usr/lib/postgresql; install `postgresql`")?;
        let account = account()?;
        for _ in 1..STARTS {
            let mut postgres = Self::create(&programs, account, prepared_max)?;
            let started = postgres.restart();
            if started.is_ok() || !postgres.server.port_was_taken() {
                return started.map(|()| postgres);
            }
        }
        let mut postgres = Self::create(&programs, account, prepared_max)?;
        postgres.restart()?;
        Ok(postgres)
    }

    fn create(programs: &Path, account: Option<Account>, prepared_max: u32) -> Result<Self> {
        // SIGQUIT lets the server end its own children at once.
        let server = Server::new("postgres", "QUIT", account)?;
        let words =
            ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D", "data"];
        server.prepare(&programs.join("initdb"), &words.map(str::to_owned))?;
        Ok(Self { server, prepared_max, programs: programs.to_path_buf(), port: free_port()? })
    }

    /// Returns the URL of the superuser's database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns the port, which stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts the stopped server on the same cluster and port, and waits until it answers.
    ///
    /// # Errors
    /// It runs, or does not start.
    pub fn restart(&mut self) -> Result<()> {
        if self.server.id().is_some() {
            bail!("postgres runs already; stop it first");
        }
        let mut args =
            vec!["-D".to_owned(), "data".to_owned(), "-c".to_owned(), format!("port={}", self.port)];
        args.extend(SETTINGS.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
        args.extend(["-c".to_owned(), format!("max_prepared_transactions={}", self.prepared_max)]);
        let probe = self.programs.join("pg_isready");
        let port = self.port.to_string();
        self.server.start(&self.programs.join("postgres"), &args, || answers(&probe, &port))
    }

    /// Stops the server as an administrator would: sessions are ended, their transactions rolled back.
    ///
    /// # Errors
    /// It does not run, or does not end.
    pub fn stop_fast(&mut self) -> Result<()> {
        self.server.end_by("INT", STOP_MAX)
    }

    /// Kills all processes of the server.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill9(&mut self) -> Result<()> {
        let Some(id) = self.server.id() else { bail!("postgres does not run") };
        // Without their parent, sessions would linger and keep the shared memory from the next server.
        let children = children_of(id)?;
        self.server.end_by("KILL", STOP_MAX)?;
        send("KILL", &children)
    }

    /// Fails if the server has ended by itself.
    ///
    /// # Errors
    /// It has ended; with the last lines of its log.
    pub fn check(&mut self) -> Result<()> {
        self.server.check()
    }
}

fn answers(probe: &Path, port: &str) -> bool {
    let call = Command::new(probe)
        .args(["-q", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", "postgres"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    call.is_ok_and(|status| status.success())
}

/// Returns the folder of programs of the newest version that is supported and complete.
pub(crate) fn newest(installed: &Path) -> Option<PathBuf> {
    let folder = |version: u32| installed.join(version.to_string()).join("bin");
    VERSIONS.rev().map(folder).find(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
}

/// PostgreSQL refuses to run as root: then it runs as the user that its package made.
fn account() -> Result<Option<Account>> {
    if !crate::tools::is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    account_in(&users).map(Some).context("no user `postgres` in /etc/passwd; install `postgresql`")
}

fn account_in(users: &str) -> Option<Account> {
    let line = users.lines().find_map(|line| line.strip_prefix("postgres:"))?;
    let mut fields = line.split(':').skip(1);
    Some(Account { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{account_in, newest};
    use std::fs;

    #[test]
    fn newest_supported_and_complete_version_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let install = |version: &str, programs: &[&str]| {
            let bin = folder.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            programs.iter().for_each(|program| fs::write(bin.join(program), "").unwrap());
        };
        assert_eq!(newest(folder.path()), None);
        install("9.6", &["postgres", "initdb"]);
        install("12", &["postgres", "initdb"]);
        install("19", &["postgres", "initdb"]);
        assert_eq!(newest(folder.path()), None);
        install("13", &["postgres", "initdb"]);
        install("15", &["postgres", "initdb"]);
        install("17", &["pg_dump"]);
        assert_eq!(newest(folder.path()), Some(folder.path().join("15/bin")));
    }

    #[test]
    fn account_is_read_and_its_absence_noticed() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:105:113::/var/lib:/bin/bash\n";
        let account = account_in(users).unwrap();
        assert_eq!((account.user, account.group), (105, 113));
        assert!(account_in("root:x:0:0:root:/root:/bin/sh\n").is_none());
        assert!(account_in("postgres-two:x:1:2\n").is_none());
    }
}
