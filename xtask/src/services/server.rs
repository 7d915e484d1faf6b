//! A server process in a temporary directory of its own, which ends when we end.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const WATCH: &str = include_str!("watch.sh");

/// Leaves its number where the watch looks for it, then becomes the server. Were the directory gone, it would not start.
const BECOME: &str = r#"echo $$ >"$0.part" && mv "$0.part" "$0" && exec "$@""#;

const TAIL_LINES: usize = 20;
const START_MAX: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_millis(30);

/// A user and group that a server runs as.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// A directory, the process that works in it if it runs, and the watch over both.
pub(crate) struct Server {
    name: &'static str,
    folder: PathBuf,
    account: Option<Account>,
    process: Option<Child>,
    watch: Child,
}

impl Server {
    /// Makes the directory and its watch; `signal` ends such a server at once.
    pub(crate) fn new(name: &'static str, signal: &str, account: Option<Account>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("seamline-{name}-"))
            .tempdir()
            .context("cannot make a temporary directory; set TMPDIR to where there is room")?;
        if let Some(Account { user, group }) = account {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let watch = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .arg(folder.path())
            .arg(signal)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start `sh`")?;
        Ok(Self { name, folder: folder.keep(), account, process: None, watch })
    }

    /// Returns the directory.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a call that works in the directory, as the server's user, and writes to the server's log.
    fn call(&self, program: &Path) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.log()).context("the server's log")?;
        let mut command = Command::new(program);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
        Ok(command)
    }

    /// Runs a program to its end, for preparing the directory.
    pub(crate) fn prepare(&self, program: &Path, args: &[String]) -> Result<()> {
        let status = self
            .call(program)?
            .args(args)
            .status()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        if !status.success() {
            bail!("`{}` ended with {status}{}", program.display(), self.log_tail());
        }
        Ok(())
    }

    /// Starts the server and waits until `is_ready`.
    pub(crate) fn start(
        &mut self,
        program: &Path,
        args: &[String],
        is_ready: impl Fn() -> bool,
    ) -> Result<()> {
        let mut call = self.call(Path::new("sh"))?;
        call.args(["-c", BECOME]).arg(self.folder.join("server.pid")).arg(program).args(args);
        self.process = Some(call.process_group(0).spawn().context("cannot start `sh`")?);
        let begun = Instant::now();
        while !is_ready() {
            self.check()?;
            if begun.elapsed() > START_MAX {
                bail!("{} does not answer after {} s{}", self.name, START_MAX.as_secs(), self.log_tail());
            }
            thread::sleep(PAUSE);
        }
        // Another's server may have answered on a port that ours could not get.
        self.check()
    }

    /// Fails, with the end of its log, if the server has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if let Some(status) = process.try_wait()? {
            bail!("{} ended with {status}{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// Sends a signal and waits for the end of the process.
    pub(crate) fn end_by(&mut self, signal: &str, within: Duration) -> Result<()> {
        let Some(mut process) = self.process.take() else { bail!("{} does not run", self.name) };
        send(signal, &[process.id()])?;
        let begun = Instant::now();
        while process.try_wait()?.is_none() {
            if begun.elapsed() > within {
                self.process = Some(process);
                bail!("{} runs on {} s after {signal}{}", self.name, within.as_secs(), self.log_tail());
            }
            thread::sleep(PAUSE);
        }
        match fs::remove_file(self.folder.join("server.pid")) {
            // It ended before it left its number.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.context("server.pid"),
        }
    }

    /// Returns the number of the running process.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Returns whether the log says that another process has the port.
    pub(crate) fn port_was_taken(&self) -> bool {
        fs::read_to_string(self.log()).is_ok_and(|log| log.contains("Address already in use"))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn log_tail(&self) -> String {
        match fs::read_to_string(self.log()) {
            Ok(log) if !log.trim().is_empty() => {
                format!("; the end of its log:\n{}", last_lines(&log, TAIL_LINES))
            }
            _ => "; its log is empty".to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The closed pipe is the order to the watch. Ours is to collect both.
        drop(self.watch.stdin.take());
        if let Some(mut process) = self.process.take() {
            let _ended = process.wait();
        }
        let _ended = self.watch.wait();
    }
}

/// Sends a signal to processes; one that has ended is no error.
pub(crate) fn send(signal: &str, processes: &[u32]) -> Result<()> {
    for process in processes {
        Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1" 2>/dev/null"#, signal, &process.to_string()])
            .status()
            .context("cannot start `sh`")?;
    }
    Ok(())
}

/// Returns the processes whose parent is `parent`.
pub(crate) fn children_of(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").context("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end while we look.
        let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        // The name, in parentheses, may hold anything; after it come state and parent.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        if after.split(' ').nth(1) == Some(parent.to_string().as_str()) {
            children.push(id);
        }
    }
    Ok(children)
}

fn last_lines(text: &str, n_lines: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(n_lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Server, last_lines};
    use std::path::Path;
    use std::time::Duration;

    fn sleeper(script: &str) -> (Server, Vec<String>) {
        (Server::new("sleeper", "KILL", None).unwrap(), vec!["-c".to_owned(), script.to_owned()])
    }

    #[test]
    fn tail_is_the_last_lines_or_all() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }

    #[test]
    fn dropped_server_ends_and_its_directory_goes() {
        let (mut server, args) = sleeper("exec sleep 1000");
        server.start(Path::new("sh"), &args, || true).unwrap();
        let (id, folder) = (server.id().unwrap(), server.folder().to_path_buf());
        assert!(Path::new(&format!("/proc/{id}")).exists() && folder.exists());
        drop(server);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
        assert!(!folder.exists() && !folder.with_extension("ended").exists());
    }

    #[test]
    fn server_that_ends_early_is_an_error_with_its_last_words() {
        let (mut server, args) = sleeper("echo no room left; exit 3");
        let error = server.start(Path::new("sh"), &args, || false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no room left"), "{error}");
    }

    #[test]
    fn ended_server_starts_again_in_its_directory() {
        let (mut server, args) = sleeper("exec sleep 1000");
        server.start(Path::new("sh"), &args, || true).unwrap();
        let first = server.id();
        server.end_by("TERM", Duration::from_secs(10)).unwrap();
        assert_eq!(server.id(), None);
        server.start(Path::new("sh"), &args, || true).unwrap();
        assert_ne!(server.id(), first);
    }
}
