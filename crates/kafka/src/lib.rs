//! Log on Apache Kafka, by librdkafka.
