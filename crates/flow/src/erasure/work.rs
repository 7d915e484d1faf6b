//! One step of an erasure in one database, whoever takes it. Each may be done again after the end of a process.

use crate::clock::Clock;
use crate::erasure::{Ahead, EraseOrders, Erasing, ErasureId, KEYS, Scrub, Subject, copy, source};
use crate::hold::Ports;
use crate::inbox::Inbox;
use crate::intake::Intake;
use crate::job::decide::{held, over};
use crate::job::orders::{read, read_progress, write};
use crate::job::rehearse::Stepped;
use crate::job::{Job, JobStage, Jobs, Part, change};
use crate::log::Log;
use crate::outlet::Outlet;
use crate::port::PortError;
use crate::seal::Vault;
use crate::source::Source;
use crate::stop;
use crate::store::Store;
use std::time::Duration;

/// What a database publishes and keeps.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// What is published from it.
    pub outlets: &'a [&'a Outlet],
    /// The subscriptions that are kept in it.
    pub intakes: &'a [Intake],
}

/// Brings an erasure that was taken one step further, and writes how far it is.
///
/// # Errors
/// The ports'. It is safe to go on from what the database says.
pub async fn step<D, L, C>(
    ports: Ports<'_, D, L, C>,
    here: Here<'_>,
    job: &mut Job,
) -> Result<Stepped, PortError>
where
    D: Source + Store + Inbox + Jobs + Scrub + Vault,
    L: Log,
    C: Clock,
{
    let texts = read::<EraseOrders>(&job.filed.orders)
        .and_then(|orders| Ok((orders, read_progress::<Erasing>(&job.progress)?)));
    let (orders, mut at) = match texts {
        Ok(texts) => texts,
        Err(error) => return finish(ports, job, JobStage::Failed, &error.to_string()).await,
    };
    at.version = 1;
    let Ok(id) = orders.id.parse::<ErasureId>() else {
        return finish(ports, job, JobStage::Failed, "its orders name no erasure").await;
    };
    if at.forgotten {
        return scrubbed(ports, job, &at).await;
    }
    let part = ports.store.parts(job.id).await?.into_iter().find(|part| part.part == KEYS);
    let Some(part) = part else {
        let why = "nobody said which keys: the command that filed it was ended, run it again";
        return wait(ports, job, &at, why).await;
    };
    let subject = match read::<Subject>(&part.progress) {
        Ok(subject) => subject,
        // The keys were forgotten, and the end of a process came before that was written down.
        Err(_) if is_over(&at, &orders, here) => return forgotten(ports, job, &mut at, part).await,
        Err(error) => return finish(ports, job, JobStage::Failed, &error.to_string()).await,
    };
    let mut waits = Vec::new();
    for outlet in here.outlets.iter().filter(|outlet| orders.is_for_outlet(outlet)) {
        match source::step(ports, outlet, (&id, &subject), &mut at).await? {
            Ahead::Moved => return keep(ports, job, &at).await,
            Ahead::Waits(why) => waits.push(why),
            Ahead::Over => {}
        }
    }
    for intake in here.intakes.iter().filter(|intake| orders.is_for_intake(intake)) {
        match copy::step(ports, intake, (&orders.id, &subject), &mut at).await? {
            Ahead::Moved => return keep(ports, job, &at).await,
            Ahead::Waits(why) => waits.push(why),
            Ahead::Over => {}
        }
    }
    if !waits.is_empty() {
        return wait(ports, job, &at, &waits.join("; ")).await;
    }
    forgotten(ports, job, &mut at, part).await
}

/// Whether all that is here has done its part.
fn is_over(at: &Erasing, orders: &EraseOrders, here: Here<'_>) -> bool {
    let outlets = here.outlets.iter().filter(|outlet| orders.is_for_outlet(outlet));
    let intakes = here.intakes.iter().filter(|intake| orders.is_for_intake(intake));
    let source = |name: String| at.sources.get(&name).is_some_and(|proof| proof.done.is_some());
    let copy = |name: String| at.copies.get(&name).is_some_and(|proof| proof.done.is_some());
    outlets.map(|outlet| outlet.contract.name.to_string()).all(source)
        && intakes.map(|intake| intake.subscription.to_string()).all(copy)
}

/// Forgets the keys: from here on only the proof is kept.
async fn forgotten<D: Jobs, L: Log, C: Clock>(
    ports: Ports<'_, D, L, C>,
    job: &mut Job,
    at: &mut Erasing,
    part: Part,
) -> Result<Stepped, PortError> {
    if !part.progress.is_empty() {
        let empty = Part { progress: String::new(), ..part };
        if !ports.store.change_part(job.id, &empty).await? {
            return Ok(Stepped::Lost);
        }
        stop::here("erase-forgot");
    }
    at.forgotten = true;
    keep(ports, job, at).await
}

async fn scrubbed<D: Jobs + Scrub, L: Log, C: Clock>(
    ports: Ports<'_, D, L, C>,
    job: &mut Job,
    at: &Erasing,
) -> Result<Stepped, PortError> {
    if !ports.store.scrub().await? {
        return wait(
            ports,
            job,
            at,
            "others use the database file, and what was deleted is not out of it yet",
        )
        .await;
    }
    stop::here("erase-scrubbed");
    finish(ports, job, JobStage::Done, "").await
}

async fn finish<D: Jobs, L: Log, C: Clock>(
    ports: Ports<'_, D, L, C>,
    job: &mut Job,
    stage: JobStage,
    note: &str,
) -> Result<Stepped, PortError> {
    let next = over(job, stage, note, ports.clock.now());
    Ok(if change(ports.store, job, next).await? { Stepped::Over } else { Stepped::Lost })
}

/// Writes how far it is, and stays its worker.
async fn keep<D: Jobs, L: Log, C: Clock>(
    ports: Ports<'_, D, L, C>,
    job: &mut Job,
    at: &Erasing,
) -> Result<Stepped, PortError> {
    let next = held(job, ports.holder, ports.clock.now(), ports.ttl);
    let next = Job { progress: write(at), ..next };
    Ok(if change(ports.store, job, next).await? { Stepped::Moved(1) } else { Stepped::Lost })
}

/// Stays its worker while nothing can be done, and says why.
async fn wait<D: Jobs, L: Log, C: Clock>(
    ports: Ports<'_, D, L, C>,
    job: &mut Job,
    at: &Erasing,
    why: &str,
) -> Result<Stepped, PortError> {
    let now = ports.clock.now();
    let age = Duration::try_from(now.duration_since(job.changed)).unwrap_or(ports.ttl);
    if job.note != why || age >= ports.ttl / 2 {
        let next = held(job, ports.holder, now, ports.ttl);
        let next = Job { progress: write(at), note: why.to_owned(), ..next };
        if !change(ports.store, job, next).await? {
            return Ok(Stepped::Lost);
        }
    }
    Ok(Stepped::Waiting(why.to_owned()))
}
