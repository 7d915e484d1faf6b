//! Readers: one for each place where somebody reads on, on a few clients shared by all partitions.

use crate::answer::Failed;
use crate::properties::{Properties, Quiet, Reading, reading, serve};
use crate::raw::{self, Partition, Polled};
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use seamline_flow::log::Incoming;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as Shared, OwnedMutexGuard};

/// Clients that read: how many readers one partition can have at different places.
const CLIENTS_MAX: usize = 4;
/// A reader that nobody used for so long is closed.
const UNUSED: Duration = Duration::from_secs(60);
/// A reader that nobody used for so long is taken for another place of its partition first.
const QUIET: Duration = Duration::from_secs(5);
/// How long until it is asked again who leads a partition.
const LEADER: Duration = Duration::from_millis(50);
/// How long in all, before whoever waits is told.
const LED: Duration = Duration::from_secs(3);
/// How many records are taken from a client in one go: the runtime is held for less than a millisecond.
const GO: usize = 256;
/// How many bytes of records one read returns before it is enough.
const BYTES_MAX: usize = 8 << 20;

/// The partition of one very topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The topic's id.
    pub(crate) id: String,
    /// The topic's name.
    pub(crate) topic: String,
    /// The partition.
    pub(crate) partition: u32,
}

impl Place {
    fn key(&self) -> (String, u32) {
        (self.topic.clone(), self.partition)
    }
}

/// Somebody's place in a partition.
pub(crate) struct Reader {
    partition: Option<Partition>,
    /// Taken from the client, not handed over.
    pending: VecDeque<Incoming>,
    /// The bytes of their values.
    bytes: usize,
    /// Where the next read begins.
    at: u64,
    /// Where the last read began.
    last: u64,
    /// Behind all that was taken.
    examined: u64,
    /// The end as the broker said it last: when the reader was made, or when the client reached it.
    end: u64,
    ended: bool,
    /// The offset at which the client last said that it reached the end.
    told_end: Option<u64>,
    start: u64,
    used: Instant,
}

/// What a read takes along.
pub(crate) struct Taken {
    pub(crate) records: Vec<Incoming>,
    pub(crate) next: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Why a reader is of no more use.
#[derive(Debug)]
pub(crate) enum Lost {
    /// Ask the broker anew where the partition begins and ends, and whether it is there.
    Gone(RDKafkaErrorCode),
    /// The broker says no.
    Failed(Failed),
}

/// Nothing came of a partition although there is more.
#[derive(Debug, thiserror::Error)]
#[error("`{topic}` partition {partition} cannot be read: {code}")]
pub(crate) struct Unreadable {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) code: RDKafkaErrorCode,
}

impl Reader {
    /// Takes what the client has, at most `limit` records with what is pending. Never waits.
    pub(crate) fn take_in(&mut self, limit: usize) -> Result<(), Lost> {
        let Some(partition) = &mut self.partition else {
            return Err(Lost::Gone(RDKafkaErrorCode::UnknownPartition));
        };
        let room = limit.saturating_sub(self.pending.len()).min(GO);
        if room == 0 {
            return Ok(());
        }
        for polled in partition.poll(room).map_err(Lost::Failed)? {
            match polled {
                Polled::Record(record) if record.offset >= self.examined => {
                    self.examined = record.offset + 1;
                    self.ended = false;
                    self.bytes += value_bytes(&record);
                    self.pending.push_back(record);
                }
                // A batch begins before the offset asked for.
                Polled::Record(_) => {}
                Polled::End(offset) => {
                    self.examined = self.examined.max(offset);
                    self.told_end = Some(offset);
                    (self.end, self.ended) = (self.examined, true);
                }
                Polled::Failed(code) => return Err(Lost::Gone(code)),
            }
        }
        // The client takes its own word that the end was reached for a message at that offset: only what is behind it is
        // the place of a record or a marker.
        let told = |position: &u64| self.told_end.is_none_or(|end| *position > end + 1);
        let position = partition.position().filter(told);
        if let Some(position) = position.filter(|position| *position > self.examined) {
            self.examined = position;
            self.ended = false;
        }
        Ok(())
    }

    /// Returns whether more is worth taking before a read returns.
    pub(crate) fn wants(&self, limit: usize, before: usize) -> bool {
        let grew = self.pending.len() > before;
        grew && self.pending.len() < limit && self.bytes < BYTES_MAX
    }

    /// Returns whether many records are pending and more are surely to come: whoever is far behind gains by larger reads.
    pub(crate) fn is_catching_up(&self, limit: usize) -> bool {
        let many = (GO..limit).contains(&self.pending.len()) && self.bytes < BYTES_MAX;
        let high = || self.partition.as_ref().and_then(|partition| partition.watermarks().1);
        many && !self.ended && high().is_some_and(|high| high > self.examined + GO as u64)
    }

