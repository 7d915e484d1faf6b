//! The topics that a relay writes to: looked for before they are written, and left alone where they take nothing.

use super::{PARKED, Relay, generation};
use crate::case::NewCase;
use crate::clock::Clock;
use crate::digest_key;
use crate::log::Log;
use crate::outlet::{OutChannel, Outlet};
use crate::port::PortError;
use crate::relay::decide::parked_case;
use crate::schemas;
use crate::source::Source;
use jiff::Timestamp;
use seamline_contract::id::ContractId;

impl<S: Source, L: Log, C: Clock> Relay<'_, S, L, C> {
    /// Learns the partitions of topics, and parks the contracts that lack one.
    pub(super) async fn look_for_topics(&mut self, now: Timestamp) -> Result<Vec<NewCase>, PortError> {
        let mut refused = Vec::new();
        for outlet in self.outlets.iter() {
            if self.parked.contains_key(&outlet.contract.name.contract) {
                continue;
            }
            if let (Some(why), Some(first)) =
                (generation::refusal(outlet, &self.written), outlet.channels.first())
            {
                refused.push((&first.topic, why));
                continue;
            }
            for channel in outlet.all().flat_map(|outlet| &outlet.channels) {
                if self.partitions.contains_key(&channel.topic) {
                    continue;
                }
                let there = self.ports.log.topic(&channel.topic).await?.map(|topic| topic.partitions);
                let made = digest_key::partitions_made(self.ports.log, &channel.topic).await?;
                match (there, made) {
                    (None, _) => refused.push((&channel.topic, "there is no such topic".to_owned())),
                    // Keys would change their partitions, and their order with them.
                    (Some(there), Some(made)) if there != made => {
                        let why = format!(
                            "it has {there} partitions and was made with {made}: make it anew with these"
                        );
                        refused.push((&channel.topic, why));
                    }
                    (Some(there), _) => match self.publish_schemas(channel).await? {
                        Some(why) => refused.push((&channel.topic, why)),
                        None => drop(self.partitions.insert(channel.topic.clone(), there)),
                    },
                }
            }
        }
        Ok(refused.iter().map(|(topic, why)| self.park(topic, why, now)).collect())
    }

    /// Puts the schemas of a channel where its readers find them, before anything is written by them. Returns why that failed.
    async fn publish_schemas(&self, channel: &OutChannel) -> Result<Option<String>, PortError> {
        match &channel.schemas {
            Some(schemas) => schemas::publish(self.ports.log, &channel.topic, schemas.all()).await,
            None => Ok(None),
        }
    }

    /// Parks the contracts that write to a topic; all of them, when it is that of the batch records or nobody's.
    pub(super) fn park(&mut self, topic: &str, reason: &str, now: Timestamp) -> NewCase {
        // It may be made anew with other partitions.
        self.partitions.remove(topic);
        let has =
            |outlet: &Outlet| outlet.all().flat_map(|outlet| &outlet.channels).any(|it| it.topic == topic);
        let of_all = topic == self.outlets.batches().name || !self.outlets.iter().any(has);
        let writes = |outlet: &&Outlet| of_all || has(outlet);
        let contracts: Vec<ContractId> =
            self.outlets.iter().filter(writes).map(|outlet| outlet.contract.name.contract.clone()).collect();
        let until = now.saturating_add(PARKED).unwrap_or(Timestamp::MAX);
        self.parked.extend(contracts.iter().map(|contract| (contract.clone(), until)));
        parked_case(self.outlets, topic, reason, &contracts)
    }
}
