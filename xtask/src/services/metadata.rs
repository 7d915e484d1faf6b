//! Asks a broker for metadata, without a client: the answer says that it serves.

use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const WAIT_MAX: Duration = Duration::from_secs(2);

/// Metadata (3), version 1, correlation 7, no client id, no topics.
/// <https://kafka.apache.org/protocol.html#The_Messages_Metadata>
const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0];

/// Returns whether the broker at a port of loopback answers, and knows itself to be a member of its cluster.
pub(crate) fn broker_answers(port: u16) -> bool {
    n_brokers(port).is_ok_and(|n_brokers| n_brokers > 0)
}

fn n_brokers(port: u16) -> Result<i32> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), WAIT_MAX)?;
    stream.set_read_timeout(Some(WAIT_MAX))?;
    stream.write_all(&REQUEST)?;
    // Size, correlation, number of brokers; their addresses are not of interest.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let is_ours = head[4..8] == REQUEST[8..12];
    let n_brokers = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    Ok(if is_ours { n_brokers } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::broker_answers;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    fn check(answer: &'static [u8], expected: bool) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 18];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer).unwrap();
        });
        assert_eq!(broker_answers(port), expected);
        server.join().unwrap();
    }

    #[test]
    fn only_an_answer_that_names_a_broker_counts() {
        check(&[0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 1], true);
        check(&[0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 0], false);
        check(&[0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 1], false);
        check(b"HTTP/1.1", false);
        check(&[], false);
    }
}
