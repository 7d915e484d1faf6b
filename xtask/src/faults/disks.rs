//! Disks that are full: that of a projection, that of the broker, and any that an agent could write to, which is none.

use crate::faults::ends::segments;
use crate::faults::process::{Running, within};
use crate::faults::stage::{CONTEXTS, LEASE, Stage};
use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::{Result, bail};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const CALM: Duration = Duration::from_secs(1);

/// How long it may take until somebody meets the end of the disk.
const MET: Duration = Duration::from_secs(40);

/// What a projection may take on its small disk.
const SIZE: &str = "size=4m";

/// A small file system in memory; unmounted when dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one for a server's user; why not, where this may not be done.
    fn mount() -> Result<Result<SmallDisk, Outcome>> {
        let folder = tempfile::Builder::new().prefix("seamline-disk-").tempdir()?;
        let disk = SmallDisk { folder };
        let options = format!("{SIZE},mode=0777");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(disk.path()).output()?;
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
            return Ok(Err(Outcome::NotRun(format!(
                "no file system can be mounted here, as root may: {why}"
            ))));
        }
        Ok(Ok(disk))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it to its last byte. Returns what to remove.
    fn fill(&self) -> Result<PathBuf> {
        let path = self.path().join("ballast");
        let mut file = fs::File::create(&path)?;
        for size in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.path()).output());
    }
}

/// The disk of a projection's table is full under load; then there is room again.
pub(crate) fn projection(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let disk = match SmallDisk::mount()? {
        Ok(disk) => disk,
        Err(not_run) => return stage.done(0, not_run),
    };
    let space = stage.name("space");
    let own = disk.path().join("space");
    fs::create_dir(&own)?;
    Command::new("chown").arg("postgres").arg(&own).output()?;
    let agents = stage.agents()?;
    let create = format!("CREATE TABLESPACE {space} LOCATION '{}'", own.display());
    stage.oracle(&["sql", "desk", &create])?;
    stage.oracle(&["sql", "desk", &format!("ALTER TABLE known_item SET TABLESPACE {space}")])?;
    let ballast = disk.fill()?;
    let writers = stage.writers_with(6, &["--pause", "0.05"])?;
    let acts = stage.path("acts").to_string_lossy().into_owned();
    stage.oracle(&["flood", "--rows", "2000", "--acts", &acts])?;
    let met = stage.has_logged("No space left on device", MET);
    thread::sleep(CALM);
    stop_writers(writers)?;
    fs::remove_file(ballast)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(1, outcome);
    }
    if !met {
        return stage.done(0, Outcome::Inconclusive("nobody met the end of the disk".to_owned()));
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(1, outcome)
}

/// Agents keep nothing on a disk: with their output and what is for temporary files on full ones they go on as ever.
pub(crate) fn agent(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let disk = match SmallDisk::mount()? {
        Ok(disk) => disk,
        Err(not_run) => return stage.done(0, not_run),
    };
    disk.fill()?;
    let agents = CONTEXTS.iter().map(|context| on_full_disk(&stage, context, disk.path()));
    let agents = agents.collect::<Result<Vec<_>>>()?;
    let writers = stage.writers(6)?;
    thread::sleep(CALM);
    // What is said when something fails must not end who says it.
    let outbox = "ALTER TABLE seamline.lease RENAME TO elsewhere";
    stage.oracle(&["sql", "stock", outbox])?;
    thread::sleep(CALM);
    stage.oracle(&["sql", "stock", "ALTER TABLE seamline.elsewhere RENAME TO lease"])?;
    thread::sleep(CALM);
    stop_writers(writers)?;
    for mut agent in agents {
        if !agent.runs() {
            return stage.done(4, Outcome::Failed("an agent ended when it could not write".to_owned()));
        }
        agent.stop()?;
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(4, outcome)
}

/// Starts an agent that can write to no file.
fn on_full_disk(stage: &Stage<'_>, context: &str, full: &Path) -> Result<Running> {
    let lease = LEASE.to_string();
    let plain = stage.command(&["agent", context, "--lease", &lease]);
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$0" "$@" >/dev/full 2>/dev/full"#])
        .arg(plain.get_program())
        .args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("TMPDIR", full);
    if let Some(folder) = plain.get_current_dir() {
        command.current_dir(folder);
    }
    Running::start(&mut command, stage.folder.path(), &format!("full-{context}"))
}

/// What a segment may grow by until the broker meets the end of its disk.
const ROOM: u64 = 4_000;

/// The broker can write no more, and ends; then there is room, and it is started again. A limit on the size of its files stands for
/// the disk: what the kernel answers is an error of writing, too.
pub(crate) fn broker(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers_with(6, &["--pause", "0.05"])?;
    thread::sleep(CALM);
    let ended = {
        let mut servers = ground.servers();
        let longest = segments(&servers.kafka.data(), &stage)?.into_values().max().unwrap_or(0);
        let Some(id) = servers.kafka.id() else { bail!("the broker does not run") };
        let limit = format!("--fsize={}", longest + ROOM);
        let limited = Command::new("prlimit").args(["--pid", &id.to_string(), &limit]).output()?;
        if !limited.status.success() {
            bail!("no limit can be set here: {}", String::from_utf8_lossy(&limited.stderr).trim());
        }
        let ended = within(MET, || servers.kafka.check().is_err().then_some(())).is_some();
        servers.kafka.kill9()?;
        thread::sleep(CALM);
        servers.kafka.restart()?;
        ended
    };
    thread::sleep(CALM);
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(1, outcome);
    }
    if !ended {
        return stage
            .done(0, Outcome::Inconclusive("the broker did not meet the end of its disk".to_owned()));
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(1, outcome)
}
