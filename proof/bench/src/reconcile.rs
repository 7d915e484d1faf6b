//! What is always on and what passes cost: link 2 beside a projector that does without, the auditor beside reading its topic raw, passes
//! of links 3 and 1 beside COPY of the same rows.

use crate::figure::{Better, Figure, Pair, Side};
use crate::model::Model;
use crate::peers::{self, rate, run, settle};
use crate::plane::{Lanes, Plane, TTL, Wall};
use crate::site::{Addresses, Site};
use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use seamline_contract::channel::ChannelKind;
use seamline_flow::audit::publish::Published;
use seamline_flow::audit::{AuditPorts, Audited, Auditor};
use seamline_flow::custody::source::check_source;
use seamline_flow::drift::{Outcome, Report};
use seamline_flow::hold::Step as Projected;
use seamline_flow::points::{Change, Passed, Point, Points, passed};
use seamline_flow::reconcile::reconcile;
use seamline_flow::stream::{Memory, Word};
use seamline_message::digest::{DigestKey, Domain, digest};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use seamline_message::sums::Sums;
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeMap;
use std::time::Instant;

/// What link 2 may write of WAL for a change at batches of 1,000.
const WAL_LIMIT_BYTES: f64 = 40.0;

/// How many changes a batch has for which WAL is told.
const BATCH: f64 = 1_000.0;

/// What one round measured.
pub(crate) struct Measured {
    continuous: Pair,
    wal: Pair,
    auditor: Pair,
    auditor_wal: Pair,
    projection: Pair,
    source: Pair,
}

/// Measures all of it once, on databases and topics of their own.
pub(crate) async fn round(addresses: &Addresses, rows: usize, round: usize) -> Result<Measured> {
    let mut site = Site::new(addresses, &format!("reconcile{round}"));
    let measured = measure(&mut site, rows, round).await;
    site.remove().await?;
    measured
}

/// Prints what some rounds measured.
pub(crate) fn print(rounds: &[Measured], as_json: bool) {
    let figure = |bench: &str, peer: &str, unit, goal, better| Figure {
        bench: bench.to_owned(),
        peer: peer.to_owned(),
        unit,
        goal,
        better,
    };
    let pairs = |of: fn(&Measured) -> Pair| rounds.iter().map(of).collect();
    let (a_second, bytes) = ("rows a second", "bytes of WAL a change");
    figure(
        "projector, compared with a point after each batch",
        "the same without comparing, less what digests and sums take alone",
        a_second,
        Some(0.92),
        Better::Higher,
    )
    .print(pairs(|round| round.continuous), as_json);
    figure("lanes with their sums, at batches of 1,000", "the limit", bytes, Some(1.0), Better::Lower)
        .print(pairs(|round| round.wal), as_json);
    figure("auditor", "reading the topic raw", a_second, None, Better::Higher)
        .print(pairs(|round| round.auditor), as_json);
    figure("auditor's tables", "the limit of link 2", bytes, None, Better::Lower)
        .print(pairs(|round| round.auditor_wal), as_json);
    figure(
        "pass of links 2 and 3, with its rehearsal",
        "COPY to STDOUT of the projection",
        a_second,
        Some(0.6),
        Better::Higher,
    )
    .print(pairs(|round| round.projection), as_json);
    figure("pass of link 1", "COPY to STDOUT of the source", a_second, Some(0.6), Better::Higher)
        .print(pairs(|round| round.source), as_json);
}

async fn measure(site: &mut Site, rows: usize, round: usize) -> Result<Measured> {
    let model = Model::compile(&site.name)?;
    let plane = Plane::begin(site, &model, rows).await?;
    for pool in [&plane.source.1, &plane.target.1] {
        let make = run(&mut *pool.acquire().await?, "CREATE EXTENSION IF NOT EXISTS pg_walinspect").await;
        make.context("WAL is told by pg_walinspect, of PostgreSQL 15 and later, with its contrib modules")?;
    }
    plane.publish("PolicyBound").await?;
    plane.drain().await?;
    let bench = Bench { plane: &plane, rows };
    let mut lanes = plane.lanes().await?;
    bench.project(&mut lanes, false).await?;
    // Each order in every other round: who comes second finds larger tables.
    let (mut plain, mut watched) = (Side::default(), Side::default());
    let mut wal = 0.0;
    for compares in if round.is_multiple_of(2) { [true, false] } else { [false, true] } {
        bench.change(if compares { "eligible" } else { "ineligible" }).await?;
        let (meter, from) = (plane.meter(), position(&plane.target.1).await?);
        let (rate, batches) = bench.project(&mut lanes, compares).await?;
        let side = plane.side(rate, &meter);
        if compares {
            watched = side;
            let bytes = written(&plane.target.1, &from, &["seamline.lane"]).await?;
            wal = bytes / (batches as f64 * BATCH);
        } else {
            plain = side;
        }
    }
    drop(lanes);
    let seconds = 1.0 / plain.value - bench.sums_alone();
    let continuous = Pair { ours: watched, theirs: Side { value: 1.0 / seconds.max(1e-9), ..plain } };
    let (auditor, auditor_wal) = bench.auditor().await?;
    let limit = Side::of(WAL_LIMIT_BYTES);
    Ok(Measured {
        continuous,
        wal: Pair { ours: Side::of(wal), theirs: limit },
        auditor,
        auditor_wal: Pair { ours: Side::of(auditor_wal), theirs: limit },
        projection: bench.projection().await?,
        source: bench.source().await?,
    })
}

