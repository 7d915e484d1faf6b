//! What an erasure would touch, at whom, and what will not happen; and what was begun.

use crate::erase::Keys;
use crate::erase::affected::Affected;
use crate::site::no_answer;
use crate::terminal::{Writing, counted};
use anyhow::Result;
use seamline_agent::agent::Agent;
use seamline_agent::site::Site;
use seamline_contract::channel::ChannelKind;
use seamline_contract::id::{AttributeIdentity, ContextId, ContractRef, SubscriptionRef};
use seamline_flow::erasure::ErasureId;
use seamline_flow::inbox::Inbox;
use seamline_flow::log::Cleanup;
use seamline_flow::outlet::{OutChannel, is_personal};
use seamline_flow::seal::sealer::seals;
use seamline_flow::store::Store;
use seamline_message::key::RecordKey;
use serde_json::{Value, json};

/// How many rows are counted at most.
const COUNTED_MAX: u32 = 10_000;

/// What happens whoever asks.
const NEVER: [&str; 5] = [
    "no table of a service is written: each service erases in its own tables, or deletes the rows",
    "backups, exports, reports and whatever else left Seamline are not touched",
    "keys stay where it is known which record came last; a key that names a person is not erased",
    "what services wrote into the details of commands and their outcomes goes 14 days after their end, not before",
    "records in quarantine whose key cannot be read are of nobody: see `seamline quarantine list`",
];

/// What an erasure is about.
pub(super) struct Plan<'a> {
    pub(super) site: &'a Site,
    pub(super) of: &'a AttributeIdentity,
    pub(super) id: &'a ErasureId,
    pub(super) affected: &'a Affected,
    /// Where it is done here.
    pub(super) contexts: &'a [ContextId],
}

impl Plan<'_> {
    /// Prints what would be done.
    ///
    /// # Errors
    /// When a database does not answer.
    pub(super) async fn print(&self, agents: &[Agent], keys: &Keys) -> Result<()> {
        println!("erasure {} of one subject by {}", self.id, self.of);
        for contract in self.owned() {
            let n_keys = keys.get(&contract.name.to_string()).map_or(0, |keys| keys.len() as u64);
            println!(
                "  {contract}: {}, published once more when its service has erased",
                counted(n_keys, "key")
            );
            for (channel, is_sealed) in channels(agents, contract) {
                println!("    {}: {}", channel.topic, self.keeps((channel, is_sealed)));
            }
        }
        for (subscription, contract) in self.kept() {
            let (aside, inbox) = stored(agents, subscription, &contract.name.to_string(), keys).await?;
            println!(
                "  {subscription} confirms once it has read what is published then; {} in quarantine, {} in the inbox",
                counted(aside, "record"),
                counted(inbox, "open row")
            );
        }
        println!("what will not happen:");
        for never in NEVER {
            println!("  {never}");
        }
        for context in self.elsewhere() {
            println!("  `{context}` is not asked from here: run the same there, with `--id {}`", self.id);
        }
        Ok(())
    }

    /// Says what was begun.
    ///
    /// # Errors
    /// When a database does not answer.
    pub(super) async fn tell(
        &self,
        agents: &[Agent],
        keys: &Keys,
        jobs: &[String],
        writing: &Writing,
        place: &str,
    ) -> Result<()> {
        if !writing.is_text() {
            println!("{}", self.document(agents, keys, jobs).await?);
            return Ok(());
        }
        if jobs.is_empty() {
            println!("nothing was written");
            println!("next: seamline erase SUBJECT --reason TEXT --yes{place}");
            return Ok(());
        }
        println!("begun: {}; the agents of these contexts go on with it", jobs.join(", "));
        println!("next: seamline erase show {}{place}", self.id);
        Ok(())
    }

    async fn document(&self, agents: &[Agent], keys: &Keys, jobs: &[String]) -> Result<Value> {
        let mut sources = Vec::new();
        for contract in self.owned() {
            let topics = channels(agents, contract);
            let topics: Vec<Value> =
                topics.map(|it| json!({ "topic": it.0.topic, "keeps": self.keeps(it) })).collect();
            let n_keys = keys.get(&contract.name.to_string()).map_or(0, std::collections::BTreeMap::len);
            sources.push(json!({ "contract": contract.to_string(), "keys": n_keys, "topics": topics }));
        }
        let mut copies = Vec::new();
        for (subscription, contract) in self.kept() {
            let (aside, inbox) = stored(agents, subscription, &contract.name.to_string(), keys).await?;
            let name = subscription.to_string();
            copies.push(json!({ "subscription": name, "quarantine": aside, "inbox": inbox }));
        }
        let elsewhere: Vec<String> = self.elsewhere().iter().map(ToString::to_string).collect();
        Ok(json!({
            "schema": "seamline/erase/v1",
            "erasure": self.id.to_string(),
            "of": self.of.to_string(),
            "sources": sources,
            "copies": copies,
            "elsewhere": elsewhere,
            "never": NEVER,
            "jobs": jobs,
        }))
    }

    fn owned(&self) -> impl Iterator<Item = &ContractRef> {
        self.affected.contracts.iter().filter(|it| self.contexts.contains(&it.name.context))
    }

    fn kept(&self) -> impl Iterator<Item = &(SubscriptionRef, ContractRef)> {
        self.affected.subscriptions.iter().filter(|(name, _)| self.contexts.contains(&name.context))
    }

    fn elsewhere(&self) -> Vec<ContextId> {
        self.affected.contexts().into_iter().filter(|it| !self.contexts.contains(it)).collect()
    }

    fn keeps(&self, (channel, is_sealed): (&OutChannel, bool)) -> String {
        if is_sealed {
            return "what is personal is sealed, and nobody's to read once the key is destroyed".to_owned();
        }
        let days = |time: std::time::Duration| time.as_secs() / 86_400;
        if self.site.is_embedded() {
            return "an embedded log removes nothing by itself: what was stays in its file".to_owned();
        }
        match &channel.spec.cleanup {
            Cleanup::Compact { max_lag: Some(lag), .. } => {
                format!("what was leaves within {} days of that", days(*lag))
            }
            Cleanup::Compact { .. } => "what was leaves when the log comes to it".to_owned(),
            Cleanup::Delete { retention: Some(time) } => {
                format!("events stay as they were written, for {} days", days(*time))
            }
            Cleanup::Delete { retention: None } => "events stay as they were written, for ever".to_owned(),
        }
    }
}

