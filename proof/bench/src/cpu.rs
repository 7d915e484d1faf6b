//! CPU time and memory of processes, as Linux tells them in `/proc`.

use std::collections::BTreeSet;
use std::fs;

/// Ticks a second: fixed by Linux for what it shows in `/proc`.
const TICKS: f64 = 100.0;

/// Returns the CPU seconds of a process with all its threads, and of children that it waited for; zero when it is gone.
pub(crate) fn seconds(pid: u32, with_children: bool) -> f64 {
    let fields = stat(pid);
    let ticks = |idx: usize| fields.get(idx).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let children = if with_children { ticks(13) + ticks(14) } else { 0.0 };
    (ticks(11) + ticks(12) + children) / TICKS
}

/// Returns the fields after the program's name, which may hold blanks: the state is the first.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = text.rsplit_once(") ").map_or("", |(_, after)| after);
    after.split_ascii_whitespace().map(ToOwned::to_owned).collect()
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid).get(1)?.parse().ok()
}

/// Returns the peak resident memory of a process in mebibytes.
pub(crate) fn peak_mebibytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) / 1_024.0
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The processes of PostgreSQL and Kafka, where they run on this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers {
    postmaster: Option<u32>,
    broker: Option<u32>,
}

impl Servers {
    /// Finds them: by one backend of PostgreSQL, and by the port that the broker listens on.
    pub(crate) fn find(backend: u32, broker_port: u16) -> Servers {
        Servers { postmaster: parent(backend), broker: listener(broker_port) }
    }

    /// Returns the CPU seconds that PostgreSQL and Kafka took; none when one of them is not here.
    fn seconds(&self) -> Option<(f64, f64)> {
        let (postmaster, broker) = (self.postmaster?, self.broker?);
        let backends = processes().into_iter().filter(|pid| parent(*pid) == Some(postmaster));
        let backends: f64 = backends.map(|pid| seconds(pid, false)).sum();
        Some((seconds(postmaster, true) + backends, seconds(broker, false)))
    }
}

/// Returns the process that listens on a port of this machine.
fn listener(port: u16) -> Option<u32> {
    const LISTENS: &str = "0A";
    let mut sockets = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            if fields.len() > 9 && fields[3] == LISTENS && fields[1].ends_with(&format!(":{port:04X}")) {
                sockets.insert(format!("socket:[{}]", fields[9]));
            }
        }
    }
    processes().into_iter().find(|pid| {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        links.any(|link| sockets.contains(&link.to_string_lossy().into_owned()))
    })
}

/// CPU time: seconds since a process began, or microseconds a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cpu {
    /// Of the processes that do the work.
    pub(crate) own: f64,
    /// Of PostgreSQL and of Kafka, where they are on this machine.
    pub(crate) servers: Option<(f64, f64)>,
}

impl Cpu {
    /// Returns that of all of them, where it is known.
    pub(crate) fn all(&self) -> Option<f64> {
        self.servers.map(|(postgres, kafka)| self.own + postgres + kafka)
    }
}

/// CPU seconds of some processes and of the servers since a moment.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    servers: &'a Servers,
    pids: Vec<u32>,
    begun: Cpu,
}

impl<'a> Meter<'a> {
    /// Begins to count.
    pub(crate) fn start(servers: &'a Servers, pids: &[u32]) -> Meter<'a> {
        Meter { servers, pids: pids.to_vec(), begun: now(servers, pids) }
    }

    /// Returns the microseconds a row since then.
    pub(crate) fn stop(&self, rows: usize) -> Cpu {
        let now = now(self.servers, &self.pids);
        let a_row = |now: f64, then: f64| (now - then) * 1_000_000.0 / rows as f64;
        let servers = now.servers.zip(self.begun.servers);
        Cpu {
            own: a_row(now.own, self.begun.own),
            servers: servers.map(|(now, then)| (a_row(now.0, then.0), a_row(now.1, then.1))),
        }
    }
}

fn now(servers: &Servers, pids: &[u32]) -> Cpu {
    Cpu { own: pids.iter().map(|pid| seconds(*pid, false)).sum(), servers: servers.seconds() }
}

#[cfg(test)]
mod tests {
    use super::{listener, peak_mebibytes, seconds};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    #[test]
    fn work_takes_cpu_seconds_and_memory() {
        let pid = std::process::id();
        let (begun, before) = (Instant::now(), seconds(pid, false));
        while begun.elapsed() < Duration::from_secs(5) && seconds(pid, false) <= before {}
        assert!(seconds(pid, false) > before);
        assert!(peak_mebibytes(pid) > 1.0);
    }

    #[test]
    fn a_process_that_is_gone_takes_nothing() {
        assert_eq!((seconds(u32::MAX, true), peak_mebibytes(u32::MAX)), (0.0, 0.0));
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listener(held.local_addr().unwrap().port()), Some(std::process::id()));
    }
}