struct Bench<'p, 'm> {
    plane: &'p Plane<'m>,
    rows: usize,
}

impl Bench<'_, '_> {
    /// Changes every policy, and carries the changes into the log.
    async fn change(&self, status: &str) -> Result<()> {
        let plane = self.plane;
        let change = format!("UPDATE policy_current SET claims_status = '{status}'");
        run(&mut *plane.source.1.acquire().await?, &change).await?;
        let event = if status == "eligible" { "PolicyBound" } else { "PolicySuspended" };
        plane.publish(event).await?;
        plane.drain().await?;
        settle(&plane.target.1).await
    }

    /// Brings all lanes to the end; with `compares` each is held against a point after each batch. Returns rows a second, and
    /// how many batches there were.
    async fn project(&self, lanes: &mut Lanes<'_>, compares: bool) -> Result<(f64, u64)> {
        let epoch = self.plane.digest().await?.epoch;
        let begun = Instant::now();
        let moved = try_join_all(lanes.iter_mut().map(async |lane| -> Result<(u64, u64)> {
            let (mut handed, mut batches, mut memory) = (0, 0, Memory::default());
            while let Projected::Moved(moved) = lane.step().await? {
                ensure!(moved.aside == 0, "records went aside");
                (handed, batches) = (handed + moved.handed, batches + 1);
                if !compares {
                    continue;
                }
                let offset = lane.hold.offset();
                let Ok(sums) = lane.points.at(offset) else { bail!("a lane does not know its own sums") };
                let (topic_id, partition) = (lane.hold.topic.id.clone(), lane.hold.lane.partition);
                let published = Published { topic_id, epoch, partition, point: Point { offset, sums } };
                let compared = memory.compare(lane, &published).await?;
                let word = compared.context("a lane is where its point is")?.word;
                ensure!(word == Word::Clean, "a lane compares with itself as {word:?}");
            }
            Ok((handed, batches))
        }));
        let moved = moved.await?;
        let rate = rate(self.rows, begun);
        let handed: u64 = moved.iter().map(|(handed, _)| handed).sum();
        ensure!(handed == self.rows as u64, "{handed} records were handed over, not {}", self.rows);
        Ok((rate, moved.iter().map(|(_, batches)| batches).sum()))
    }

    /// Returns the seconds a change that its digest, the sums and the points take, measured alone: what a projector without link 2
    /// would spare, but for writing the sums with its position.
    fn sums_alone(&self) -> f64 {
        let secret = DigestKey([7; 32]);
        let state = br#"{"annualPremium":"100.50","claimsStatus":"ineligible","coverFrom":"2026-01-01","coverTo":"2026-12-31","holderName":"Harbour Logistics"}"#;
        let keys: Vec<RecordKey> =
            (1..=self.rows).map(|number| RecordKey::from_texts(&[format!("P-{number:08}")])).collect();
        let mut sums = Sums::new();
        let old = digest(&secret, Domain::Tombstone, b"", b"");
        keys.iter().for_each(|key| sums.add(key, Sequence(1), old));
        let mut points = Points::default();
        points.begin(0, &sums);
        let begun = Instant::now();
        for (at, some) in keys.chunks(BATCH as usize).enumerate() {
            let from = at as u64 * BATCH as u64;
            let to = from + some.len() as u64;
            let mut marks = passed(from, to).into_iter().peekable();
            let mut seen = Passed::default();
            for (key, offset) in some.iter().zip(from..) {
                while let Some(offset) = marks.next_if(|mark| *mark <= offset) {
                    seen.points.push(Point { offset, sums: sums.clone() });
                }
                let new = digest(&secret, Domain::State, key.as_bytes(), state);
                let change = sums.replace(key, Some((Sequence(1), old)), Some((Sequence(2), new)));
                seen.changes.extend(change.map(|(bucket, before)| Change { offset, bucket, before }));
            }
            points.remember(seen, to, &sums);
        }
        let seconds = begun.elapsed().as_secs_f64();
        std::hint::black_box(&points);
        seconds / self.rows as f64
    }

