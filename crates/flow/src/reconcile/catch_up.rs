//! Brings the lanes of a subscription to the ends of their partitions, so that what they hold can be compared.

use crate::clock::Clock;
use crate::hold::{DigestEpoch, Hold, Ports, Step, Take, lost};
use crate::intake::Intake;
use crate::log::Log;
use crate::port::PortError;
use crate::position::TopicIdentity;
use crate::projector::{Projector, state_of};
use crate::store::{Committed, Store};

/// How often a lane is taken again before a pass gives it up.
const TAKEN_MAX: usize = 8;

/// Lanes brought to the end of their partitions, or why not.
pub(super) struct Caught {
    pub(super) topic: Option<TopicIdentity>,
    pub(super) holds: Vec<Hold>,
    pub(super) reasons: Vec<String>,
}

pub(super) async fn catch_up<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    intake: &Intake,
    digest: DigestEpoch,
) -> Result<Caught, PortError> {
    let name = &state_of(intake).topic;
    let mut caught = Caught { topic: ports.log.topic(name).await?, holds: Vec::new(), reasons: Vec::new() };
    let Some(topic) = caught.topic.clone() else {
        caught.reasons.push(format!("topic `{name}` is not there"));
        return Ok(caught);
    };
    for partition in 0..topic.partitions {
        let taken = Projector::take(ports, intake, partition, digest, true).await?;
        let lane = format!("partition {partition} of `{name}`");
        let mut projector = match taken {
            Take::Held(projector) => projector,
            Take::Busy { .. } => {
                caught.reasons.push(format!("{lane} is held by another"));
                continue;
            }
            Take::NoTopic => {
                caught.reasons.push(format!("{lane} is not there"));
                continue;
            }
            Take::Stopped(case) => {
                caught.reasons.push(case.summary);
                continue;
            }
        };
        match to_end(ports, &mut projector, &lane).await? {
            None => caught.holds.push(projector.hold),
            Some(reason) => caught.reasons.push(reason),
        }
    }
    Ok(caught)
}

/// Brings a lane to the end that it has at the start. Returns why it did not come so far.
async fn to_end<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    projector: &mut Projector<'_, S, L, C>,
    lane: &str,
) -> Result<Option<String>, PortError> {
    let Some((_, end)) = ports.log.ends(&projector.hold.topic, projector.hold.lane.partition).await? else {
        return Ok(Some(format!("{lane} is not there")));
    };
    let mut taken = 0;
    loop {
        if projector.hold.grip.is_some() && projector.hold.offset() >= end {
            return Ok(None);
        }
        match projector.step().await? {
            Step::Moved(_) => {}
            Step::Fenced if taken < TAKEN_MAX => taken += 1,
            Step::Stopped(case) => return Ok(Some(case.summary)),
            Step::NoTopic => return Ok(Some(format!("{lane} is not there"))),
            Step::Fenced | Step::Busy { .. } => return Ok(Some(format!("{lane} is held by another"))),
            Step::Idle | Step::Waiting => return Ok(Some(format!("{lane} ends before its end"))),
        }
    }
}

/// Writes each lane's state once more under its epoch. Returns why not, once another took one: what was read since the lanes
/// were taken may then be the other's.
pub(super) async fn claim<S: Store, L: Log, C: Clock>(
    ports: Ports<'_, S, L, C>,
    holds: &mut [Hold],
) -> Result<Option<String>, PortError> {
    for hold in holds {
        let batch = hold.batch(hold.state().clone());
        if hold.commit(ports, None, batch).await? == Committed::Fenced {
            return Ok(Some(lost(hold)));
        }
    }
    Ok(None)
}