    /// Returns how many records are pending.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns whether a read has something to say: records, a later offset, or that this is the end.
    pub(crate) fn has_news(&self, known: u64) -> bool {
        !self.pending.is_empty() || self.examined > self.at || self.examined >= self.end_now(known)
    }

    fn end_now(&self, known: u64) -> u64 {
        let known = self.end.max(self.examined).max(known);
        if self.ended || self.examined < self.end {
            return known;
        }
        // Behind the end known so far and before the next that the broker tells: at most the high watermark.
        let high = self.partition.as_ref().and_then(|partition| partition.watermarks().1);
        high.map_or(known, |high| known.max(high))
    }

    /// Hands over at most `limit` records.
    pub(crate) fn hand_over(&mut self, limit: usize, known: u64) -> Taken {
        let count = limit.min(self.pending.len());
        let records: Vec<Incoming> = self.pending.drain(..count).collect();
        self.bytes -= records.iter().map(value_bytes).sum::<usize>();
        let next = match (self.pending.is_empty(), records.last()) {
            (false, Some(last)) => last.offset + 1,
            (false, None) => self.at,
            (true, _) => self.examined,
        };
        (self.last, self.at, self.used) = (self.at, next, Instant::now());
        let low = self.partition.as_ref().and_then(|partition| partition.watermarks().0);
        self.start = self.start.max(low.unwrap_or(0)).min(next);
        Taken { records, next, start: self.start, end: self.end_now(known).max(next) }
    }
}

fn value_bytes(record: &Incoming) -> usize {
    record.value.as_ref().map_or(0, Vec::len)
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(partition) = self.partition.take() else { return };
        // Stopping waits for the client's own thread.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(partition))),
            Err(_) => drop(partition),
        }
    }
}

/// Returns the oldest offset and the end. A partition that was made a moment ago, or moves, has no leader yet. Blocks at most about twice
/// `patience`.
pub(crate) fn offsets(
    client: &Client<Quiet>,
    place: &Place,
    patience: Duration,
) -> Result<(u64, u64), Failed> {
    let until = Instant::now() + LED;
    loop {
        match raw::offsets(client, &place.topic, place.partition, patience) {
            Err(failed) if awaits_leader(failed.code) && Instant::now() < until => {
                std::thread::sleep(LEADER);
            }
            answer => return answer,
        }
    }
}

fn awaits_leader(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::ReplicaNotAvailable
            | Code::OffsetNotAvailable
            // What the client knows of the leader, or what the broker knows of itself, is a moment old.
            | Code::UnknownLeaderEpoch
            | Code::FencedLeaderEpoch
    )
}

/// A reader, on which client, of which topic id.
struct Seat {
    client: usize,
    id: String,
    reader: Arc<Shared<Reader>>,
}

/// By name and partition: a client knows topics by their names, also one made anew.
type Seats = BTreeMap<(String, u32), Vec<Seat>>;

/// All readers.
pub(crate) struct Readers {
    properties: Properties,
    clients: Mutex<Vec<Arc<Reading>>>,
    seats: Mutex<Seats>,
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readers {
    /// Makes no reader yet.
    pub(crate) fn new(properties: Properties) -> Readers {
        Readers { properties, clients: Mutex::default(), seats: Mutex::default() }
    }

    /// Returns the reader that goes on at an offset.
    pub(crate) fn find(&self, place: &Place, at: u64) -> Option<OwnedMutexGuard<Reader>> {
        let seats = locked(&self.seats);
        let of = seats.get(&place.key())?.iter().filter(|seat| seat.id == place.id);
        of.filter_map(|seat| Arc::clone(&seat.reader).try_lock_owned().ok()).find(|reader| reader.at == at)
    }

    /// Makes a reader at an offset, in place of one that is no longer needed where there is one. Blocks for a moment.
    pub(crate) fn make(
        &self,
        place: &Place,
        at: u64,
        start: u64,
        end: u64,
    ) -> Result<OwnedMutexGuard<Reader>, Lost> {
        // Invariant: a client reads a partition once. Seats are locked until the new reader has its own.
        let mut seats = locked(&self.seats);
        let taken = seats.entry(place.key()).or_default();
        let client_idx = seat(taken, place, at)?;
        let client = self.client(client_idx).map_err(|error| {
            tracing::warn!(%error, "a client that reads could not be made");
            Lost::Gone(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))
        })?;
        let partition = Partition::start(client, &place.topic, place.partition, at).map_err(Lost::Failed)?;
        let reader = Reader {
            partition: Some(partition),
            pending: VecDeque::new(),
            bytes: 0,
            at,
            last: u64::MAX,
            examined: at,
            end,
            ended: false,
            told_end: None,
            start,
            used: Instant::now(),
        };
        let reader = Arc::new(Shared::new(reader));
        let guard = Arc::clone(&reader).try_lock_owned().expect("nobody else has it yet");
        taken.push(Seat { client: client_idx, id: place.id.clone(), reader });
        Ok(guard)
    }

