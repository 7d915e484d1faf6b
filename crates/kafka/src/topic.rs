//! Topics: how they are made, and how one that is there differs from what the contracts want.

use crate::log::{KafkaLog, not_applied};
use crate::open::PATIENCE;
use crate::raw;
use rdkafka::error::RDKafkaErrorCode as Code;
use seamline_flow::log::{Cleanup, KEEP_PARTITIONS, TopicSpec};
use seamline_flow::port::PortError;
use std::time::Duration;

/// What key and headers of a record may take beside its value, in bytes.
const ROOM: u64 = 128 * 1024;

/// What a broker takes where nothing is said, in bytes: our batches are smaller.
const MESSAGE: u64 = 1_048_588;

/// What is kept for less than this needs segments of its own: a broker writes into one for days where nothing is said.
const SHORT: Duration = Duration::from_hours(24);

/// What a topic has, and what it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The topic.
    pub topic: String,
    /// The setting; `partitions` is their count, `topic` the topic itself.
    pub setting: String,
    /// What is there.
    pub found: String,
    /// What is wanted.
    pub wanted: String,
    /// The command that mends it, or what to do where no command can.
    pub mend: String,
}

/// Returns the settings of a topic, in a fixed order.
pub fn settings(spec: &TopicSpec, replicas: u32) -> Vec<(&'static str, String)> {
    let mut settings = match &spec.cleanup {
        Cleanup::Compact { tombstones, min_lag, max_lag } => {
            let mut settings = vec![
                ("cleanup.policy", "compact".to_owned()),
                ("delete.retention.ms", tombstones.as_millis().to_string()),
                ("min.compaction.lag.ms", min_lag.as_millis().to_string()),
            ];
            settings.extend(max_lag.map(|lag| ("max.compaction.lag.ms", lag.as_millis().to_string())));
            settings
        }
        Cleanup::Delete { retention } => vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", retention.map_or("-1".to_owned(), |time| time.as_millis().to_string())),
            ("retention.bytes", "-1".to_owned()),
        ],
    };
    if let Cleanup::Delete { retention: Some(time) } = &spec.cleanup
        && *time < SHORT
    {
        // What is not in a closed segment is not removed.
        settings.push(("segment.ms", (time.as_millis() / 2).to_string()));
    }
    settings.push(("min.insync.replicas", if replicas > 1 { "2" } else { "1" }.to_owned()));
    settings.push(("unclean.leader.election.enable", "false".to_owned()));
    settings.push(("message.timestamp.type", "CreateTime".to_owned()));
    settings.push(("max.message.bytes", spec.value_bytes_max.saturating_add(ROOM).max(MESSAGE).to_string()));
    settings
}

impl KafkaLog {
    /// Makes a topic. One that is there already is no error.
    pub(crate) async fn make_topic(&self, spec: &TopicSpec) -> Result<(), PortError> {
        let replicas = self.replicas();
        let counts = i32::try_from(spec.partitions).and_then(|count| Ok((count, i32::try_from(replicas)?)));
        let (counts, name) = (counts.map_err(not_applied)?, spec.name.clone());
        let settings = settings(spec, replicas);
        let made = self.ask(move |client| raw::create(client, &name, counts, &settings, PATIENCE)).await?;
        match made {
            Err(failed) if failed.code != Code::TopicAlreadyExists => {
                let late = [Code::OperationTimedOut, Code::RequestTimedOut, Code::BrokerTransportFailure];
                let unknown = late.contains(&failed.code);
                Err(if unknown { PortError::Unknown(Box::new(failed)) } else { not_applied(failed) })
            }
            _ => Ok(()),
        }
    }

    /// Compares a topic with what is wanted. None are equal; a topic that is not there is one difference.
    ///
    /// # Errors
    /// The broker's: also when it does not let us see the configuration.
    pub async fn check(&self, spec: &TopicSpec) -> Result<Vec<Difference>, PortError> {
        let name = spec.name.as_str();
        let difference = |setting: &str, found: String, wanted: String, mend: String| Difference {
            topic: name.to_owned(),
            setting: setting.to_owned(),
            found,
            wanted,
            mend,
        };
        let Some(described) = self.described(name).await? else {
            let wanted = format!("{} partitions", spec.partitions);
            let mend = create_command(spec, self.replicas());
            return Ok(vec![difference("topic", "not there".to_owned(), wanted, mend)]);
        };
        let mut differences = Vec::new();
        if described.partitions != spec.partitions {
            let (found, wanted) = (described.partitions.to_string(), spec.partitions.to_string());
            differences.push(difference("partitions", found, wanted, KEEP_PARTITIONS.to_owned()));
        }
        if described.replicas != self.replicas() {
            let mend = "move the replicas with kafka-reassign-partitions, or set the number the cluster has";
            let (found, wanted) = (described.replicas.to_string(), self.replicas().to_string());
            differences.push(difference("replication.factor", found, wanted, mend.to_owned()));
        }
        let asked = name.to_owned();
        let told = self.ask(move |client| raw::settings(client, &asked, PATIENCE)).await?;
        let told = told.map_err(not_applied)?;
        for (setting, wanted) in settings(spec, self.replicas()) {
            let found = told.get(setting).cloned().unwrap_or_default();
            if found != wanted {
                let mend = format!(
                    "kafka-configs --bootstrap-server SERVER --alter --entity-type topics --entity-name {name} \
                     --add-config {setting}={wanted}"
                );
                differences.push(difference(setting, found, wanted, mend));
            }
        }
        Ok(differences)
    }
}

/// Returns the command that makes a topic.
pub fn create_command(spec: &TopicSpec, replicas: u32) -> String {
    let mut command = format!(
        "kafka-topics --bootstrap-server SERVER --create --topic {} --partitions {} --replication-factor {replicas}",
        spec.name, spec.partitions
    );
    for (setting, value) in settings(spec, replicas) {
        command.push_str(&format!(" --config {setting}={value}"));
    }
    command
}
