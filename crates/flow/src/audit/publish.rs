//! What an auditor tells consumers: the sums of points, in a topic beside the one that they are of.

use crate::digest_key::ledger_topic;
use crate::log::{Cleanup, Incoming, Outgoing, TopicSpec};
use crate::points::Point;
use crate::position::TopicIdentity;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seamline_message::headers::Headers;
use seamline_message::sums::Sums;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of the form in which a point is sent.
const VERSION: u32 = 1;

/// How long a point is kept: who comes later compares with the next.
const KEPT: Duration = Duration::from_hours(1);

/// The sums of a point, as the auditor of a topic tells them.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The id of the topic that they are of.
    pub topic_id: String,
    /// The epoch of the digest key.
    pub epoch: u32,
    /// The partition.
    pub partition: u32,
    /// The point.
    pub point: Point,
}

/// The form in which it is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    version: u32,
    topic_id: String,
    epoch: u32,
    partition: u32,
    offset: u64,
    sums: String,
}

/// Returns the name of the topic with the points of a topic.
pub fn points_topic(topic: &str) -> String {
    format!("{}.points", ledger_topic(topic))
}

/// Returns the name under which the points of a topic are appended.
pub fn producer_name(topic: &str) -> String {
    format!("points/{topic}")
}

/// Returns the topic with the points of a topic, as it should be. It is apart from the ledger topic, which is read whole by whoever
/// needs a digest key or a schema: points come each second, and are of no use an hour later.
pub fn points_spec(topic: &str) -> TopicSpec {
    let cleanup = Cleanup::Delete { retention: Some(KEPT) };
    TopicSpec { name: points_topic(topic), partitions: 1, cleanup, value_bytes_max: 0 }
}

/// Returns a point as a record.
///
/// # Panics
/// Never: numbers and texts have a JSON form.
pub fn record(topic: &TopicIdentity, published: &Published) -> Outgoing {
    let sent = Sent {
        version: VERSION,
        topic_id: published.topic_id.clone(),
        epoch: published.epoch,
        partition: published.partition,
        offset: published.point.offset,
        sums: STANDARD.encode(published.point.sums.to_bytes()),
    };
    Outgoing {
        topic: points_topic(&topic.name),
        partition: 0,
        key: Some(published.partition.to_string().into_bytes()),
        headers: Headers::default(),
        value: Some(serde_json::to_vec(&sent).expect("it has a JSON form")),
    }
}

/// Reads a point; none where the record is none in a form that is known here.
pub fn read(record: &Incoming) -> Option<Published> {
    let sent: Sent = serde_json::from_slice(record.value.as_deref()?).ok()?;
    if sent.version != VERSION {
        return None;
    }
    let sums = Sums::from_bytes(&STANDARD.decode(sent.sums).ok()?).ok()?;
    let Sent { topic_id, epoch, partition, offset, .. } = sent;
    Some(Published { topic_id, epoch, partition, point: Point { offset, sums } })
}

#[cfg(test)]
mod tests {
    use super::{Published, read, record};
    use crate::log::Incoming;
    use crate::points::Point;
    use crate::position::TopicIdentity;
    use jiff::Timestamp;
    use seamline_message::headers::Headers;
    use seamline_message::sums::{BucketSum, Sums};

    fn incoming(value: Vec<u8>) -> Incoming {
        Incoming {
            offset: 0,
            leader_epoch: 0,
            time: Timestamp::UNIX_EPOCH,
            key: None,
            headers: Headers::default(),
            value: Some(value),
            fault: None,
        }
    }

    #[test]
    fn a_point_reads_as_it_was_sent_and_another_form_is_not_read() {
        let mut sums = Sums::new();
        sums.buckets[63] = BucketSum { count: 1, digests: u128::MAX, sequences: 9 };
        let topic = TopicIdentity {
            cluster: "c".to_owned(),
            name: "t".to_owned(),
            id: "7".to_owned(),
            partitions: 2,
        };
        let point = Point { offset: 1024, sums };
        let published = Published { topic_id: "7".to_owned(), epoch: 3, partition: 1, point };
        let sent = record(&topic, &published);
        assert_eq!(sent.topic, "t.ledger.points");
        let value = sent.value.unwrap();
        assert_eq!(read(&incoming(value.clone())), Some(published));
        let newer = String::from_utf8(value).unwrap().replace("\"version\":1", "\"version\":2");
        assert_eq!(read(&incoming(newer.into_bytes())), None);
        assert_eq!(read(&incoming(b"no point".to_vec())), None);
    }
}