    fn client(&self, idx: usize) -> Result<Arc<Reading>, KafkaError> {
        let mut clients = locked(&self.clients);
        while clients.len() <= idx {
            let client = reading(&self.properties)?;
            serve(&client);
            clients.push(Arc::new(client));
        }
        Ok(Arc::clone(&clients[idx]))
    }

    /// Ends the readers of a topic's other ids than this. Blocks for a moment.
    pub(crate) fn close_others(&self, topic: &str, id: Option<&str>) {
        for ((name, _), readers) in locked(&self.seats).iter_mut() {
            if name == topic {
                // Who is busy with one of them ends it: it asks again before it hands anything over.
                readers.retain(|seat| Some(seat.id.as_str()) == id || !stopped(seat));
            }
        }
    }

    /// Ends one reader. Blocks for a moment.
    pub(crate) fn end(&self, place: &Place, mut reader: OwnedMutexGuard<Reader>) {
        let mut seats = locked(&self.seats);
        drop(reader.partition.take());
        drop(reader);
        if let Some(readers) = seats.get_mut(&place.key()) {
            let ended = |seat: &Seat| seat.reader.try_lock().is_ok_and(|reader| reader.partition.is_none());
            readers.retain(|seat| !ended(seat));
        }
    }

    /// Ends readers that nobody uses, and serves the clients. Returns the topics that are read. Blocks for a moment.
    pub(crate) fn tidy(&self) -> Vec<String> {
        for client in locked(&self.clients).iter() {
            serve(client);
        }
        let mut seats = locked(&self.seats);
        for readers in seats.values_mut() {
            let unused = |reader: &Reader| reader.used.elapsed() > UNUSED;
            readers.retain(|seat| {
                !(seat.reader.try_lock().is_ok_and(|reader| unused(&reader)) && stopped(seat))
            });
        }
        seats.retain(|_, readers| !readers.is_empty());
        let mut topics: Vec<String> = seats.keys().map(|(topic, _)| topic.clone()).collect();
        topics.dedup();
        topics
    }
}

/// Stops a reader unless somebody uses it. Returns whether it is stopped.
fn stopped(seat: &Seat) -> bool {
    seat.reader.try_lock().is_ok_and(|mut reader| {
        drop(reader.partition.take());
        true
    })
}

/// Chooses a client that does not read the partition, if need be by ending the reader used least lately.
fn seat(taken: &mut Vec<Seat>, place: &Place, at: u64) -> Result<usize, Lost> {
    let mut oldest: Option<(bool, Instant, usize)> = None;
    for (idx, seat) in taken.iter().enumerate() {
        let Ok(reader) = seat.reader.try_lock() else { continue };
        let needed = seat.id == place.id && reader.last != at && reader.used.elapsed() <= QUIET;
        let candidate = (needed, reader.used, idx);
        oldest = Some(oldest.map_or(candidate, |oldest| oldest.min(candidate)));
    }
    let free = (0..CLIENTS_MAX).find(|client| taken.iter().all(|seat| seat.client != *client));
    match (oldest, free) {
        (Some((false, _, idx)), _) | (Some((true, _, idx)), None) => {
            let seat = taken.remove(idx);
            stopped(&seat);
            Ok(seat.client)
        }
        (_, Some(client)) => Ok(client),
        (None, None) => Err(Lost::Gone(RDKafkaErrorCode::Conflict)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_whose_client_said_end_waits_for_a_later_end_that_is_known() {
        let mut reader = Reader {
            partition: None,
            pending: VecDeque::new(),
            bytes: 0,
            at: 716,
            last: 700,
            examined: 716,
            end: 716,
            ended: true,
            told_end: Some(716),
            start: 0,
            used: Instant::now(),
        };
        assert!(reader.has_news(0), "at the end as it knows it, it answers at once");
        assert!(!reader.has_news(723), "before an end that others know, it waits");
        let taken = reader.hand_over(10, 723);
        assert_eq!((taken.records.len(), taken.next, taken.end), (0, 716, 723));
    }
}
