//! Relay, bootstrap and projector in this process, each until there is nothing left to do, and their peers.

use crate::cpu::Meter;
use crate::figure::{Pair, Side};
use crate::model::{Model, PARTITIONS};
use crate::peers::{self, Record, rate, run, settle};
use crate::site::{Addresses, Site};
use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message, OwnedHeaders};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use seamline_flow::clock::{Clock, Entropy};
use seamline_flow::digest_key;
use seamline_flow::hold::{DigestEpoch, Ports, Step as Projected, Take};
use seamline_flow::log::Log;
use seamline_flow::port::PortError;
use seamline_flow::projector::Projector;
use seamline_flow::rehearsal;
use seamline_flow::relay::{FIRST_ROWS, Relay, RelayPorts, Step, TakeOver};
use seamline_kafka::log::KafkaLog;
use seamline_kafka::properties::Properties;
use seamline_postgres::database::{Database, Options};
use sqlx::PgPool;
use std::time::{Duration, Instant};

pub(crate) const TTL: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(30);

/// The present moment, and bytes that need not be secret here.
pub(crate) struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Entropy for Wall {
    fn bytes(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// What one round measured.
pub(crate) struct Measured {
    /// The relay of fresh rows, and which limit is the slower.
    pub(crate) relay: (Pair, &'static str),
    /// The projection of fresh rows into an empty table.
    pub(crate) bootstrap: Pair,
    /// The projection of changes.
    pub(crate) projector: Pair,
}

/// The lanes of all partitions.
pub(crate) type Lanes<'a> = Vec<Projector<'a, Database, KafkaLog, Wall>>;

/// A producer and a consumer, each with a database of its own.
pub(crate) struct Plane<'a> {
    pub(crate) model: &'a Model,
    addresses: Addresses,
    /// The producer's URL, connections, and the database as the agent has it.
    pub(crate) source: (String, PgPool, Database),
    /// The consumer's.
    pub(crate) target: (String, PgPool, Database),
    pub(crate) log: KafkaLog,
    rows: usize,
}

/// Measures relay, bootstrap and projector once, on databases and topics of their own.
pub(crate) async fn round(addresses: &Addresses, rows: usize, round: usize) -> Result<Measured> {
    let mut site = Site::new(addresses, &format!("plane{round}"));
    let measured = measure(&mut site, rows).await;
    site.remove().await?;
    measured
}

/// Measures a rehearsal of so many keys beside reading their topic and dropping what was read.
pub(crate) async fn rehearsal(addresses: &Addresses, rows: usize) -> Result<Pair> {
    let mut site = Site::new(addresses, "rehearsal");
    let measured = rehearsed(&mut site, rows).await;
    site.remove().await?;
    measured
}

async fn rehearsed(site: &mut Site, rows: usize) -> Result<Pair> {
    let model = Model::compile(&site.name)?;
    let plane = Plane::begin(site, &model, rows).await?;
    plane.publish("PolicyBound").await?;
    plane.drain().await?;
    plane.project().await?;
    plane.rehearsal().await
}

async fn measure(site: &mut Site, rows: usize) -> Result<Measured> {
    let model = Model::compile(&site.name)?;
    let plane = Plane::begin(site, &model, rows).await?;
    plane.publish("PolicyBound").await?;
    let relay = plane.relay(site).await?;
    let bootstrap = plane.bootstrap().await?;
    run(&mut *plane.target.1.acquire().await?, "CREATE TABLE before AS SELECT * FROM cover").await?;
    let suspend = "UPDATE policy_current SET claims_status = 'ineligible'";
    run(&mut *plane.source.1.acquire().await?, suspend).await?;
    plane.publish("PolicySuspended").await?;
    plane.drain().await?;
    let projector = plane.projector().await?;
    Ok(Measured { relay, bootstrap, projector })
}

/// Calls until it works: what a port says is safe to repeat, and on a busy machine a first connection may come late.
async fn again<T>(mut call: impl AsyncFnMut() -> Result<T, PortError>) -> Result<T, PortError> {
    let begun = Instant::now();
    loop {
        match call().await {
            Err(_) if begun.elapsed() < PATIENCE => {}
            done => return done,
        }
    }
}

/// Opens a database as the agent does.
async fn open(url: &str) -> Result<Database> {
    let options = Options {
        url: url.to_owned(),
        user: None,
        password: None,
        schema: "public".to_owned(),
        replication: false,
    };
    Ok(Database::open(&options).await?)
}

impl<'a> Plane<'a> {
    /// Makes and installs both databases, with so many policies.
    pub(crate) async fn begin(site: &mut Site, model: &'a Model, rows: usize) -> Result<Plane<'a>> {
        let (source, source_pool) = site.database("source").await?;
        let (target, target_pool) = site.database("target").await?;
        let properties = [("bootstrap.servers".to_owned(), site.addresses.kafka.clone())];
        let log = KafkaLog::open(&Properties::new(&properties)?, 1).await?;
        again(async || model.outlets.create_topics(&log, &Wall).await).await?;
        let plane = Plane {
            model,
            addresses: site.addresses.clone(),
            source: (source.clone(), source_pool, open(&source).await?),
            target: (target.clone(), target_pool, open(&target).await?),
            log,
            rows,
        };
        let (publishing, projection) = (&model.publication, model.projection());
        model.make_policies(&plane.source.1, rows).await?;
        plane.source.2.install_producer(&model.contract, publishing).await?;
        plane.target.2.install_consumer(std::slice::from_ref(projection)).await?;
        Ok(plane)
    }

    /// Publishes an event of every policy in one transaction.
    pub(crate) async fn publish(&self, event: &str) -> Result<()> {
        let publish =
            "SELECT count(seamline.publish('policy', $1, '[\"' || policy_no || '\"]')) FROM policy_current";
        let published: i64 = sqlx::query_scalar(publish).bind(event).fetch_one(&self.source.1).await?;
        ensure!(published == self.rows as i64, "{published} rows were published, not {}", self.rows);
        settle(&self.source.1).await
    }

    pub(crate) fn side(&self, value: f64, meter: &Meter<'_>) -> Side {
        Side { value, cpu: Some(meter.stop(self.rows)) }
    }

    pub(crate) fn meter(&self) -> Meter<'_> {
        Meter::start(&self.addresses.servers, &[std::process::id()])
    }

    async fn relay(&self, site: &Site) -> Result<(Pair, &'static str)> {
        let outbox: Vec<String> = (0..3).map(|idx| format!("SELECT * FROM seamline.outbox_{idx}")).collect();
        let outbox = outbox.join(" UNION ALL ");
        let copied = Side::of(peers::copy_out(&self.source.1, &self.source.0, &outbox, self.rows).await?);
        let meter = self.meter();
        let ours = self.drain().await?;
        let ours = self.side(ours, &meter);
        let records = self.records()?;
        ensure!(records.len() >= 2 * self.rows, "an event and a state of each row, not {}", records.len());
        let mut topics: Vec<String> = records.iter().map(|record| record.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        site.topics(&topics, PARTITIONS.cast_signed()).await?;
        let (broker, rows) = (self.addresses.kafka.clone(), self.rows);
        let produced = tokio::task::spawn_blocking(move || peers::produce(&broker, &records, rows));
        let (produced, _) = produced.await??;
        Ok(if copied.value < produced {
            (Pair { ours, theirs: copied }, "COPY-out of the same rows")
        } else {
            (Pair { ours, theirs: Side::of(produced) }, "transactional produce of the same bytes")
        })
    }

    /// Runs a relay until the outbox is empty; returns rows a second, without the take-over.
    pub(crate) async fn drain(&self) -> Result<f64> {
        let ports = RelayPorts {
            source: &self.source.2,
            log: &self.log,
            clock: &Wall,
            holder: "bench",
            ttl: TTL,
            first_rows: FIRST_ROWS,
        };
        let held = again(async || Relay::take_over(ports, &self.model.outlets).await).await?;
        let TakeOver::Held(mut relay) = held else {
            bail!("somebody else holds the outbox");
        };
        let begun = Instant::now();
        let mut published = 0;
        while published < self.rows as u64 {
            match relay.step().await? {
                Step::Stepped(stepped) => {
                    ensure!(stepped.aside == 0, "rows went aside: {:?}", stepped.cases);
                    ensure!(stepped.published > 0 || stepped.more, "rows stay: {:?}", stepped.cases);
                    published += stepped.published;
                }
                other => bail!("{other:?}"),
            }
        }
        Ok(rate(self.rows, begun))
    }

    /// Reads all events and states back, for a producer of other topics.
    fn records(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.read(&self.model.channels(), |message| records.push(owned(message)))?;
        Ok(records)
    }

    /// Reads topics from their beginning to their end.
    pub(crate) fn read(&self, topics: &[String], mut each: impl FnMut(&BorrowedMessage<'_>)) -> Result<()> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.addresses.kafka).set("group.id", "bench-peer");
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        let reading: BaseConsumer = config.create()?;
        let mut places = TopicPartitionList::new();
        let mut waiting = 0;
        for topic in topics {
            for partition in 0..PARTITIONS.cast_signed() {
                places.add_partition_offset(topic, partition, Offset::Beginning)?;
                waiting += 1;
            }
        }
        reading.assign(&places)?;
        while waiting > 0 {
            match reading.poll(PATIENCE).context("the broker does not answer")? {
                Ok(message) => each(&message),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => waiting -= 1,
                Err(error) => bail!(error),
            }
        }
        Ok(())
    }

    fn states(&self) -> &str {
        &self.model.intake.state.as_ref().expect("it has a table").topic
    }

    pub(crate) fn ports(&self) -> Ports<'_, Database, KafkaLog, Wall> {
        Ports { store: &self.target.2, log: &self.log, clock: &Wall, holder: "bench", ttl: TTL }
    }

    pub(crate) async fn digest(&self) -> Result<DigestEpoch> {
        let states = self.states();
        let (epoch, key) =
            again(async || digest_key::ensure(&self.log, &Wall, states, PARTITIONS).await).await?;
        Ok(DigestEpoch { epoch, key })
    }

    /// Takes the lane of each partition.
    pub(crate) async fn lanes(&self) -> Result<Lanes<'_>> {
        let digest = self.digest().await?;
        let mut lanes = Vec::new();
        for partition in 0..PARTITIONS {
            match Projector::take(self.ports(), &self.model.intake, partition, digest, true).await? {
                Take::Held(lane) => lanes.push(lane),
                _ => bail!("a lane cannot be taken"),
            }
        }
        Ok(lanes)
    }

    /// Rehearses all keys, and reads the same topic by the bare client.
    async fn rehearsal(&self) -> Result<Pair> {
        let (digest, topic) = (self.digest().await?, self.log.topic(self.states()).await?);
        let topic = topic.context("the topic is there")?;
        let mut holds: Vec<_> = self.lanes().await?.into_iter().map(|lane| lane.hold).collect();
        settle(&self.target.1).await?;
        let (meter, begun) = (self.meter(), Instant::now());
        let rehearsed = rehearsal::rehearse(self.ports(), &self.model.intake, digest, &topic, &mut holds);
        let rehearsed = rehearsed.await?.map_err(anyhow::Error::msg)?;
        let ours = self.side(rate(self.rows, begun), &meter);
        let keys = rehearsed.keys.len();
        ensure!(keys == self.rows, "{keys} keys were rehearsed, not {}", self.rows);
        let (meter, begun) = (self.meter(), Instant::now());
        let mut read = 0;
        self.read(&[self.states().to_owned()], |_| read += 1)?;
        ensure!(read == self.rows, "{read} records were read, not {}", self.rows);
        Ok(Pair { ours, theirs: self.side(rate(self.rows, begun), &meter) })
    }

    /// Runs a projector of each partition until it is at the end; returns rows a second, without the taking of lanes.
    async fn project(&self) -> Result<f64> {
        let mut lanes = self.lanes().await?;
        let begun = Instant::now();
        let handed = try_join_all(lanes.iter_mut().map(async |lane| -> Result<u64> {
            let mut handed = 0;
            while let Projected::Moved(moved) = lane.step().await? {
                ensure!(moved.aside == 0, "records went aside");
                handed += moved.handed;
            }
            Ok(handed)
        }));
        let handed: u64 = handed.await?.into_iter().sum();
        let rate = rate(self.rows, begun);
        ensure!(handed == self.rows as u64, "{handed} records were handed over, not {}", self.rows);
        Ok(rate)
    }

    async fn bootstrap(&self) -> Result<Pair> {
        let meter = self.meter();
        let ours = self.project().await?;
        let ours = self.side(ours, &meter);
        let theirs = peers::copy_in(&self.target.1, &self.target.0, "cover", self.rows).await?;
        Ok(Pair { ours, theirs: Side::of(theirs) })
    }

    async fn projector(&self) -> Result<Pair> {
        settle(&self.target.1).await?;
        let meter = self.meter();
        let ours = self.project().await?;
        let ours = self.side(ours, &meter);
        let (theirs, _) = peers::upsert(&self.target.1, "cover", "policy_ref", "before", self.rows).await?;
        Ok(Pair { ours, theirs: Side::of(theirs) })
    }
}

fn owned(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(OwnedHeaders::new, BorrowedHeaders::detach);
    Record {
        topic: format!("{}.peer", message.topic()),
        partition: message.partition(),
        key: message.key().unwrap_or_default().to_vec(),
        headers,
        value: message.payload().map(<[u8]>::to_vec),
    }
}
