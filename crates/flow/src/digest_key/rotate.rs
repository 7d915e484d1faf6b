//! Another digest key for the topics of a contract: each opens the next epoch of its ledger, and sums under two epochs say nothing
//! of one another.

use super::{DigestKeyError, Made, last, ledger_topic, producer_name, put};
use crate::clock::Entropy;
use crate::log::Log;
use crate::port::PortError;
use crate::stop;
use jiff::Timestamp;
use seamline_message::digest::DigestKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What made a digest key take the place of another. It lies beside the key, so that whoever was interrupted goes on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Which one it is.
    pub id: String,
    /// Why.
    pub because: String,
    /// When it began.
    pub at: Timestamp,
    /// The epoch that each of its topics was in, by name.
    pub from: BTreeMap<String, u32>,
}

/// The digest key of a topic, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The topic.
    pub topic: String,
    /// The epoch.
    pub epoch: u32,
    /// What made it; none of the first.
    pub rotation: Option<Rotation>,
}

/// What a rotation would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The rotation: a new one, or one that was not brought to its end.
    pub rotation: Rotation,
    /// Whether it was begun before.
    pub resumes: bool,
    /// The topics that still are in the epoch from which they go on, by name.
    pub left: Vec<String>,
}

/// Returns the digest keys of topics as they are, in the order asked.
///
/// # Errors
/// The log's; `NotApplied` with `DigestKeyError`, also where a topic has none yet.
pub async fn standings<L: Log>(log: &L, topics: &[String]) -> Result<Vec<Standing>, PortError> {
    let mut standings = Vec::new();
    for topic in topics {
        let Made { epoch, rotation, .. } = there(log, topic).await?;
        standings.push(Standing { topic: topic.clone(), epoch, rotation });
    }
    Ok(standings)
}

/// Plans a rotation. One that was interrupted goes before another, and one that was done for the same reason is not done twice:
/// nothing is left of it then. Pure.
///
/// `id` names a new one.
pub fn plan(standings: &[Standing], id: &str, because: &str, now: Timestamp) -> Plan {
    let left_of = |rotation: &Rotation| -> Vec<String> {
        let is_left = |it: &&Standing| rotation.from.get(&it.topic) == Some(&it.epoch);
        standings.iter().filter(is_left).map(|it| it.topic.clone()).collect()
    };
    let known = || standings.iter().filter_map(|it| it.rotation.as_ref());
    let begun = known().find(|rotation| !left_of(rotation).is_empty());
    let done = known().find(|rotation| rotation.because == because);
    let rotation = begun.or(done).cloned();
    let resumes = rotation.is_some();
    let rotation = rotation.unwrap_or_else(|| Rotation {
        id: id.to_owned(),
        because: because.to_owned(),
        at: now,
        from: standings.iter().map(|it| (it.topic.clone(), it.epoch)).collect(),
    });
    let left = left_of(&rotation);
    Plan { rotation, resumes, left }
}

/// Gives each topic that is left of a plan another digest key. It may be repeated after any end: plan it again.
///
/// # Errors
/// The log's; `NotApplied` with `DigestKeyError`. After `Unknown` a key may have been taken: plan again.
pub async fn rotate<L: Log, E: Entropy>(log: &L, entropy: &E, plan: &Plan) -> Result<(), PortError> {
    stop::here("key-planned");
    for topic in &plan.left {
        // Whoever fences first and reads afterwards sees what every earlier one wrote, and no earlier one writes again.
        let fence = log.fence(&producer_name(topic)).await?;
        stop::here("key-fenced");
        let before = there(log, topic).await?;
        if plan.rotation.from.get(topic) != Some(&before.epoch) {
            // Another that was told the same has done it.
            continue;
        }
        let epoch = before.epoch.checked_add(1).expect("nobody rotates four thousand million times");
        let made = Made {
            epoch,
            key: DigestKey(entropy.bytes()),
            partitions: before.partitions,
            rotation: Some(plan.rotation.clone()),
        };
        put(log, &fence, topic, &made).await?;
        stop::here("key-made");
    }
    Ok(())
}

async fn there<L: Log>(log: &L, topic: &str) -> Result<Made, PortError> {
    let none = || {
        let reason = "there is no key to rotate: install the context first".to_owned();
        PortError::NotApplied(Box::new(DigestKeyError::NotTaken { topic: ledger_topic(topic), reason }))
    };
    last(log, topic).await?.ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::{Standing, plan};
    use jiff::Timestamp;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn standing(topic: &str, epoch: u32) -> Standing {
        Standing { topic: topic.to_owned(), epoch, rotation: None }
    }

    #[test]
    fn a_rotation_that_was_interrupted_goes_on_with_what_is_left_and_under_its_own_reason() {
        let mut standings = vec![standing("a", 1), standing("b", 4)];
        let first = plan(&standings, "x", "somebody left", NOW);
        assert!(!first.resumes);
        assert_eq!(first.left, ["a", "b"]);
        standings[0] = Standing { rotation: Some(first.rotation.clone()), ..standing("a", 2) };
        let second = plan(&standings, "y", "another reason", NOW);
        assert_eq!((second.resumes, &second.rotation), (true, &first.rotation));
        assert_eq!(second.left, ["b"]);
    }

    #[test]
    fn one_that_is_done_is_not_done_again_for_its_reason_and_is_for_another() {
        let first = plan(&[standing("a", 1)], "x", "somebody left", NOW);
        let done = [Standing { rotation: Some(first.rotation), ..standing("a", 2) }];
        assert!(plan(&done, "y", "somebody left", NOW).left.is_empty());
        let next = plan(&done, "y", "somebody else left", NOW);
        assert_eq!((next.left, next.rotation.id.as_str()), (vec!["a".to_owned()], "y"));
    }

    #[test]
    fn a_topic_that_came_later_is_no_sign_of_an_interruption() {
        let first = plan(&[standing("a", 1)], "x", "somebody left", NOW);
        let later = [Standing { rotation: Some(first.rotation), ..standing("a", 2) }, standing("view", 1)];
        let next = plan(&later, "y", "another reason", NOW);
        assert!(!next.resumes);
        assert_eq!(next.left, ["a", "view"]);
    }
}
