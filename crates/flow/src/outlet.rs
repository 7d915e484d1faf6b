//! The producer plan: a contract compiled into the topics that one outbox row goes to.

use crate::audit::publish::points_spec;
use crate::clock::Entropy;
use crate::digest_key;
use crate::log::{Cleanup, Log, TopicSpec};
use crate::port::PortError;
use crate::relay::batch;
use crate::schedule::{Schedule, ScheduleError};
use crate::schemas::{self, SchemasError};
use crate::seal::sealer::{Sealer, seals};
use jiff::Timestamp;
use seamline_contract::channel::{ChannelId, ChannelKind, DEFAULT_TOPICS, Encoding, generation_topic};
use seamline_contract::environment::Generations;
use seamline_contract::id::{ContextId, ContractId, ContractRef, Major, SystemId, Version};
use seamline_contract::resolve::ResolvedContract;
use seamline_contract::served::chain_name;
use seamline_message::codec::avro::Schemas;
use seamline_message::codec::{Codec, CompileError, Row};
use seamline_message::era::{Descent, EraError};
use seamline_message::violation::Violation;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a tombstone is kept where the contract does not say.
pub const TOMBSTONES: Duration = Duration::from_hours(14 * 24);

/// How long a record of state surely stays after it was overtaken.
pub const MIN_LAG: Duration = Duration::from_hours(24);

/// How long a record of state with personal data stays at most after it was overtaken.
pub const MAX_LAG: Duration = Duration::from_hours(7 * 24);

/// Why a contract has no outlet.
#[derive(Debug, thiserror::Error)]
pub enum OutletError {
    /// It cannot be compiled.
    #[error("`{contract}` cannot be compiled: {source}")]
    Compile {
        /// The contract.
        contract: ContractRef,
        /// Why.
        source: CompileError,
    },
    /// An older major cannot be kept alive.
    #[error("`{contract}` cannot serve an older major: {source}")]
    Era {
        /// The contract.
        contract: ContractRef,
        /// Why.
        source: EraError,
    },
    /// Its rows cannot be sent at the hours that it says.
    #[error("`{contract}` cannot be sent at its hours: {source}")]
    Schedule {
        /// The contract.
        contract: ContractRef,
        /// Why.
        source: ScheduleError,
    },
    /// A topic needs a partition.
    #[error("`{0}` is to have no partitions")]
    NoPartitions(ContractRef),
    /// The template gives two channels one name.
    #[error("two channels would share the topic `{0}`")]
    SharedTopic(String),
    /// Two outlets of one database have the same contract.
    #[error("two outlets serve the contract `{0}`")]
    SharedContract(ContractId),
    /// The contract is another context's.
    #[error("`{contract}` is not of the context `{context}`")]
    Foreign {
        /// The contract.
        contract: ContractRef,
        /// The context.
        context: ContextId,
    },
}

/// A channel with its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutChannel {
    /// Which channel.
    pub id: ChannelId,
    /// Its id, printed.
    pub name: String,
    /// The topic's name.
    pub topic: String,
    /// Which of the topics that the channel ever had it is: the same row goes to all that are alive.
    pub generation: u32,
    /// The topic as it should be. How many partitions it has is a fact of the one that is there.
    pub spec: TopicSpec,
    /// The name of its chains in rows of the newest major.
    pub chain: String,
    /// The schemas of what it carries, where that is written in Avro.
    pub schemas: Option<Schemas>,
}

impl OutChannel {
    /// Returns whether its chains were under way when the topic was made: it is of a later generation.
    pub(crate) fn begins_midway(&self) -> bool {
        self.generation > 1
    }
}

/// What an environment says of topics.
#[derive(Debug, Clone, Copy)]
pub struct TopicPlan<'a> {
    /// The template of their names.
    pub template: &'a str,
    /// How many partitions one gets where nothing else is said.
    pub partitions: u32,
    /// The contracts whose topics were made more than once.
    pub generations: &'a [Generations],
}

impl TopicPlan<'_> {
    /// Returns the generations of a contract that are written, with their partitions.
    fn alive(&self, contract: &ContractRef) -> Vec<(u32, u32)> {
        let said = self.generations.iter().find(|it| &it.contract == contract);
        said.map_or_else(|| vec![(1, self.partitions)], |it| it.alive.clone())
    }
}

/// A contract with its channels, ready to be written.
#[derive(Debug, Clone)]
pub struct Outlet {
    /// The contract.
    pub contract: ContractRef,
    /// Who says what is published, `/context`.
    pub source: String,
    /// Reads outbox rows, judges them and writes messages.
    pub codec: Codec,
    /// The channels, own ones first.
    pub channels: Vec<OutChannel>,
    /// The template of topic names.
    pub template: String,
    /// The generations of its topics that were given up before a later one was.
    pub ended: Vec<u32>,
    /// How it is made of rows of the newest major; none: it is the newest.
    pub descent: Option<Box<Descent>>,
    /// The older majors that are kept alive from the same rows, newest first; themselves they serve none.
    pub served: Vec<Outlet>,
    /// The hours at which its rows leave; none: as they come. Older majors leave with the newest.
    pub schedule: Option<Schedule>,
    /// What seals, where this process has the key-encryption key of the context; of older majors that of the newest counts.
    pub sealer: Option<Sealer>,
}

