//! Reference data of one database: which sets it sends, which it takes, and the workers for both.

use crate::agent::AgentError;
use crate::clock::SystemClock;
use crate::compiled::Published;
use crate::database::Database;
use crate::lane::SitePorts;
use crate::log::SiteLog;
use crate::site::Site;
use crate::workers::Pace;
use jiff::{SignedDuration, Timestamp};
use seamline_contract::id::ContextId;
use seamline_flow::case::Cases;
use seamline_flow::clock::Clock;
use seamline_flow::hold::Step;
use seamline_flow::intake::Intake;
use seamline_flow::port::PortError;
use seamline_flow::reference::send::{self, CHUNK, Sender};
use seamline_flow::reference::take::{self, Taker};
use seamline_flow::reference::{Outflow, late, late_case};
use seamline_flow::store::Store;
use std::collections::BTreeMap;
use std::time::Duration;

/// Returns the sets that are sent from a database.
///
/// # Errors
/// When a contract does not compile.
pub(crate) fn outflows(site: &Site, published: &[Published]) -> Result<Vec<Outflow>, AgentError> {
    let compiled = published.iter().map(|it| Outflow::compile(&it.contract, &site.environment.topics));
    Ok(compiled.filter_map(Result::transpose).collect::<Result<_, _>>()?)
}

/// Returns the topics of the sets that subscriptions take.
pub(crate) fn taken(intakes: &[Intake]) -> impl Iterator<Item = &str> {
    intakes.iter().filter_map(|intake| Some(intake.reference.as_ref()?.table.topic.as_str()))
}

/// Sends the sets of a contract, as one of a database's workers.
pub(crate) struct SendWork<'a>(Sender<'a, Database, Database, SiteLog, SystemClock>);

impl<'a> SendWork<'a> {
    pub(crate) fn new(ports: SitePorts<'a>, outflow: &'a Outflow) -> Self {
        SendWork(Sender::new(ports.store, ports, outflow, CHUNK))
    }

    /// Sends the set that is due.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn step(&mut self) -> Result<Pace, PortError> {
        Ok(match self.0.step().await? {
            send::Step::Sent(rows) => Pace::Moved(rows + 1),
            send::Step::Idle => Pace::Idle,
            send::Step::NoTopic => Pace::NoTopic,
            send::Step::Busy { until } => Pace::Busy(until),
            send::Step::Stopped(case) => Pace::Stopped(case),
        })
    }
}

/// Takes the sets of a subscription, as one of a database's workers.
pub(crate) struct TakeWork<'a>(Taker<'a, Database, SiteLog, SystemClock>);

impl<'a> TakeWork<'a> {
    /// Returns the worker of a subscription; none where it takes no sets.
    pub(crate) fn new(ports: SitePorts<'a>, intake: &'a Intake) -> Option<Self> {
        Taker::new(ports, intake).map(TakeWork)
    }

    /// Reads on, and takes the newest set that is whole.
    ///
    /// # Errors
    /// The ports'; it is safe to go on.
    pub(crate) async fn step(&mut self) -> Result<Pace, PortError> {
        Ok(match self.0.step().await? {
            Step::Moved(moved) => Pace::Moved(moved.handed.max(1)),
            Step::Idle | Step::Fenced | Step::Waiting => Pace::Idle,
            Step::Busy { until } => Pace::Busy(until),
            Step::NoTopic => Pace::NoTopic,
            Step::Stopped(case) => Pace::Stopped(case),
        })
    }
}

/// How long a set must be seen to be late before it is told: who just began takes it in that time.
const GRACE: SignedDuration = SignedDuration::from_secs(5);

/// Tells of sets that are late, each hour of a subscription once.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<String, Late>);

/// A set that is late.
#[derive(Debug, Clone, Copy)]
struct Late {
    due: Timestamp,
    since: Timestamp,
    told: bool,
}

impl Told {
    /// Raises the cases of what is late and was not told of.
    ///
    /// # Errors
    /// The database's; it is safe to repeat.
    pub(crate) async fn tell(&mut self, ports: SitePorts<'_>, intakes: &[Intake]) -> Result<(), PortError> {
        for intake in intakes {
            let Some(sets) = &intake.reference else { continue };
            let (name, now) = (intake.subscription.to_string(), ports.clock.now());
            let there = ports.store.taken(&intake.subscription).await?;
            let Some(due) = late(sets, there.as_ref(), now) else {
                self.0.remove(&name);
                continue;
            };
            let first = Late { due, since: now, told: false };
            let seen = self.0.entry(name).or_insert(first);
            if seen.told && seen.due != due {
                *seen = Late { due, ..first };
            }
            if !seen.told && now.duration_since(seen.since) >= GRACE {
                ports.store.raise(&late_case(intake, due), now).await?;
                seen.told = true;
            }
        }
        Ok(())
    }
}

/// Gives back the leases of sets, so that the next one need not wait for their ends.
///
/// # Errors
/// The store's; a lease that was not given back ends by itself.
pub(crate) async fn release(
    ports: SitePorts<'_>,
    context: &ContextId,
    outflows: &[Outflow],
    intakes: &[Intake],
) -> Result<(), PortError> {
    let sent = outflows.iter().map(|outflow| send::lease(context, outflow));
    let taken = intakes.iter().filter_map(|intake| Some(take::lane(intake, intake.reference.as_ref()?)));
    for lane in sent.chain(taken) {
        ports.store.grip(&lane, ports.holder, ports.clock.now(), Duration::ZERO, false).await?;
    }
    Ok(())
}
