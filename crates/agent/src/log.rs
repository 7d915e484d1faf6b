//! The log of an environment: the embedded one or Apache Kafka, behind one port.

use crate::meter::Timer;
use jiff::Timestamp;
use prometheus_client::metrics::histogram::Histogram;
use seamline_flow::audit::publish::points_topic;
use seamline_flow::log::{Appended, Fence, Fetched, KEEP_PARTITIONS, Log, Outgoing, TopicSpec};
use seamline_flow::plain;
use seamline_flow::port::PortError;
use seamline_flow::position::TopicIdentity;
use seamline_flow::schemas::Known;
use seamline_sqlite::log::EmbeddedLog;
use std::sync::OnceLock;
use tokio::sync::Mutex;

/// The log of an environment.
#[derive(Debug)]
pub struct SiteLog {
    at: At,
    /// Held while a digest key is read: a log reads one partition at a few places at once, and all lanes want the same.
    pub(crate) keys: Mutex<()>,
    schemas: Known,
    appends: OnceLock<Histogram>,
    fetches: OnceLock<Histogram>,
}

#[derive(Debug)]
enum At {
    Embedded(EmbeddedLog),
    #[cfg(feature = "kafka")]
    Kafka(seamline_kafka::log::KafkaLog),
}

impl SiteLog {
    /// Returns the log in a file.
    pub fn embedded(log: EmbeddedLog) -> SiteLog {
        SiteLog::new(At::Embedded(log))
    }

    /// Returns the log on Apache Kafka.
    #[cfg(feature = "kafka")]
    pub fn kafka(log: seamline_kafka::log::KafkaLog) -> SiteLog {
        SiteLog::new(At::Kafka(log))
    }

    fn new(at: At) -> SiteLog {
        SiteLog {
            at,
            keys: Mutex::new(()),
            schemas: Known::default(),
            appends: OnceLock::new(),
            fetches: OnceLock::new(),
        }
    }

    /// Returns the log in a file, when it is one.
    pub fn file(&self) -> Option<&EmbeddedLog> {
        match &self.at {
            At::Embedded(log) => Some(log),
            #[cfg(feature = "kafka")]
            At::Kafka(_) => None,
        }
    }

    /// Measures appends and reads from now on. The first to ask is told.
    pub(crate) fn measure(&self, appends: Histogram, fetches: Histogram) {
        self.appends.get_or_init(|| appends);
        self.fetches.get_or_init(|| fetches);
    }
}

impl SiteLog {
    /// Removes the points of a topic whose time is over, where the log is a file: nobody else does. A broker does so by itself.
    ///
    /// # Errors
    /// The file's.
    pub(crate) async fn tidy_points(&self, topic: &str) -> Result<(), PortError> {
        if let Some(log) = self.file() {
            log.retain(&points_topic(topic), Timestamp::now()).await?;
        }
        Ok(())
    }
}

/// How a topic is other than it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) setting: String,
    pub(crate) found: String,
    pub(crate) wanted: String,
    pub(crate) mend: String,
}

impl SiteLog {
    /// Holds a topic against what it should be.
    ///
    /// # Errors
    /// The log's.
    pub(crate) async fn check(&self, spec: &TopicSpec) -> Result<Vec<Difference>, PortError> {
        match &self.at {
            At::Embedded(log) => Ok(match log.topic(&spec.name).await? {
                None => vec![Difference {
                    setting: "topic".to_owned(),
                    found: "not there".to_owned(),
                    wanted: format!("{} partitions", spec.partitions),
                    mend: "seamline install, of the context that publishes it".to_owned(),
                }],
                Some(there) if there.partitions != spec.partitions => vec![Difference {
                    setting: "partitions".to_owned(),
                    found: there.partitions.to_string(),
                    wanted: spec.partitions.to_string(),
                    mend: KEEP_PARTITIONS.to_owned(),
                }],
                Some(_) => Vec::new(),
            }),
            #[cfg(feature = "kafka")]
            At::Kafka(log) => {
                let all = log.check(spec).await?.into_iter();
                let all = all.map(|it| Difference {
                    setting: it.setting,
                    found: it.found,
                    wanted: it.wanted,
                    mend: it.mend,
                });
                Ok(all.collect())
            }
        }
    }
}

/// Calls the same method on whichever log it is.
macro_rules! either {
    ($log:expr, $it:ident => $call:expr) => {
        match &$log.at {
            At::Embedded($it) => $call.await,
            #[cfg(feature = "kafka")]
            At::Kafka($it) => $call.await,
        }
    };
}

impl Log for SiteLog {
    async fn topic(&self, name: &str) -> Result<Option<TopicIdentity>, PortError> {
        either!(self, log => log.topic(name))
    }

    async fn create(&self, spec: &TopicSpec) -> Result<TopicIdentity, PortError> {
        either!(self, log => log.create(spec))
    }

    async fn fence(&self, producer: &str) -> Result<Fence, PortError> {
        either!(self, log => log.fence(producer))
    }

    async fn append(&self, fence: &Fence, records: Vec<Outgoing>) -> Result<Appended, PortError> {
        let _timer = Timer::start(self.appends.get());
        either!(self, log => log.append(fence, records))
    }

    async fn ends(&self, topic: &TopicIdentity, partition: u32) -> Result<Option<(u64, u64)>, PortError> {
        either!(self, log => log.ends(topic, partition))
    }

    async fn decided(&self, topic: &TopicIdentity, partition: u32) -> Result<bool, PortError> {
        either!(self, log => log.decided(topic, partition))
    }

    async fn fetch(
        &self,
        topic: &TopicIdentity,
        partition: u32,
        from: u64,
        limit: usize,
    ) -> Result<Fetched, PortError> {
        let _timer = Timer::start(self.fetches.get());
        either!(self, log => plain::fetch(log, &self.schemas, (topic, partition), from, limit))
    }
}
