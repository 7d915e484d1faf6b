//! The auditor that is always on: follows a topic, keeps what it holds by key, and tells the sums of points to whoever reads the topic.

pub mod keep;
pub mod publish;
mod raise;
mod read;
mod sum;

use crate::audit::keep::{AuditTaken, AuditWrite, Audits, Part};
use crate::audit::publish::{Published, producer_name, record};
use crate::auditor::Audit;
use crate::case::NewCase;
use crate::clock::Clock;
use crate::digest_key;
use crate::hold::DigestEpoch;
use crate::log::{Appended, Fence, Log};
use crate::outlet::{OutChannel, Outlet};
use crate::points::{Point, Points, Unknown, is_near, passed};
use crate::port::PortError;
use crate::position::{Position, TopicIdentity};
use crate::source::Source;
use crate::store::Committed;
use jiff::Timestamp;
use seamline_contract::channel::ChannelKind;
use seamline_message::key::RecordKey;
use seamline_message::sums::Sums;
use std::collections::BTreeSet;
use std::time::Duration;

/// The shortest time between two points of a partition.
pub const TOLD_EVERY: Duration = Duration::from_secs(1);

/// A point is told again after this time, though nothing came: it shows that somebody watches.
pub const TOLD_AGAIN: Duration = Duration::from_secs(10);

/// How often one looks whether the digest key is another.
pub const KEY_LOOKED_AT: Duration = Duration::from_secs(20);

/// The ports of an auditor, and on whose behalf they are used.
#[derive(Debug)]
pub struct AuditPorts<'a, S, L, C> {
    /// The producer's database.
    pub database: &'a S,
    /// The log.
    pub log: &'a L,
    /// The clock.
    pub clock: &'a C,
    /// Who takes the audit.
    pub holder: &'a str,
    /// How long it stays taken without a write.
    pub ttl: Duration,
}

impl<S, L, C> Clone for AuditPorts<'_, S, L, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, L, C> Copy for AuditPorts<'_, S, L, C> {}

/// The auditor of one topic.
#[derive(Debug)]
pub struct Auditor<'a, S, L, C> {
    ports: AuditPorts<'a, S, L, C>,
    outlet: &'a Outlet,
    channel: &'a OutChannel,
    held: Option<Held>,
}

/// A topic as long as its audit is ours.
#[derive(Debug)]
struct Held {
    topic: TopicIdentity,
    digest: DigestEpoch,
    epoch: u64,
    written: Timestamp,
    key_looked_at: Timestamp,
    tracks: Vec<Track>,
    /// The track that is read first by the next step.
    next: usize,
    fence: Option<Fence>,
    /// What was found since it was taken.
    found: Audit,
    /// Keys whose last record is not their highest.
    late: BTreeSet<RecordKey>,
    /// How much was found when it was told last.
    told: usize,
}

