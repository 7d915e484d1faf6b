//! The log on Apache Kafka, by librdkafka.

pub mod access;
mod aside;
pub mod log;
mod producer;
pub mod properties;
mod raw;
mod reader;
mod token;
pub mod topic;
