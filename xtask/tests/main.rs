//! Tests with servers of their own, which are stopped, killed and cut off.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use xtask::proxy::{Protocol, Proxy, Request};
use xtask::services::kafka::Kafka;
use xtask::services::postgres::Postgres;

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
const END_MAX: Duration = Duration::from_secs(30);

fn psql(port: u16, statements: &[&str]) -> Output {
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let mut call = Command::new("psql");
    call.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", &url]);
    statements.iter().for_each(|statement| {
        call.args(["-c", statement]);
    });
    call.output().expect("psql starts")
}

fn value(port: u16, query: &str) -> String {
    String::from_utf8_lossy(&psql(port, &[query]).stdout).trim().to_owned()
}

fn connects(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

/// Waits until nothing listens at an address; returns whether that came true in time.
fn falls_silent(address: &str) -> bool {
    let begun = Instant::now();
    while connects(address) {
        if begun.elapsed() > END_MAX {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
fn servers_do_not_outlive_their_killed_starter() {
    let folder = tempfile::tempdir().unwrap();
    let mut starter = Command::new(XTASK)
        .arg("services")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The servers run as a user who must be able to enter.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let said: Vec<String> =
        BufReader::new(starter.stdout.take().unwrap()).lines().take(4).map(Result::unwrap).collect();
    let postgres = said[1].split(['@', '/']).nth(3).unwrap();
    let kafka = said[2].strip_prefix("SEAMLINE_KAFKA=").unwrap();
    assert!(connects(postgres) && connects(kafka), "{said:?}");
    starter.kill().unwrap();
    starter.wait().unwrap();
    assert!(falls_silent(postgres) && falls_silent(kafka));
    let begun = Instant::now();
    while std::fs::read_dir(folder.path()).unwrap().count() > 0 {
        assert!(begun.elapsed() < END_MAX, "directories are left behind");
        std::thread::yield_now();
    }
}

#[test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
fn database_keeps_what_was_committed_over_kill_and_stop() {
    let mut postgres = Postgres::start(0).unwrap();
    let port = postgres.port();
    assert!(psql(port, &["create table kept (id int)", "insert into kept values (1)"]).status.success());
    postgres.kill9().unwrap();
    assert!(!connects(&format!("127.0.0.1:{port}")));
    assert!(postgres.kill9().is_err(), "what does not run cannot be killed");
    postgres.restart().unwrap();
    assert!(postgres.restart().is_err(), "what runs cannot be started");
    assert!(psql(port, &["insert into kept values (2)"]).status.success());
    postgres.stop_fast().unwrap();
    postgres.restart().unwrap();
    assert_eq!(value(port, "select sum(id) from kept"), "3");
    assert_eq!(value(port, "show fsync"), "on");
    assert_eq!(value(port, "show wal_level"), "logical");
}

#[test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
fn transaction_whose_answer_is_lost_has_committed() {
    let postgres = Postgres::start(0).unwrap();
    let proxy = Proxy::start(Protocol::Postgres).unwrap();
    proxy.forward_to(postgres.port());
    assert!(psql(postgres.port(), &["create table asked (id int)"]).status.success());
    proxy.cut_answer(Request::PostgresCommit, 2);
    assert!(psql(proxy.port(), &["begin", "insert into asked values (1)", "commit"]).status.success());
    assert_eq!(proxy.n_cut(), 0);
    assert!(!psql(proxy.port(), &["begin", "insert into asked values (2)", "commit"]).status.success());
    assert_eq!(proxy.n_cut(), 1);
    assert_eq!(value(postgres.port(), "select sum(id) from asked"), "3");
    assert_eq!(value(proxy.port(), "select count(*) from asked"), "2");
}

#[test]
#[cfg_attr(not(servers_here), ignore = "not run: needs Apache Kafka; `cargo x test` starts it")]
fn broker_comes_back_and_names_the_proxy_to_those_behind_it() {
    let proxy = Proxy::start(Protocol::Kafka).unwrap();
    let mut kafka = Kafka::start(Some(proxy.port())).unwrap();
    proxy.forward_to(kafka.proxied_port().unwrap());
    assert_eq!(advertised_port(proxy.port()).unwrap(), i32::from(proxy.port()));
    let (_, direct) =
        kafka.address().split_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let direct: u16 = direct.parse().unwrap();
    assert_eq!(advertised_port(direct).unwrap(), i32::from(direct));
    proxy.cut_answer(Request::Kafka(3), 1);
    assert_eq!(advertised_port(proxy.port()).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.n_cut(), 1);
    kafka.kill9().unwrap();
    assert!(!connects(&kafka.address()));
    kafka.restart().unwrap();
    kafka.stop().unwrap();
    kafka.restart().unwrap();
    assert_eq!(advertised_port(proxy.port()).unwrap(), i32::from(proxy.port()));
}

/// Asks for metadata and returns the port of the first broker.
fn advertised_port(port: u16) -> std::io::Result<i32> {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0])?;
    // Size, correlation, number of brokers, id, host.
    let mut head = [0; 18];
    stream.read_exact(&mut head)?;
    let mut host = vec![0; usize::from(u16::from_be_bytes([head[16], head[17]]))];
    stream.read_exact(&mut host)?;
    let mut found = [0; 4];
    stream.read_exact(&mut found)?;
    Ok(i32::from_be_bytes(found))
}
