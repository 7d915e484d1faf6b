//! Tests of the proxy with real sockets.

use super::{Direction, Protocol, Proxy, Request};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// A server that reads requests of one length and answers each; what it read comes out of the channel.
fn server<const LEN: usize>(answer: fn(&[u8]) -> Vec<u8>) -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, out) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, seen) = (stream.unwrap(), seen.clone());
            thread::spawn(move || {
                let mut request = [0; LEN];
                while stream.read_exact(&mut request).is_ok() {
                    seen.send(request.to_vec()).unwrap();
                    // The proxy may have reset the connection.
                    let _written = stream.write_all(&answer(&request));
                }
            });
        }
    });
    (port, out)
}

fn broker() -> (u16, Receiver<Vec<u8>>) {
    server::<12>(|request| [&[0, 0, 0, 4], &request[8..12]].concat())
}

fn proxy(protocol: Protocol, port: u16) -> Proxy {
    let proxy = Proxy::start(protocol).unwrap();
    proxy.forward_to(port);
    proxy
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn request(key: u8, correlation: u8) -> [u8; 12] {
    [0, 0, 0, 8, 0, key, 0, 5, 0, 0, 0, correlation]
}

/// Sends a request and returns the number in its answer, or how the connection ended.
fn ask(stream: &mut TcpStream, key: u8, correlation: u8) -> Result<u8, ErrorKind> {
    stream.write_all(&request(key, correlation)).map_err(|error| error.kind())?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).map_err(|error| error.kind())?;
    Ok(answer[7])
}

#[test]
fn nth_answer_is_lost_though_the_server_had_the_request() {
    let (port, seen) = broker();
    let proxy = proxy(Protocol::Kafka, port);
    let mut stream = connect(&proxy);
    proxy.cut_answer(Request::KAFKA_END_TXN, 2);
    assert_eq!(ask(&mut stream, 26, 1), Ok(1));
    assert_eq!(ask(&mut stream, 24, 2), Ok(2));
    assert_eq!(proxy.n_cut(), 0);
    assert_eq!(ask(&mut stream, 26, 3), Err(ErrorKind::ConnectionReset));
    assert!(proxy.wait_for_cut(1, LONG));
    let had: Vec<Vec<u8>> = (0..3).map(|_| seen.recv_timeout(LONG).unwrap()).collect();
    assert_eq!(had[2], request(26, 3));
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, 26, 4), Ok(4), "a cut happens once");
    assert_eq!(proxy.n_cut(), 1);
}

#[test]
fn rule_that_nothing_meets_never_fires() {
    let (port, _seen) = broker();
    let proxy = proxy(Protocol::Kafka, port);
    proxy.cut_answer(Request::KAFKA_END_TXN, 1);
    let mut stream = connect(&proxy);
    (1..100).for_each(|idx| assert_eq!(ask(&mut stream, 24, idx), Ok(idx)));
    assert_eq!(proxy.n_cut(), 0);
    assert!(!proxy.wait_for_cut(1, Duration::from_millis(1)));
    proxy.cut_nothing();
    assert_eq!(ask(&mut stream, 26, 100), Ok(100));
}

#[test]
fn answer_to_an_earlier_request_is_not_taken_for_the_lost_one() {
    let (port, seen) = broker();
    let proxy = proxy(Protocol::Kafka, port);
    proxy.pause(Direction::ToClient);
    proxy.cut_answer(Request::KAFKA_END_TXN, 1);
    let mut stream = connect(&proxy);
    stream.write_all(&[request(0, 1), request(26, 2), request(0, 3)].concat()).unwrap();
    assert_eq!(seen.recv_timeout(LONG).unwrap(), request(0, 1));
    assert_eq!(seen.recv_timeout(LONG).unwrap(), request(26, 2));
    proxy.resume(Direction::ToClient);
    assert!(proxy.wait_for_cut(1, LONG));
    assert!(seen.recv_timeout(SHORT).is_err(), "what follows the cut must not reach the server");
}

#[test]
fn committed_answer_is_lost_and_a_rolled_back_one_is_not_counted() {
    fn check(answer: fn(&[u8]) -> Vec<u8>, n_cut: u64) {
        let (port, seen) = server::<20>(answer);
        let proxy = proxy(Protocol::Postgres, port);
        proxy.cut_answer(Request::PostgresCommit, 1);
        let mut stream = connect(&proxy);
        stream.write_all(b"\0\0\0\x08\0\x03\0\0Q\0\0\0\x0bCOMMIT\0").unwrap();
        let error = stream.read_exact(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(seen.recv_timeout(LONG).unwrap().ends_with(b"COMMIT\0"));
        assert_eq!(proxy.n_cut(), n_cut);
    }
    check(|_| b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I".to_vec(), 1);
    check(|_| b"C\0\0\0\x0dROLLBACK\0Z\0\0\0\x05I".to_vec(), 0);
}

#[test]
fn paused_direction_holds_back_and_flows_again() {
    let (port, seen) = broker();
    let proxy = proxy(Protocol::Kafka, port);
    let mut stream = connect(&proxy);
    stream.set_read_timeout(Some(SHORT)).unwrap();
    proxy.pause(Direction::ToClient);
    assert_eq!(ask(&mut stream, 0, 1), Err(ErrorKind::WouldBlock));
    assert_eq!(seen.recv_timeout(LONG).unwrap(), request(0, 1));
    proxy.resume(Direction::ToClient);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.read_exact(&mut [0; 8]).unwrap();
    proxy.pause(Direction::ToServer);
    stream.write_all(&request(0, 2)).unwrap();
    assert!(seen.recv_timeout(SHORT).is_err());
    proxy.resume(Direction::ToServer);
    assert_eq!(seen.recv_timeout(LONG).unwrap(), request(0, 2));
}

#[test]
fn held_back_answers_are_lost_by_a_reset() {
    let (port, seen) = broker();
    let proxy = proxy(Protocol::Kafka, port);
    let mut stream = connect(&proxy);
    proxy.pause(Direction::ToClient);
    stream.write_all(&request(0, 1)).unwrap();
    assert_eq!(seen.recv_timeout(LONG).unwrap(), request(0, 1));
    proxy.reset();
    assert_eq!(stream.read_exact(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    proxy.resume(Direction::ToClient);
    assert_eq!(ask(&mut connect(&proxy), 0, 2), Ok(2));
}

#[test]
fn client_sees_that_nobody_listens_behind() {
    let proxy = Proxy::start(Protocol::Kafka).unwrap();
    assert!(ask(&mut connect(&proxy), 0, 1).is_err());
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    proxy.forward_to(closed);
    assert!(ask(&mut connect(&proxy), 0, 1).is_err());
}

#[test]
fn dropped_proxy_resets_its_connections_and_frees_its_port() {
    let (port, _seen) = broker();
    let proxy = proxy(Protocol::Kafka, port);
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, 0, 1), Ok(1));
    let own = proxy.port();
    drop(proxy);
    assert!(ask(&mut stream, 0, 2).is_err());
    TcpListener::bind(("127.0.0.1", own)).unwrap();
}