/// One partition.
#[derive(Debug)]
struct Track {
    part: Part,
    points: Points,
    /// The end of the log when it was read last.
    end: u64,
    /// The last point that was told, and when.
    told: Option<(u64, Timestamp)>,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audited {
    /// Records were read, or points told.
    Moved {
        /// Records.
        records: u64,
        /// Points.
        points: u64,
    },
    /// There was nothing to do.
    Idle,
    /// Another holds it.
    Busy {
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// The topic, or its digest key, is not there yet.
    NoTopic,
    /// The topic with the points takes none.
    Refused(String),
}

impl<'a, S: Source + Audits, L: Log, C: Clock> Auditor<'a, S, L, C> {
    /// Returns the auditor of a topic, not taken yet.
    pub fn new(ports: AuditPorts<'a, S, L, C>, outlet: &'a Outlet, channel: &'a OutChannel) -> Self {
        Auditor { ports, outlet, channel, held: None }
    }

    /// Returns the topic.
    pub fn topic(&self) -> &'a str {
        &self.channel.topic
    }

    /// Returns whether the audit is ours.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Returns how many offsets it is behind the log, and the oldest moment at which a partition was told of; none while it is not ours.
    pub fn lag(&self) -> Option<u64> {
        let held = self.held.as_ref()?;
        Some(held.tracks.iter().map(|track| track.end.saturating_sub(track.part.position.offset)).sum())
    }

    /// Takes the audit where it is not ours, reads its partitions one batch further, and tells the points that are due.
    ///
    /// # Errors
    /// The ports'. It is safe to go on.
    pub async fn step(&mut self) -> Result<Audited, PortError> {
        if self.held.is_none()
            && let Some(instead) = self.take().await?
        {
            return Ok(instead);
        }
        if !self.is_of_today().await? {
            self.held = None;
            return Ok(Audited::Idle);
        }
        let Some(records) = self.read().await? else { return Ok(Audited::Idle) };
        self.renew().await?;
        if self.held.is_none() {
            return Ok(Audited::Idle);
        }
        Ok(match self.tell().await? {
            Ok(0) if records == 0 => Audited::Idle,
            Ok(points) => Audited::Moved { records, points },
            Err(reason) => Audited::Refused(reason),
        })
    }

    /// Gives the audit back, so that another can take it at once.
    ///
    /// # Errors
    /// The database's; the lease ends by itself then.
    pub async fn give_back(&mut self) -> Result<(), PortError> {
        if self.held.take().is_some() {
            let AuditPorts { database, clock, holder, .. } = self.ports;
            database.audit_take(&self.channel.topic, holder, clock.now(), Duration::ZERO).await?;
        }
        Ok(())
    }

    fn held(&mut self) -> &mut Held {
        self.held.as_mut().expect("it was taken")
    }

    /// Takes the audit. What was kept of another topic of that name, or under another key, goes, and is read anew.
    async fn take(&mut self) -> Result<Option<Audited>, PortError> {
        let AuditPorts { database, log, clock, holder, ttl } = self.ports;
        let name = &self.channel.topic;
        let Some(topic) = log.topic(name).await? else { return Ok(Some(Audited::NoTopic)) };
        let Some((epoch, key)) = digest_key::current(log, name).await? else {
            return Ok(Some(Audited::NoTopic));
        };
        let (digest, now) = (DigestEpoch { epoch, key }, clock.now());
        let grip = match database.audit_take(name, holder, now, ttl).await? {
            AuditTaken::Held(grip) => grip,
            AuditTaken::Busy { until } => return Ok(Some(Audited::Busy { until })),
        };
        let fits = |part: &Part| {
            part.position.is_in(&topic) && part.digest_epoch == epoch && is_near(part.near, now)
        };
        let mut parts = grip.parts;
        // Who was away for long may have missed a deletion that the log forgot since: its sums would never be right again.
        if parts.len() != topic.partitions as usize || !parts.iter().all(fits) {
            parts = Vec::new();
            for partition in 0..topic.partitions {
                let Some((start, _)) = log.ends(&topic, partition).await? else {
                    return Ok(Some(Audited::NoTopic));
                };
                parts.push(first(&topic, partition, start, (epoch, now)));
            }
            let reset = true;
            let write = AuditWrite {
                topic: name.clone(),
                epoch: grip.epoch,
                reset,
                parts: parts.clone(),
                entries: Vec::new(),
            };
            if database.audit_write(&write, now, ttl).await? == Committed::Fenced {
                return Ok(Some(Audited::Busy { until: now }));
            }
        }
        let track =
            |part: Part| Track { end: part.position.offset, part, points: Points::default(), told: None };
        self.held = Some(Held {
            topic,
            digest,
            epoch: grip.epoch,
            written: now,
            key_looked_at: now,
            tracks: parts.into_iter().map(track).collect(),
            next: 0,
            fence: None,
            found: Audit::default(),
            late: BTreeSet::new(),
            told: 0,
        });
        Ok(None)
    }

    /// Returns whether topic and digest key are still those under which it was taken. Looks now and then.
    async fn is_of_today(&mut self) -> Result<bool, PortError> {
        let (log, now) = (self.ports.log, self.ports.clock.now());
        let held = self.held.as_mut().expect("it was taken");
        if is_within(held.key_looked_at, now, KEY_LOOKED_AT) {
            return Ok(true);
        }
        let there = log.topic(&held.topic.name).await?;
        let key = digest_key::current(log, &held.topic.name).await?;
        held.key_looked_at = now;
        Ok(there.as_ref() == Some(&held.topic) && key.is_some_and(|(epoch, _)| epoch == held.digest.epoch))
    }

    /// Empties what is kept, so that it is built anew.
    async fn restart(&mut self) -> Result<Option<u64>, PortError> {
        let write = AuditWrite { reset: true, ..self.write_of() };
        self.write(write).await?;
        self.held = None;
        Ok(None)
    }

    fn write_of(&mut self) -> AuditWrite {
        let (topic, epoch) = (self.channel.topic.clone(), self.held().epoch);
        AuditWrite { topic, epoch, reset: false, parts: Vec::new(), entries: Vec::new() }
    }

    /// Writes under the epoch. Where that is not for sure, it is not ours any more.
    async fn write(&mut self, write: AuditWrite) -> Result<bool, PortError> {
        let now = self.ports.clock.now();
        let answer = self.ports.database.audit_write(&write, now, self.ports.ttl).await;
        match answer {
            Ok(Committed::Done) => {
                self.held().written = now;
                Ok(true)
            }
            Ok(Committed::Fenced) => {
                self.held = None;
                Ok(false)
            }
            Err(error) => {
                self.held = None;
                Err(error)
            }
        }
    }

    async fn renew(&mut self) -> Result<(), PortError> {
        let (now, ttl) = (self.ports.clock.now(), self.ports.ttl);
        if !is_within(self.held().written, now, ttl / 3) {
            let parts = self.held().tracks.iter().map(|track| track.part.clone()).collect();
            let write = AuditWrite { parts, ..self.write_of() };
            self.write(write).await?;
        }
        Ok(())
    }

    /// Tells the points that are due. Returns how many, or why the topic takes none.
    async fn tell(&mut self) -> Result<Result<u64, String>, PortError> {
        if self.channel.id.kind == ChannelKind::Events {
            return Ok(Ok(0));
        }
        let (log, now) = (self.ports.log, self.ports.clock.now());
        let held = self.held.as_mut().expect("it was taken");
        let mut due: Vec<(usize, Published)> = Vec::new();
        for (idx, track) in held.tracks.iter().enumerate() {
            let Some(point) = track.due(now) else { continue };
            let (epoch, topic_id) = (held.digest.epoch, held.topic.id.clone());
            due.push((idx, Published { topic_id, epoch, partition: track.part.position.partition, point }));
        }
        if due.is_empty() {
            return Ok(Ok(0));
        }
        let fence = match held.fence.take() {
            Some(fence) => fence,
            None => log.fence(&producer_name(&held.topic.name)).await?,
        };
        let records = due.iter().map(|(_, published)| record(&held.topic, published)).collect();
        match log.append(&fence, records).await? {
            Appended::Done => {
                held.fence = Some(fence);
                for (idx, published) in &due {
                    held.tracks[*idx].told = Some((published.point.offset, now));
                }
                Ok(Ok(due.len() as u64))
            }
            // Another auditor began: the lease tells which one goes on.
            Appended::Fenced => Ok(Ok(0)),
            Appended::Refused { reason, .. } => Ok(Err(reason)),
        }
    }

    /// Returns the cases of what was found since it was told last.
    ///
    /// # Errors
    /// The source's.
    pub async fn cases(&mut self) -> Result<Vec<NewCase>, PortError> {
        let Some(held) = &mut self.held else { return Ok(Vec::new()) };
        let behind = raise::behind(self.ports.database, self.outlet, self.channel, &mut held.late).await?;
        let found = raise::size(&held.found) + behind.len();
        if found == held.told {
            return Ok(Vec::new());
        }
        held.told = found;
        let overtaking = raise::foreign_keys(&held.found);
        let known = self.ports.database.audit_known(&self.channel.topic, &overtaking).await?;
        Ok(raise::cases(self.outlet, self.channel, &held.found, &behind, &known))
    }
}

impl Track {
    /// Returns the point to tell at a moment: the last one at a stride that was passed since, else where it stands.
    fn due(&self, now: Timestamp) -> Option<Point> {
        let position = self.part.position.offset;
        let last = self.told.map(|(offset, _)| offset);
        if let Some((_, at)) = self.told
            && is_within(at, now, if last == Some(position) { TOLD_AGAIN } else { TOLD_EVERY })
        {
            return None;
        }
        let stride = passed(last.unwrap_or(position), position).pop();
        let offset = stride.unwrap_or(position);
        match self.points.at(offset) {
            Ok(sums) => Some(Point { offset, sums }),
            Err(Unknown::Ahead | Unknown::Late | Unknown::Forgotten) => None,
        }
    }
}

/// Returns whether a moment lies less than a time before another. One that lies behind it does not: a clock was set back.
fn is_within(before: Timestamp, now: Timestamp, time: Duration) -> bool {
    Duration::try_from(now.duration_since(before)).is_ok_and(|since| since < time)
}

fn first(topic: &TopicIdentity, partition: u32, start: u64, (digest_epoch, near): (u32, Timestamp)) -> Part {
    let position = Position {
        cluster: topic.cluster.clone(),
        topic_id: topic.id.clone(),
        partition,
        leader_epoch: -1,
        offset: start,
    };
    Part { position, digest_epoch, sums: Sums::new(), near }
}
