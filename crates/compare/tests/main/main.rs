//! What a comparison promises, over rows in memory.

#![expect(clippy::unwrap_used, reason = "a test falls where it goes wrong")]

mod memory;
mod naive;
mod parquet;
mod settles;