impl Outlet {
    /// Returns whether rows of a version hold nothing that is not known here. A patch changes no message.
    pub fn knows(&self, version: Version) -> bool {
        let own = self.codec.contract().contract.version;
        (version.major, version.minor) <= (own.major, own.minor)
    }

    /// Compiles a contract.
    ///
    /// # Errors
    /// When it cannot be compiled, has no partitions, or two of its channels would share a topic.
    pub fn compile(
        contract: &ResolvedContract,
        template: &str,
        partitions: u32,
    ) -> Result<Outlet, OutletError> {
        Outlet::compile_in(contract, TopicPlan { template, partitions, generations: &[] })
    }

    /// Compiles a contract whose topics may have generations.
    ///
    /// # Errors
    /// As for `compile`.
    pub fn compile_in(contract: &ResolvedContract, plan: TopicPlan<'_>) -> Result<Outlet, OutletError> {
        let reference = contract.contract.reference();
        if plan.partitions == 0 {
            return Err(OutletError::NoPartitions(reference));
        }
        let codec = Codec::compile(contract)
            .map_err(|source| OutletError::Compile { contract: reference.clone(), source })?;
        let descents = Descent::compile(contract, &codec)
            .map_err(|source| OutletError::Era { contract: reference.clone(), source })?;
        let newest = reference.major;
        let schedule = Schedule::of(contract)
            .map_err(|source| OutletError::Schedule { contract: reference.clone(), source })?;
        let mut outlet = Outlet::of(contract, codec, newest, plan);
        outlet.schedule = schedule;
        outlet.served = descents
            .into_iter()
            .map(|descent| {
                let codec = descent.codec.clone();
                let mut older = Outlet::of(&codec.contract().clone(), codec, newest, plan);
                older.descent = Some(Box::new(descent));
                older
            })
            .collect();
        distinct(outlet.all().flat_map(|outlet| &outlet.channels).map(|channel| channel.topic.as_str()))?;
        Ok(outlet)
    }

    /// Returns the outlet of one text, whose rows are written under a major.
    fn of(contract: &ResolvedContract, codec: Codec, newest: Major, plan: TopicPlan<'_>) -> Outlet {
        let reference = contract.contract.reference();
        let alive = plan.alive(&reference);
        let channel = |id: ChannelId, generation: u32, partitions: u32| {
            let topic = generation_topic(plan.template, &reference, &id, generation);
            let spec = TopicSpec {
                name: topic.clone(),
                partitions,
                cleanup: cleanup(contract, &id),
                value_bytes_max: codec.value_bytes_max(id.kind).unwrap_or_default(),
            };
            let chain = chain_name(newest, reference.major, &id);
            let is_avro = codec.encoding(id.kind) == Encoding::Avro;
            let schemas = is_avro.then(|| Schemas::of(&codec, &id));
            OutChannel { name: id.to_string(), id, topic, generation, spec, chain, schemas }
        };
        let channels = alive.iter().flat_map(|(generation, partitions)| {
            contract.channels().into_iter().map(|id| channel(id, *generation, *partitions))
        });
        let channels = channels.collect();
        let template = plan.template.to_owned();
        let said = plan.generations.iter().find(|it| it.contract == reference);
        let ended = said.map(|it| it.ended.clone()).unwrap_or_default();
        Outlet {
            source: format!("/{}", reference.name.context),
            contract: reference,
            codec,
            channels,
            template,
            ended,
            descent: None,
            served: Vec::new(),
            schedule: None,
            sealer: None,
        }
    }

    /// Returns it and the older majors that it serves.
    pub fn all(&self) -> impl Iterator<Item = &Outlet> {
        std::iter::once(self).chain(&self.served)
    }

    /// Returns the newest major: that of the rows of the source view.
    pub fn newest(&self) -> Major {
        self.descent.as_ref().map_or(self.contract.major, |descent| descent.newest())
    }

    /// Returns whether what is written at a moment goes to its channels: an older major has a last day.
    pub fn is_alive(&self, at: Timestamp) -> bool {
        self.descent.as_ref().is_none_or(|descent| descent.is_alive(at))
    }

    /// Reads a state that was written, in source form, under a major as a row of this one.
    ///
    /// # Errors
    /// Every member that cannot be read; or the first that cannot be made of that major.
    pub fn read_source(&self, written: Major, json: &[u8]) -> Result<Row, Vec<Violation>> {
        match &self.descent {
            None => self.codec.read_source(json),
            Some(descent) => descent.read_source(written, json),
        }
    }

