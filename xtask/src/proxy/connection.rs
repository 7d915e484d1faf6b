//! One connection through the proxy: two threads, each copying one way.

use crate::proxy::frame::{Frame, Frames};
use crate::proxy::{Direction, Protocol, Shared};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const CHUNK_BYTES: usize = 64 * 1024;

/// A client that does not read must not keep a thread for ever.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// PostgreSQL's word that it committed, and its word that it waits for the next query.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
const READY: &[u8] = b"Z\0\0\0\x05";

/// Both ends of a connection.
pub(crate) struct Connection {
    client: TcpStream,
    server: TcpStream,
    is_reset: AtomicBool,
    /// Once set, nothing more reaches the client; the connection is reset as soon as this answer has come.
    lost: Mutex<Option<Lost>>,
}

/// The answer to lose.
enum Lost {
    Correlation([u8; 4]),
    /// What the server has sent since.
    Commit(Vec<u8>),
}

impl Connection {
    pub(crate) fn new(client: TcpStream, server: TcpStream) -> Self {
        for end in [&client, &server] {
            // Both fail on a dead connection only, which the first read will tell.
            let _set = end.set_nodelay(true);
            let _set = end.set_write_timeout(Some(WRITE_MAX));
        }
        Self { client, server, is_reset: AtomicBool::new(false), lost: Mutex::new(None) }
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.is_reset.load(Ordering::SeqCst)
    }

    /// Ends both threads; who talked through them gets a reset, not an orderly end.
    pub(crate) fn reset(&self) {
        self.is_reset.store(true, Ordering::SeqCst);
        abandon(&self.client);
        abandon(&self.server);
    }
}

/// Makes the coming close a reset, and ends reading at once.
pub(crate) fn abandon(stream: &TcpStream) {
    // Both fail on a dead connection only.
    let _set = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _shut = stream.shutdown(Shutdown::Read);
}

/// Starts the two threads of a connection.
pub(crate) fn serve(connection: Arc<Connection>, shared: &Arc<Shared>) {
    let (answers, theirs) = (Arc::clone(&connection), Arc::clone(shared));
    thread::spawn(move || {
        copy_answers(&answers, &theirs);
        if !answers.is_reset() {
            let _shut = answers.client.shutdown(Shutdown::Write);
        }
        theirs.forget(&answers);
    });
    let theirs = Arc::clone(shared);
    thread::spawn(move || {
        copy_requests(&connection, &theirs);
        if !connection.is_reset() {
            let _shut = connection.server.shutdown(Shutdown::Write);
        }
    });
}

fn copy_requests(connection: &Connection, shared: &Shared) {
    let mut frames = Frames::new(shared.protocol);
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Some(chunk) = read(&connection.client, &mut buffer) {
        shared.wait_while_paused(Direction::ToServer, connection);
        let mut n_passed = 0;
        while let Some(frame) = frames.next(&chunk[n_passed..]) {
            n_passed += frame.end;
            if shared.is_to_cut(|request| frame.is(request)) {
                // Before the request goes out, so that no answer can be quicker.
                *connection.lost.lock().unwrap_or_else(PoisonError::into_inner) =
                    lost(shared.protocol, &frame);
                let _written = write(&connection.server, &chunk[..n_passed], connection);
                return wait_for_reset(connection);
            }
        }
        if !write(&connection.server, chunk, connection) {
            return;
        }
    }
}

fn lost(protocol: Protocol, frame: &Frame) -> Option<Lost> {
    match protocol {
        Protocol::Postgres => Some(Lost::Commit(Vec::new())),
        Protocol::Kafka => frame.correlation_of_request().map(Lost::Correlation),
    }
}

/// What a client sends after the request whose answer is lost goes nowhere.
fn wait_for_reset(connection: &Connection) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while read(&connection.client, &mut buffer).is_some() {}
}

fn copy_answers(connection: &Connection, shared: &Shared) {
    let mut frames = Frames::new(shared.protocol);
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Some(chunk) = read(&connection.server, &mut buffer) {
        let answered = answers(&mut frames, shared.protocol, chunk);
        shared.wait_while_paused(Direction::ToClient, connection);
        let mut lost = connection.lost.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *lost {
            None => {
                drop(lost);
                if !write(&connection.client, chunk, connection) {
                    return;
                }
            }
            Some(Lost::Correlation(awaited)) if answered.contains(awaited) => {
                shared.count_cut();
                return connection.reset();
            }
            Some(Lost::Correlation(_)) => {}
            Some(Lost::Commit(said)) => {
                said.extend(chunk);
                if holds(said, COMMITTED) {
                    shared.count_cut();
                }
                // A transaction that failed before is rolled back by COMMIT: nothing was lost, but all is over.
                if holds(said, COMMITTED) || holds(said, READY) {
                    return connection.reset();
                }
            }
        }
    }
    // The server went first: no answer will come.
    if connection.lost.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
        connection.reset();
    }
}

/// Returns which requests are answered by the answers that end in a chunk.
fn answers(frames: &mut Frames, protocol: Protocol, mut chunk: &[u8]) -> Vec<[u8; 4]> {
    let mut answered = Vec::new();
    if protocol == Protocol::Kafka {
        while let Some(frame) = frames.next(chunk) {
            chunk = &chunk[frame.end..];
            answered.extend(frame.correlation_of_answer());
        }
    }
    answered
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Returns what came, or nothing at the end.
fn read<'a>(mut from: &TcpStream, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    match from.read(buffer) {
        Ok(0) | Err(_) => None,
        Ok(n_read) => Some(&buffer[..n_read]),
    }
}

/// Returns whether all was written to a connection that still counts.
fn write(mut to: &TcpStream, chunk: &[u8], connection: &Connection) -> bool {
    !connection.is_reset() && to.write_all(chunk).is_ok()
}
