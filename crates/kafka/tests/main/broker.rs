//! A broker of one test's own, on ports and in a directory of its own, which can be killed, frozen and started again.

use crate::fixture::PATIENCE;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ends the broker when the pipe closes: also when the test is killed.
const WATCH: &str = r#"read -r _; kill -s KILL "$0""#;

pub(crate) struct Broker {
    pub(crate) folder: TempDir,
    /// By the listener's name.
    ports: BTreeMap<String, u16>,
    process: Option<(Child, Child)>,
}

/// Returns a call of one of Kafka's programs.
pub(crate) fn java(class: &str) -> Command {
    let jars = std::env::var("SEAMLINE_KAFKA_LIBS").expect("it was there when this was built");
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"]);
    java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").arg("-cp").arg(format!("{jars}/*")).arg(class);
    java
}

/// Runs a program to its end in a directory.
pub(crate) fn run(command: &mut Command, folder: &Path) {
    let output = command.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

impl Broker {
    /// Starts a broker whose clients need nothing.
    pub(crate) fn start() -> Broker {
        Broker::start_with(tempfile::tempdir().unwrap(), &[], "", &[])
    }

    /// Starts a broker with more listeners, each a name and a security protocol, more properties and arguments of `format`.
    pub(crate) fn start_with(
        folder: TempDir,
        listeners: &[(&str, &str)],
        more: &str,
        format: &[&str],
    ) -> Broker {
        let all = [&[("PLAIN", "PLAINTEXT"), ("CONTROLLER", "PLAINTEXT")], listeners].concat();
        // All are held until the last is chosen, so that no two are the same.
        let held: Vec<_> = all.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(held);
        let list = |show: &dyn Fn(&str, &str, u16) -> String| -> String {
            let each = all.iter().zip(&ports).map(|((name, protocol), port)| show(name, protocol, *port));
            each.collect::<Vec<_>>().join(",")
        };
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{}\n\
             listeners={}\nlistener.security.protocol.map={}\ncontroller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAIN\nlog.dirs=data\nauto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=1\n{more}",
            ports[1],
            list(&|name, _, port| format!("{name}://127.0.0.1:{port}")),
            list(&|name, protocol, _| format!("{name}:{protocol}")),
        );
        fs::write(folder.path().join("server.properties"), properties).unwrap();
        let mut prepare = java("kafka.tools.StorageTool");
        prepare.args(["format", "-c", "server.properties", "-t", "MkU3OEVBNTcwNTJENDM2Qg"]).args(format);
        run(&mut prepare, folder.path());
        let names = all.iter().map(|(name, _)| (*name).to_owned());
        let mut broker = Broker { ports: names.zip(ports).collect(), folder, process: None };
        broker.go();
        broker
    }

    /// Starts it on what it has, and waits until it answers.
    pub(crate) fn go(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let process = java("kafka.Kafka")
            .arg("server.properties")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let id = process.id().to_string();
        let watch = Command::new("sh").args(["-c", WATCH, &id]).stdin(Stdio::piped()).spawn().unwrap();
        self.process = Some((process, watch));
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.at("PLAIN")).create().unwrap();
        let until = Instant::now() + PATIENCE;
        while client.fetch_metadata(None, Duration::from_secs(1)).is_err() {
            let ended = self.process.as_mut().and_then(|(process, _)| process.try_wait().unwrap());
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(ended.is_none() && Instant::now() < until, "the broker starts: {ended:?}\n{}", log());
        }
    }

    /// Returns host and port of a listener.
    pub(crate) fn at(&self, listener: &str) -> String {
        format!("127.0.0.1:{}", self.ports[listener])
    }

    pub(crate) fn kill9(&mut self) {
        let Some((mut process, mut watch)) = self.process.take() else { return };
        drop(watch.stdin.take());
        watch.wait().unwrap();
        process.wait().unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let (process, _) = self.process.as_ref().unwrap();
        run(Command::new("kill").args(["-s", name, &process.id().to_string()]), Path::new("/"));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill9();
    }
}
