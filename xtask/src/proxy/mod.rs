//! A TCP proxy that loses answers: a request reaches the server, its answer does not reach the client, and the
//! connection is reset. Whoever asked cannot know whether the effect happened.

mod connection;
mod frame;

use crate::proxy::connection::Connection;
use crate::services::port::free_port;
use anyhow::{Context, Result};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const STARTS: u32 = 3;
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What travels through a proxy. Both without TLS: the proxy must see where a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's, version 3.
    Postgres,
    /// Apache Kafka's.
    Kafka,
}

/// A request whose answer can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `COMMIT` as a simple query. Its answer counts only if the server committed.
    PostgresCommit,
    /// A request with this API key.
    Kafka(i16),
}

impl Request {
    /// The end of a transaction of a Kafka producer, commit or abort.
    pub const KAFKA_END_TXN: Self = Self::Kafka(26);
}

/// A way through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToServer,
    /// Answers.
    ToClient,
}

/// A proxy on a port of loopback. When dropped, it resets its connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What all threads of a proxy see.
struct Shared {
    protocol: Protocol,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    target: Option<u16>,
    is_closed: bool,
    paused_to_server: bool,
    paused_to_client: bool,
    delay: Duration,
    cut: Option<Cut>,
    n_cut: u64,
    connections: Vec<Arc<Connection>>,
}

/// The next answer to lose.
#[derive(Clone, Copy)]
struct Cut {
    request: Request,
    /// How many such requests pass before.
    n_before: u64,
}

impl Proxy {
    /// Listens on a free port. Until it is told where to forward to, it resets what connects.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(protocol: Protocol) -> Result<Self> {
        let (port, listener) = listen()?;
        let shared =
            Arc::new(Shared { protocol, state: Mutex::new(State::default()), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let accepting = Some(thread::spawn(move || accept(&listener, &theirs)));
        Ok(Self { port, shared, accepting })
    }

    /// Returns the port that clients use.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Forwards new connections to a port of loopback.
    pub fn forward_to(&self, port: u16) {
        self.shared.state().target = Some(port);
    }

    /// Loses the answer to the `nth` such request from now on, counted from 1 over all connections, once.
    pub fn cut_answer(&self, request: Request, nth: u64) {
        self.shared.state().cut = Some(Cut { request, n_before: nth.saturating_sub(1) });
    }

    /// Lets all answers pass again, if the one to lose has not been asked for yet.
    pub fn cut_nothing(&self) {
        self.shared.state().cut = None;
    }

    /// Returns how many answers were lost: the server sent them, the client did not get them.
    pub fn n_cut(&self) -> u64 {
        self.shared.state().n_cut
    }

    /// Waits until at least so many answers were lost; returns whether that came true in time.
    pub fn wait_for_cut(&self, n_cut: u64, within: Duration) -> bool {
        let state = self.shared.state();
        let waited = self.shared.changed.wait_timeout_while(state, within, |state| state.n_cut < n_cut);
        waited.unwrap_or_else(PoisonError::into_inner).0.n_cut >= n_cut
    }

    /// Holds one direction of all connections back, until resumed; with a reset in between, what is held is lost.
    pub fn pause(&self, direction: Direction) {
        self.set_paused(direction, true);
    }

    /// Lets a direction flow again, with what was held back.
    pub fn resume(&self, direction: Direction) {
        self.set_paused(direction, false);
    }

    /// Holds each piece that comes either way back for a time; zero is none.
    pub fn slow(&self, delay: Duration) {
        self.shared.state().delay = delay;
    }

    /// Resets all connections.
    pub fn reset(&self) {
        // Under the lock: who is about to wait while paused must see it.
        let mut state = self.shared.state();
        state.connections.drain(..).for_each(|connection| connection.reset());
        drop(state);
        self.shared.changed.notify_all();
    }

    fn set_paused(&self, direction: Direction, is_paused: bool) {
        let mut state = self.shared.state();
        match direction {
            Direction::ToServer => state.paused_to_server = is_paused,
            Direction::ToClient => state.paused_to_client = is_paused,
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().is_closed = true;
        self.reset();
        // Whoever waits for a connection is given one. If that fails, it ends with the process.
        if TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            let _ended = accepting.join();
        }
    }
}

impl Shared {
    /// Every change to the state is one assignment: a panic elsewhere leaves it whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while a direction is held back and the connection lives, and for as long as each piece is.
    fn wait_while_paused(&self, direction: Direction, connection: &Connection) {
        let delay = self.state().delay;
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        let is_paused = |state: &mut State| {
            let paused = match direction {
                Direction::ToServer => state.paused_to_server,
                Direction::ToClient => state.paused_to_client,
            };
            paused && !connection.is_reset()
        };
        drop(self.changed.wait_while(self.state(), is_paused).unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts a request down; returns whether its answer is the one to lose.
    fn is_to_cut(&self, is_request: impl Fn(Request) -> bool) -> bool {
        let mut state = self.state();
        let Some(cut) = &mut state.cut else { return false };
        if !is_request(cut.request) {
            return false;
        }
        if cut.n_before > 0 {
            cut.n_before -= 1;
            return false;
        }
        state.cut = None;
        true
    }

    fn count_cut(&self) {
        self.state().n_cut += 1;
        self.changed.notify_all();
    }

    fn forget(&self, connection: &Arc<Connection>) {
        self.state().connections.retain(|known| !Arc::ptr_eq(known, connection));
        self.changed.notify_all();
    }
}

fn listen() -> Result<(u16, TcpListener)> {
    for _ in 1..STARTS {
        let port = free_port()?;
        match TcpListener::bind(("127.0.0.1", port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return Ok((port, bound.context("the proxy cannot listen")?)),
        }
    }
    let port = free_port()?;
    Ok((port, TcpListener::bind(("127.0.0.1", port)).context("the proxy cannot listen")?))
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let target = {
            let state = shared.state();
            if state.is_closed {
                return;
            }
            state.target
        };
        // A client that is gone already, or a server that is: the client sees its connection end.
        let Ok(client) = client else { continue };
        let server = target
            .map(|port| TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), CONNECT_MAX));
        let Some(Ok(server)) = server else {
            connection::abandon(&client);
            continue;
        };
        let connection = Arc::new(Connection::new(client, server));
        let mut state = shared.state();
        if state.is_closed {
            connection.reset();
            return;
        }
        state.connections.push(Arc::clone(&connection));
        drop(state);
        connection::serve(connection, shared);
    }
}

#[cfg(test)]
mod tests;
