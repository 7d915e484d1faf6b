//! The last batch record of a source in the log.

use crate::log::{Incoming, Log};
use crate::outlet::OutletSet;
use crate::port::PortError;
use crate::relay::batch::{self, BatchRecord};
use crate::sweep::Sweep;

/// How many records of the batches topic are read at once.
const READ_MAX: usize = 500;

/// Returns the last batch record of a source in the log; a record that cannot be read is none of its history.
pub(crate) async fn last_batch<L: Log>(
    log: &L,
    outlets: &OutletSet,
) -> Result<Option<BatchRecord>, PortError> {
    let spec = outlets.batches();
    let topic = log.create(&spec).await?;
    let whole = Sweep::begin(log, &topic, 0).await?;
    // It is nearly always among the last: until compaction there is one record for each batch.
    let tail = whole.clone().from(whole.end.saturating_sub(READ_MAX as u64));
    let value = match last_value(log, outlets, tail).await? {
        Some(value) => Some(value),
        None => last_value(log, outlets, whole).await?,
    };
    let Some(value) = value else { return Ok(None) };
    let unreadable = || PortError::NotApplied(Box::new(UnreadableBatch(spec.name.clone())));
    batch::decode(&value).ok_or_else(unreadable).map(Some)
}

async fn last_value<L: Log>(
    log: &L,
    outlets: &OutletSet,
    mut sweep: Sweep,
) -> Result<Option<Vec<u8>>, PortError> {
    let name = outlets.source_name();
    let mut last = None;
    while let Some(records) = sweep.next(log, READ_MAX).await? {
        let is_ours = |record: &Incoming| record.key.as_deref() == Some(name.as_bytes());
        last = records.into_iter().rfind(is_ours).map_or(last, |record| record.value);
    }
    Ok(last)
}

/// The last batch record has a form that is not known here: a newer program wrote it.
#[derive(Debug, thiserror::Error)]
#[error("the topic `{0}` holds a batch record in a form that is not known here")]
pub struct UnreadableBatch(pub String);