    /// Returns the channels of one kind, own ones first.
    pub fn channels_of(&self, kind: ChannelKind) -> impl Iterator<Item = &OutChannel> {
        self.channels.iter().filter(move |channel| channel.id.kind == kind)
    }

    /// Returns the names that topics of its channels had in generations before the last, and that are written no more, with the
    /// number of the generation.
    pub fn former_topics(&self) -> Vec<(u32, String)> {
        let alive: BTreeSet<u32> = self.channels.iter().map(|channel| channel.generation).collect();
        let ids: BTreeSet<&ChannelId> = self.channels.iter().map(|channel| &channel.id).collect();
        let highest = alive.iter().chain(&self.ended).max().copied().unwrap_or(0);
        let former = (1..=highest).filter(|number| !alive.contains(number));
        let of = |number| {
            let name = move |id: &&ChannelId| generation_topic(&self.template, &self.contract, id, number);
            ids.iter().map(move |id| (number, name(id)))
        };
        former.flat_map(of).collect()
    }

    /// Makes the topics that are missing, those of the older majors among them, each with its ledger topic and a digest key;
    /// those of state with the topic of their points, too.
    ///
    /// # Errors
    /// The log's. Safe to repeat.
    pub async fn create_topics<L: Log, E: Entropy>(&self, log: &L, entropy: &E) -> Result<(), PortError> {
        for channel in self.all().flat_map(|outlet| &outlet.channels) {
            let topic = log.create(&channel.spec).await?;
            digest_key::ensure(log, entropy, &channel.topic, topic.partitions).await?;
            if channel.id.kind == ChannelKind::State {
                log.create(&points_spec(&channel.topic)).await?;
            }
            if let Some(schemas) = &channel.schemas
                && let Some(reason) = schemas::publish(log, &channel.topic, schemas.all()).await?
            {
                let topic = channel.topic.clone();
                return Err(PortError::NotApplied(Box::new(SchemasError::NotTaken { topic, reason })));
            }
        }
        Ok(())
    }
}

fn cleanup(contract: &ResolvedContract, id: &ChannelId) -> Cleanup {
    let guarantees = &contract.contract.guarantees;
    match id.kind {
        ChannelKind::Events => {
            let retention = guarantees.events.as_ref().and_then(|events| events.retention);
            Cleanup::Delete { retention: retention.map(|span| span.0) }
        }
        ChannelKind::State => {
            let tombstones = guarantees.state.as_ref().and_then(|state| state.tombstones);
            let tombstones = tombstones.map_or(TOMBSTONES, |span| span.0);
            let max_lag = is_personal(contract, id).then_some(MAX_LAG);
            Cleanup::Compact { tombstones, min_lag: MIN_LAG, max_lag }
        }
    }
}

/// Returns whether a channel carries personal data.
pub fn is_personal(contract: &ResolvedContract, id: &ChannelId) -> bool {
    contract.carries_personal(id.view.as_ref().and_then(|view| contract.contract.view(view)))
}

fn distinct<'a>(topics: impl Iterator<Item = &'a str>) -> Result<(), OutletError> {
    let mut seen = BTreeSet::new();
    for topic in topics {
        if !seen.insert(topic) {
            return Err(OutletError::SharedTopic(topic.to_owned()));
        }
    }
    Ok(())
}

/// All outlets of one database: what its relay serves.
#[derive(Debug, Clone)]
pub struct OutletSet {
    /// Whose database it is.
    pub context: ContextId,
    /// The database.
    pub system: SystemId,
    outlets: BTreeMap<ContractId, Outlet>,
}

impl OutletSet {
    /// Puts outlets together.
    ///
    /// # Errors
    /// When two serve one contract or share a topic, or one is of another context.
    pub fn new(context: ContextId, system: SystemId, outlets: Vec<Outlet>) -> Result<OutletSet, OutletError> {
        let mut set = BTreeMap::new();
        for outlet in outlets {
            if outlet.contract.name.context != context {
                return Err(OutletError::Foreign { contract: outlet.contract, context });
            }
            let contract = outlet.contract.name.contract.clone();
            if set.insert(contract.clone(), outlet).is_some() {
                return Err(OutletError::SharedContract(contract));
            }
        }
        let channels = set.values().flat_map(Outlet::all).flat_map(|outlet| &outlet.channels);
        distinct(channels.map(|channel| channel.topic.as_str()))?;
        Ok(OutletSet { context, system, outlets: set })
    }

    /// Returns the outlet of a contract.
    pub fn get(&self, contract: &ContractId) -> Option<&Outlet> {
        self.outlets.get(contract)
    }