    /// Lets the auditor read back the changes of all rows; returns it beside reading the topic raw, and what its tables wrote.
    async fn auditor(&self) -> Result<(Pair, f64)> {
        let plane = self.plane;
        let ports = AuditPorts {
            database: &plane.source.2,
            log: &plane.log,
            clock: &Wall,
            holder: "bench",
            ttl: TTL,
        };
        let outlet = plane.model.outlets.iter().next().context("there is an outlet")?;
        let channel = outlet.channels_of(ChannelKind::State).next().context("it has states")?;
        let mut auditor = Auditor::new(ports, outlet, channel);
        let mut read_on = async || -> Result<u64> {
            let mut read = 0;
            loop {
                match auditor.step().await? {
                    Audited::Moved { records: 0, .. } | Audited::Idle => return Ok(read),
                    Audited::Moved { records, .. } => read += records,
                    other => bail!("{other:?}"),
                }
            }
        };
        read_on().await?;
        self.change("ineligible").await?;
        settle(&plane.source.1).await?;
        let (meter, from, begun) = (plane.meter(), position(&plane.source.1).await?, Instant::now());
        let read = read_on().await?;
        let ours = plane.side(rate(self.rows, begun), &meter);
        ensure!(read == self.rows as u64, "{read} records were audited, not {}", self.rows);
        let tables = ["seamline.audit", "seamline.audit_part", "seamline.audit_key"];
        let wal = written(&plane.source.1, &from, &tables).await? / self.rows as f64;
        let (meter, begun, mut all) = (plane.meter(), Instant::now(), 0);
        plane.read(std::slice::from_ref(&channel.topic), |_| all += 1)?;
        let mut theirs = plane.side(rate(all, begun), &meter);
        // The bare client read the whole topic, and CPU is told for each row of it.
        let share = self.rows as f64 / all as f64;
        if let Some(cpu) = &mut theirs.cpu {
            cpu.own *= share;
            cpu.servers = cpu.servers.map(|(postgres, kafka)| (postgres * share, kafka * share));
        }
        Ok((Pair { ours, theirs }, wal))
    }

    /// Compares the projection with the log, and copies it out.
    async fn projection(&self) -> Result<Pair> {
        let plane = self.plane;
        let mut lanes = plane.lanes().await?;
        self.project(&mut lanes, false).await?;
        drop(lanes);
        let digest = plane.digest().await?;
        settle(&plane.target.1).await?;
        let (meter, begun) = (plane.meter(), Instant::now());
        let found = reconcile(plane.ports(), &plane.model.intake, digest).await?;
        let ours = plane.side(rate(self.rows, begun), &meter);
        clean(&found.reports)?;
        let theirs =
            peers::copy_out(&plane.target.1, &plane.target.0, "SELECT * FROM cover", self.rows).await?;
        Ok(Pair { ours, theirs: Side::of(theirs) })
    }

    /// Compares the source with the log, and copies it out.
    async fn source(&self) -> Result<Pair> {
        let plane = self.plane;
        let outlet = plane.model.outlets.iter().next().context("there is an outlet")?;
        let database = &plane.source.2;
        settle(&plane.source.1).await?;
        let (meter, begun) = (plane.meter(), Instant::now());
        let check = check_source(database, database, &plane.log, outlet, "bench").await?;
        let ours = plane.side(rate(self.rows, begun), &meter);
        clean(&check.reports)?;
        let query = "SELECT * FROM policy_current";
        let theirs = peers::copy_out(&plane.source.1, &plane.source.0, query, self.rows).await?;
        Ok(Pair { ours, theirs: Side::of(theirs) })
    }
}

/// A pass that does not end clean measures something else.
fn clean(reports: &[Report]) -> Result<()> {
    ensure!(!reports.is_empty(), "nothing was compared");
    let outcomes: BTreeMap<String, &Outcome> = reports
        .iter()
        .map(|report| (format!("{} {}", report.subject, report.link), &report.outcome))
        .collect();
    ensure!(outcomes.values().all(|outcome| **outcome == Outcome::Clean), "not clean: {outcomes:?}");
    Ok(())
}

/// Returns how far the WAL of a server is written.
async fn position(pool: &PgPool) -> Result<String> {
    let position = "SELECT pg_current_wal_flush_lsn()::text";
    Ok(sqlx::query_scalar(position).fetch_one(pool).await?)
}

/// Returns the bytes of WAL that changes of some tables took since a position: of their indexes and large values, too, without
/// images of full pages.
async fn written(pool: &PgPool, from: &str, tables: &[&str]) -> Result<f64> {
    let names: Vec<String> = tables.iter().map(|table| format!("'{table}'::regclass")).collect();
    let files = format!(
        "WITH tables AS (SELECT oid, reltoastrelid FROM pg_class WHERE oid IN ({})), \
         heaps AS (SELECT oid FROM tables UNION SELECT reltoastrelid FROM tables WHERE reltoastrelid <> 0), \
         files AS (SELECT oid FROM heaps UNION SELECT indexrelid FROM pg_index JOIN heaps ON indrelid = oid) \
         SELECT string_agg(pg_relation_filenode(oid)::text, '|') FROM files",
        names.join(", ")
    );
    let bytes = format!(
        "SELECT coalesce(sum(record_length - fpi_length), 0)::float8 \
         FROM pg_get_wal_records_info('{from}', pg_current_wal_flush_lsn()) WHERE block_ref ~ ('rel [0-9]+/' || \
         (SELECT oid FROM pg_database WHERE datname = current_database()) || '/(' || ({files}) || ') ')"
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(bytes)).fetch_one(pool).await?)
}
