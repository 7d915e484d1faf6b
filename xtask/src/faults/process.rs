//! Programs that a scenario runs: to their end within a time, or in the background until they are told or killed.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// What a program left.
pub(crate) struct Said {
    /// Its exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Returns what it said last, for people.
    pub(crate) fn tail(&self) -> String {
        let all = format!("{}{}", self.out, self.err);
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(6)..].join(" | ")
    }
}

/// A program in the background, whose output goes to files.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    name: String,
}

impl Running {
    /// Starts a program; its output goes to `folder/name.out` and `.err`.
    pub(crate) fn start(command: &mut Command, folder: &Path, name: &str) -> Result<Running> {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Running { child, out, err, name: name.to_owned() })
    }

    /// Returns whether it runs still.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status()?;
        if !sent.success() {
            bail!("{} cannot be sent {signal}", self.name);
        }
        Ok(())
    }

    /// Waits until it has said something; false when it ended without a word, or said none in time.
    pub(crate) fn has_said_within(&mut self, time: Duration) -> bool {
        let out = self.out.clone();
        let has_said = || fs::metadata(&out).is_ok_and(|out| out.len() > 0);
        within(time, || if has_said() { Some(true) } else { (!self.runs()).then(has_said) }).unwrap_or(false)
    }

    /// Returns the most memory that it ever used, in KiB; zero when it has ended.
    pub(crate) fn memory_kb_max(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Returns whether it stands still now, stopped by a signal.
    pub(crate) fn stands_still(&self) -> bool {
        state(self.child.id()) == Some('T')
    }

    /// Waits until it is stopped by a signal; false when it ended instead, or nothing came of it in time.
    pub(crate) fn is_stopped_within(&mut self, time: Duration) -> bool {
        let id = self.child.id();
        within(time, || match state(id) {
            Some('T') => Some(true),
            Some('Z') | None => Some(false),
            Some(_) => None,
        })
        .unwrap_or(false)
    }

    /// Waits until it ends by itself; none when it runs still.
    pub(crate) fn ended_within(&mut self, time: Duration) -> Result<Option<Said>> {
        match within(time, || self.child.try_wait().transpose()) {
            Some(status) => Ok(Some(self.said(status?.code()))),
            None => Ok(None),
        }
    }

    fn said(&self, code: Option<i32>) -> Said {
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Said { code, out: read(&self.out), err: read(&self.err) }
    }

    /// Ends it: asks first, and kills it when it does not obey in time, which is an error.
    pub(crate) fn stop(mut self) -> Result<Said> {
        if self.runs() {
            self.signal("TERM")?;
        }
        match self.ended_within(Duration::from_secs(60))? {
            Some(said) => Ok(said),
            None => bail!("{} does not end when told to", self.name),
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns the letter of a process's state; none where there is no such process.
fn state(id: u32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a program to its end; one that takes longer is killed, which is an error.
pub(crate) fn run(command: &mut Command, folder: &Path, name: &str, time: Duration) -> Result<Said> {
    let mut running = Running::start(command, folder, name)?;
    match running.ended_within(time)? {
        Some(said) => Ok(said),
        None => bail!("{name} did not end within {} s", time.as_secs()),
    }
}

/// Looks again and again until there is an answer, or the time is over.
pub(crate) fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + time;
    loop {
        if let Some(answer) = look() {
            return Some(answer);
        }
        if Instant::now() >= until {
            return None;
        }
        thread::sleep(PAUSE);
    }
}