    /// Returns the contracts of which some major that is served seals its events.
    pub fn sealing(&self) -> Vec<&Outlet> {
        self.outlets.values().filter(|outlet| outlet.all().any(seals)).collect()
    }

    /// Gives all that seal what seals.
    pub fn seal_with(&mut self, sealer: &Sealer) {
        let sealing = self.outlets.values_mut().filter(|outlet| outlet.all().any(seals));
        sealing.for_each(|outlet| outlet.sealer = Some(sealer.clone()));
    }

    /// Returns the outlets by contract, each of its newest major.
    pub fn iter(&self) -> impl Iterator<Item = &Outlet> {
        self.outlets.values()
    }

    /// Returns the outlets by contract, each followed by those of the older majors that it serves.
    pub fn all(&self) -> impl Iterator<Item = &Outlet> {
        self.outlets.values().flat_map(Outlet::all)
    }

    /// Returns the name of the source: `context.system`.
    pub fn source_name(&self) -> String {
        format!("{}.{}", self.context, self.system)
    }

    /// Returns the name under which its relay appends: another in each environment, as the topics' names are.
    pub fn producer_name(&self) -> String {
        format!("relay/{}", self.batches_topic())
    }

    /// Its name follows the template of its other topics, with the system in the place of a contract.
    fn batches_topic(&self) -> String {
        let template = self.iter().next().map_or(DEFAULT_TOPICS, |outlet| &outlet.template);
        template
            .replace("{context}", self.context.as_str())
            .replace("{contract}", self.system.as_str())
            .replace("{major}", &batch::VERSION.to_string())
            .replace("{channel}", "batches")
    }

    /// Returns the topic of its batch records, as it should be.
    pub fn batches(&self) -> TopicSpec {
        TopicSpec {
            name: self.batches_topic(),
            partitions: 1,
            cleanup: Cleanup::Compact { tombstones: TOMBSTONES, min_lag: Duration::ZERO, max_lag: None },
            value_bytes_max: 0,
        }
    }

    /// Makes all topics that are missing, that of the batch records among them.
    ///
    /// # Errors
    /// The log's. Safe to repeat.
    pub async fn create_topics<L: Log, E: Entropy>(&self, log: &L, entropy: &E) -> Result<(), PortError> {
        log.create(&self.batches()).await?;
        for outlet in self.outlets.values() {
            outlet.create_topics(log, entropy).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_LAG, MIN_LAG, Outlet, OutletError, OutletSet};
    use crate::log::Cleanup;
    use crate::relay::fixture;
    use seamline_contract::channel::{ChannelKind, DEFAULT_TOPICS};
    use std::time::Duration;

    #[test]
    fn topics_keep_what_the_guarantees_promise() {
        let outlet = fixture::outlet();
        let days = |n: u64| Duration::from_hours(24 * n);
        let specs: Vec<_> =
            outlet.channels.iter().map(|channel| (channel.topic.as_str(), &channel.spec.cleanup)).collect();
        let events = Cleanup::Delete { retention: Some(days(400)) };
        let state = |max_lag| Cleanup::Compact { tombstones: days(14), min_lag: MIN_LAG, max_lag };
        let (personal, other) = (state(Some(MAX_LAG)), state(None));
        assert_eq!(
            specs,
            [
                ("policy-administration.policy.v2.events", &events),
                ("policy-administration.policy.v2.state", &personal),
                ("policy-administration.policy.v2.eligibility.events", &events),
                ("policy-administration.policy.v2.eligibility.state", &other),
            ]
        );
        assert_eq!(outlet.channels_of(ChannelKind::State).count(), 2);
        assert!(outlet.channels.iter().all(|channel| channel.chain == channel.id.to_string()));
    }

    #[test]
    fn a_template_that_mixes_channels_is_refused() {
        let contract = fixture::contract();
        assert!(matches!(Outlet::compile(&contract, "{contract}", 4), Err(OutletError::SharedTopic(_))));
        assert!(matches!(Outlet::compile(&contract, DEFAULT_TOPICS, 0), Err(OutletError::NoPartitions(_))));
    }

    #[test]
    fn a_set_has_each_contract_once_and_only_its_own() {
        let set = |context: &str, outlets| {
            OutletSet::new(context.parse().unwrap(), "core".parse().unwrap(), outlets)
        };
        let twice = vec![fixture::outlet(), fixture::outlet()];
        assert!(matches!(set("policy-administration", twice), Err(OutletError::SharedContract(_))));
        assert!(matches!(set("claims", vec![fixture::outlet()]), Err(OutletError::Foreign { .. })));
        let set = set("policy-administration", vec![fixture::outlet()]).unwrap();
        assert_eq!(set.producer_name(), "relay/policy-administration.core.v1.batches");
        assert_eq!(set.batches().name, "policy-administration.core.v1.batches");
    }
}
