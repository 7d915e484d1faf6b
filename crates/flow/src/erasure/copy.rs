//! A consumer's side of an erasure: confirms by position, once nothing from before is in its table, its quarantine or its inbox.

use crate::clock::Clock;
use crate::digest_key;
use crate::erasure::mark;
use crate::erasure::{Ahead, CopyProof, Erasing, Subject};
use crate::hold::{DigestEpoch, Ports};
use crate::inbox::Inbox;
use crate::intake::Intake;
use crate::job::{JobKind, Jobs};
use crate::log::Log;
use crate::port::PortError;
use crate::quarantine::{Treated, discard};
use crate::stop;
use crate::store::{AsideRecord, Store};
use seamline_message::key::RecordKey;
use seamline_message::sequence::Sequence;
use std::collections::BTreeMap;

/// How many keys are asked for at once, and how many records of one key.
const PAGE: usize = 500;

/// What one subscription has to do.
struct Desk<'a, D, L, C> {
    ports: Ports<'a, D, L, C>,
    intake: &'a Intake,
    keys: Vec<RecordKey>,
}

/// Brings the erasure at one subscription a step further.
pub(crate) async fn step<D: Store + Inbox + Jobs, L: Log, C: Clock>(
    ports: Ports<'_, D, L, C>,
    intake: &Intake,
    (id, subject): (&str, &Subject),
    at: &mut Erasing,
) -> Result<Ahead, PortError> {
    let keys = subject.keys(&intake.contract.name.to_string());
    let proof = at.copies.entry(intake.subscription.to_string()).or_default();
    proof.keys = keys.len() as u64;
    if proof.done.is_some() {
        return Ok(Ahead::Over);
    }
    let desk = Desk { ports, intake, keys };
    let after = match desk.reached(id, proof).await? {
        Ok(after) => after,
        Err(why) => return Ok(Ahead::Waits(why)),
    };
    let quarantine = desk.quarantine(after, proof).await?;
    if quarantine != Ahead::Over {
        return Ok(quarantine);
    }
    if let Some(why) = desk.table(after).await? {
        return Ok(Ahead::Waits(why));
    }
    let purged = ports.store.purge_done(&intake.subscription, &desk.keys).await?;
    if purged.gone > 0 {
        stop::here("erase-purged");
        proof.inbox += purged.gone;
        return Ok(Ahead::Moved);
    }
    if purged.open > 0 {
        let name = &intake.subscription;
        return Ok(Ahead::Waits(format!(
            "{name}: {} reactions of these keys are not done, see `seamline inbox list`",
            purged.open
        )));
    }
    proof.done = Some(ports.clock.now());
    Ok(Ahead::Moved)
}

impl<D: Store + Inbox + Jobs, L: Log, C: Clock> Desk<'_, D, L, C> {
    /// Returns the sequence up to which all is from before, once all lanes have read as far as their owner marked; else why not.
    async fn reached(&self, id: &str, proof: &mut CopyProof) -> Result<Result<u64, String>, PortError> {
        let name = &self.intake.subscription;
        let state = self.intake.state.as_ref().map(|state| &state.topic);
        let events = self.intake.events.as_ref().map(|events| &events.topic);
        let mut after = 0;
        let lanes = self.ports.store.lanes(name).await?;
        let mut positions: BTreeMap<String, BTreeMap<u32, u64>> = BTreeMap::new();
        for topic in state.into_iter().chain(events) {
            let Some(mark) = mark::read(self.ports.log, topic, id).await? else {
                let owner = &self.intake.contract.name.context;
                return Ok(Err(format!("{name}: `{owner}` has not said yet that `{topic}` is erased")));
            };
            after = after.max(mark.after);
            for (partition, end) in &mark.ends {
                let lane =
                    lanes.iter().find(|(lane, _)| lane.topic == *topic && lane.partition == *partition);
                let position = lane.and_then(|(_, state)| state.position.as_ref());
                let position = position.filter(|position| position.topic_id == mark.topic_id);
                let read = position.map_or(0, |position| position.offset);
                if read < *end {
                    let place = format!("partition {partition} of `{topic}`");
                    return Ok(Err(format!("{name}: {place} is read up to {read}, and must be up to {end}")));
                }
                positions.entry(topic.clone()).or_default().insert(*partition, read);
            }
        }
        proof.positions = positions;
        Ok(Ok(after))
    }

    /// Gives up what quarantine holds from before.
    async fn quarantine(&self, after: u64, proof: &mut CopyProof) -> Result<Ahead, PortError> {
        let mut gone = 0;
        for key in &self.keys {
            let records = self.ports.store.aside(&self.intake.subscription, Some(key), PAGE).await?;
            let before = |record: &&AsideRecord| record.sequence.is_none_or(|it| it <= Sequence(after));
            for record in records.iter().filter(before) {
                match self.discarded(record).await? {
                    Treated::Done { .. } | Treated::Gone => gone += 1,
                    Treated::NotFirst { .. } => {}
                    Treated::Busy { .. } => {
                        return Ok(Ahead::Waits("a lane is held by another agent".to_owned()));
                    }
                    Treated::Refused(why) | Treated::StillInvalid(why) => return Ok(Ahead::Waits(why)),
                    Treated::StillBroken => {
                        return Ok(Ahead::Waits("a chain is broken, see `seamline case list`".to_owned()));
                    }
                }
            }
        }
        if gone == 0 {
            return Ok(Ahead::Over);
        }
        stop::here("erase-discarded");
        proof.quarantine += gone;
        Ok(Ahead::Moved)
    }

    async fn discarded(&self, record: &AsideRecord) -> Result<Treated, PortError> {
        let Some((epoch, key)) = digest_key::current(self.ports.log, &record.lane.topic).await? else {
            return Ok(Treated::Refused(format!("topic `{}` has no digest key", record.lane.topic)));
        };
        discard(self.ports, self.intake, DigestEpoch { epoch, key }, &record.lane, record.offset).await
    }

    /// Returns why the table, or a job that reads for it, may still hold what is from before.
    async fn table(&self, after: u64) -> Result<Option<String>, PortError> {
        let name = self.intake.subscription.to_string();
        let Some(state) = &self.intake.state else { return Ok(None) };
        let mut older = 0;
        for keys in self.keys.chunks(PAGE) {
            let markers = self.ports.store.markers(&state.projection, keys).await?;
            let rows = markers.iter().filter_map(|it| it.row.as_ref());
            older += rows.filter(|row| row.sequence <= Sequence(after)).count();
        }
        if older > 0 {
            let table = &state.projection.table;
            let why = if state.projection.keep_ended {
                "it keeps rows of keys that ended (`onDelete: mark`) until its service deletes them"
            } else {
                "see `seamline quarantine list`"
            };
            return Ok(Some(format!("{name}: {older} rows of `{table}` are from before the erasure: {why}")));
        }
        let open = self.ports.store.jobs(false).await?.into_iter();
        let mut others = open.filter(|job| job.filed.kind != JobKind::Erase && job.filed.subject == name);
        Ok(others.next().map(|job| format!("{name}: job {} has read what is from before", job.id)))
    }
}
