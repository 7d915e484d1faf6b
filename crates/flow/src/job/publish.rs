//! The work on a backfill: the keys of a contract go through the outbox once more, chunk by chunk, from where it was.

use crate::backfill::{Progress, backfill};
use crate::clock::Clock;
use crate::job::decide::{held, over};
use crate::job::orders::{Publishing, read_progress, write};
use crate::job::rehearse::Stepped;
use crate::job::{Job, JobStage, Jobs, change};
use crate::port::PortError;
use crate::source::Source;
use crate::stop;
use seamline_contract::id::ContractId;
use seamline_message::key::RecordKey;
use std::time::Duration;

/// Publishes the next chunk of a backfill that was taken, and writes how far it is.
///
/// # Errors
/// The ports'. It is safe to go on from what the database says: keys published twice do no harm.
pub async fn step<S: Source + Jobs, C: Clock>(
    source: &S,
    clock: &C,
    (holder, ttl): (&str, Duration),
    contract: &ContractId,
    job: &mut Job,
) -> Result<Stepped, PortError> {
    let now = clock.now();
    let mut at = match read_progress::<Publishing>(&job.progress) {
        Ok(at) if at.began.is_some() => at,
        Ok(_) => Publishing::at(now),
        Err(error) => {
            let next = over(job, JobStage::Failed, error.to_string(), now);
            return Ok(if change(source, job, next).await? { Stepped::Over } else { Stepped::Lost });
        }
    };
    let after = at.after.as_ref().and_then(|text| RecordKey::parse(text.as_bytes()).ok());
    let before = Progress { after, rows: at.rows, done: false };
    let Progress { after, rows, done } = backfill(source, contract, &before).await?;
    stop::here("job-emitted");
    at.after = after.map(|key| key.as_str().to_owned());
    let moved = rows - at.rows;
    at.rows = rows;
    let now = clock.now();
    let next = if done { over(job, JobStage::Done, "", now) } else { held(job, holder, now, ttl) };
    let next = Job { progress: write(&at), ..next };
    if !change(source, job, next).await? {
        return Ok(Stepped::Lost);
    }
    Ok(if done { Stepped::Over } else { Stepped::Moved(moved) })
}
