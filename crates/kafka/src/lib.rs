//! The log on Apache Kafka, by librdkafka.

pub mod access;
mod answer;
mod aside;
mod ends;
pub mod log;
pub mod open;
mod producer;
pub mod properties;
mod raw;
mod reader;
mod token;
pub mod topic;
