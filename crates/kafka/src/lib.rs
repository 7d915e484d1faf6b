//! The log on Apache Kafka, by librdkafka.

pub mod access;
pub mod log;
mod producer;
pub mod properties;
mod raw;
mod reader;
pub mod topic;
