//! Environments: where systems and the log are. Secrets are named here, never written.

use crate::id::{ContextId, ContractRef, EnvironmentId, SystemId};
use crate::path::{DocumentId, ModelPath};

/// How rows of an outbox get to its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RelayBy {
    /// The relay reads the outbox as a queue.
    #[default]
    Queue,
    /// The server streams them, by logical replication.
    Replication,
}

/// Where a system is. Texts may hold `${NAME}`, replaced by who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The system's context.
    pub context: ContextId,
    /// The system.
    pub system: SystemId,
    /// Its URL.
    pub url: String,
    /// Its user.
    pub user: Option<String>,
    /// Its password; always a `${NAME}`.
    pub password: Option<String>,
    /// Its schema.
    pub schema: Option<String>,
    /// How rows of its outbox get to the relay.
    pub relay: RelayBy,
}

/// The log of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPlace {
    /// A SQLite file, relative to the estate.
    Embedded {
        /// The file.
        path: String,
    },
    /// Apache Kafka by librdkafka's property names.
    Kafka {
        /// Properties in the order written.
        properties: Vec<(String, String)>,
    },
}

/// The topics of a contract over time: those of one generation have one number of partitions, for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generations {
    /// Whose topics they are.
    pub contract: ContractRef,
    /// The one that consumers read; one of those that are alive.
    pub read: u32,
    /// Those that are written, with how many partitions their topics get; sorted, no duplicates, not empty.
    pub alive: Vec<(u32, u32)>,
    /// Those that are written no more although a later one was not yet: given up. Sorted.
    pub ended: Vec<u32>,
}

impl Generations {
    /// Returns the highest number that was ever given.
    pub fn highest(&self) -> u32 {
        let alive = self.alive.iter().map(|(number, _)| *number);
        alive.chain(self.ended.iter().copied()).max().unwrap_or(1)
    }
}

/// An environment as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Where it is written.
    pub document: DocumentId,
    /// The id.
    pub id: EnvironmentId,
    /// Where systems are; one that is missing is a SQLite file beside an embedded log.
    pub systems: Vec<Place>,
    /// Texts for `${NAME}`.
    pub variables: Vec<(String, String)>,
    /// The log.
    pub log: LogPlace,
    /// The topic template.
    pub topics: String,
    /// Partitions of a new topic.
    pub partitions: u32,
    /// Replicas of a new topic.
    pub replicas: u32,
    /// The contracts whose topics were made more than once; of all others there is the first generation.
    pub generations: Vec<Generations>,
    /// The hub's URL and token.
    pub hub: Option<(String, Option<String>)>,
}

impl Environment {
    /// Returns the top of its document.
    pub fn path(&self) -> ModelPath {
        ModelPath::top(&self.document)
    }

    /// Returns the generations of a contract's topics; none where there is the first one alone.
    pub fn generations_of(&self, contract: &ContractRef) -> Option<&Generations> {
        self.generations.iter().find(|it| &it.contract == contract)
    }
}
