//! What a port can say when it does not answer: surely nothing happened, or it may have.

/// The error behind a port's failure.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A port gave no answer of its own. Facts such as "fenced" are answers, not errors.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The call surely had no effect.
    #[error("not applied: {0}")]
    NotApplied(#[source] Cause),
    /// The call may have had its whole effect, or none. The caller must be safe to repeat.
    #[error("outcome unknown: {0}")]
    Unknown(#[source] Cause),
}