/// Returns the channels of a contract that carry personal data, each with whether that is sealed.
fn channels<'a>(
    agents: &'a [Agent],
    contract: &'a ContractRef,
) -> impl Iterator<Item = (&'a OutChannel, bool)> {
    let outlets = agents.iter().flat_map(|agent| agent.outlets.iter()).flat_map(|it| it.iter());
    let outlets = outlets.filter(move |it| it.contract == *contract).flat_map(|outlet| outlet.all());
    outlets.flat_map(|outlet| {
        let personal = |channel: &&OutChannel| is_personal(outlet.codec.contract(), &channel.id);
        let is_sealed = |channel: &OutChannel| channel.id.kind == ChannelKind::Events && seals(outlet);
        outlet.channels.iter().filter(personal).map(move |channel| (channel, is_sealed(channel)))
    })
}

/// Returns how many records of some keys are in quarantine at a subscription, and how many rows of them are open in its inbox.
async fn stored(
    agents: &[Agent],
    subscription: &SubscriptionRef,
    contract: &str,
    keys: &Keys,
) -> Result<(u64, u64)> {
    let of = |agent: &&Agent| agent.intakes.iter().any(|intake| &intake.subscription == subscription);
    let Some(agent) = agents.iter().find(of) else { return Ok((0, 0)) };
    let (mut aside, keys) = (0, keys.get(contract));
    for key in keys.into_iter().flat_map(|keys| keys.keys()) {
        let Ok(key) = RecordKey::parse(key.as_bytes()) else { continue };
        let records = agent.database.aside(subscription, Some(&key), COUNTED_MAX as usize).await;
        aside += records.map_err(no_answer)?.len() as u64;
    }
    let open = agent.database.entries(Some(subscription), COUNTED_MAX).await.map_err(no_answer)?;
    let theirs = open.iter().filter(|row| keys.is_some_and(|keys| keys.contains_key(&row.key)));
    Ok((aside, theirs.count() as u64))
}
