//! Lets a producer send at once what it gathers.

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use std::time::Duration;

/// Asks a producer to send what it gathers without waiting for more, and waits so long until nothing is on its way. The
/// safe client looks only every tenth of a second.
pub(crate) fn hurry<C: ClientContext>(client: &Client<C>, patience: Duration) {
    let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client lives for the whole call. That something is on its way still is told by its count.
    let _ended = unsafe { sys::rd_kafka_flush(client.native_ptr(), millis) };
}
