//! What is kept of the comparisons of lanes, for people: the last one of each.

use crate::port::PortError;
use crate::store::Lane;
use jiff::Timestamp;

/// The last comparison of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The lane.
    pub lane: Lane,
    /// The offset of the point.
    pub offset: u64,
    /// When it was compared.
    pub at: Timestamp,
    /// `clean`, `drift` or `inconclusive`.
    pub outcome: String,
    /// Why nothing could be said; empty where something was.
    pub reason: String,
}

/// Notes in the consumer's own database.
pub trait Notes: Send + Sync {
    /// Keeps the last comparison of a lane.
    fn note_compared(&self, note: &Note) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Returns all of them, by lane.
    fn compared(&self) -> impl Future<Output = Result<Vec<Note>, PortError>> + Send;
}
