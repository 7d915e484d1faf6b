//! The second way out of a producer's database: rows of the outbox come through logical replication, in commit order.
//!
//! Invariants: the outbox table alone says whether a row waits; the stream says what came, in which order, and wakes. A tenure
//! begins with the table. A row of the stream is handed out only when its transaction is visible to others: a server that waits
//! for its standby tells the stream before. Nothing is confirmed to the server that is not in the kept cursor, and the cursor
//! moves in the transaction that removes the rows.

pub(crate) mod buffer;
mod connect;
pub(crate) mod pgoutput;
pub mod slot;
pub(crate) mod sure;
pub(crate) mod tail;

pub(crate) use connect::{Connect, password_in};
