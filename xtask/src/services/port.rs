//! Finds a port for a server.

use anyhow::{Result, bail};
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::ops::Range;

/// Below the ports that the kernel gives to outgoing connections: a client that reconnects while its server is down
/// could else be given the server's own port, connect to itself, and keep the server from coming back.
const PORTS: Range<u16> = 15_000..30_000;

const TRIES: u32 = 200;

/// Returns a port of loopback that was free a moment ago; who takes it must be ready to ask again.
///
/// # Errors
/// None of many tried ports is free.
pub(crate) fn free_port() -> Result<u16> {
    let random = RandomState::new();
    let span = u64::from(PORTS.end - PORTS.start);
    for idx in 0..TRIES {
        let step = u16::try_from(random.hash_one(idx) % span).expect("a remainder of a u16");
        if TcpListener::bind(("127.0.0.1", PORTS.start + step)).is_ok() {
            return Ok(PORTS.start + step);
        }
    }
    bail!("no free port found between {} and {}; does 127.0.0.1 answer?", PORTS.start, PORTS.end)
}

#[cfg(test)]
mod tests {
    use super::{PORTS, free_port};
    use std::net::TcpListener;

    #[test]
    fn port_can_be_bound_and_two_calls_differ() {
        let held = TcpListener::bind(("127.0.0.1", free_port().unwrap())).unwrap();
        let other = free_port().unwrap();
        assert!(PORTS.contains(&other));
        assert_ne!(held.local_addr().unwrap().port(), other);
    }
}
