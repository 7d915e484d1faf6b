//! Clock and randomness as ports, so that every run can be repeated.

use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Returns the present moment. It may jump in both directions.
    fn now(&self) -> Timestamp;
}

/// Gives random bytes.
pub trait Entropy: Send + Sync {
    /// Returns 32 bytes that nobody could guess.
    fn bytes(&self) -> [u8; 32];
}
