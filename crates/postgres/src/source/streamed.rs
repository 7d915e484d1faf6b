//! The outbox read through its stream, and by its table wherever only that tells.

use super::{kept, queue};
use crate::database::{Database, commit};
use crate::logical::slot;
use crate::logical::tail::Tail;
use crate::sql::not_applied;
use jiff::Timestamp;
use seamline_flow::port::PortError;
use seamline_flow::source::{OutboxRow, Removal, Removed, Tenure};
use std::time::Duration;
use tokio::sync::Mutex;

/// How often one look may go from the stream to the table and back.
const TURNS: u32 = 4;

/// Returns rows that wait: of the table while it holds what the stream may not have brought, else of the stream.
pub(super) async fn waiting(
    database: &Database,
    tail: &mut Tail,
    limit: usize,
    weight: u64,
) -> Result<Vec<OutboxRow>, PortError> {
    let mut reader = database.pool().acquire().await.map_err(not_applied)?;
    tail.connect(&mut reader).await.map_err(not_applied)?;
    for _ in 0..TURNS {
        if tail.before_the_table(&mut reader).await.map_err(not_applied)? {
            let rows = tail.rows(&mut reader, &[], limit, weight).await.map_err(not_applied)?;
            if tail.streams() {
                return Ok(rows);
            }
            continue;
        }
        let waiting = queue::waiting(&mut reader, limit, weight).await.map_err(not_applied)?;
        tail.after_the_table(&waiting.rows, !waiting.cut && waiting.rows.len() < limit);
        if !waiting.rows.is_empty() || !tail.is_connected() {
            return Ok(kept(reader, waiting));
        }
    }
    Ok(Vec::new())
}

/// Removes rows, and keeps with it what the slot is still needed for. Only when that is committed the server is told.
pub(super) async fn remove(
    database: &Database,
    tail: &Mutex<Tail>,
    tenure: &Tenure,
    removal: &Removal,
    now: Timestamp,
    ttl: Duration,
) -> Result<Removed, PortError> {
    let leaving = tail.lock().await.leaving(removal);
    let mut transaction = database.begin().await?;
    let removed = queue::remove(&mut transaction, tenure, removal, now, ttl).await.map_err(not_applied)?;
    if removed == Removed::Fenced {
        tail.lock().await.end();
        return Ok(removed);
    }
    if let Some(cursor) = leaving.cursor {
        slot::keep(&mut transaction, cursor).await.map_err(not_applied)?;
    }
    commit(transaction).await?;
    tail.lock().await.left(&leaving, removal);
    database.rotate_in_time(now).await;
    Ok(removed)
}
