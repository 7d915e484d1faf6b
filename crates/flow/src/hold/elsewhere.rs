//! Cases of a lane whose position is not where its topic is.

use super::{details, reads_state};
use crate::case::{CaseKind, NewCase};
use crate::intake::Intake;
use crate::schemas::missing;
use crate::store::Lane;
use seamline_message::codec::avro::SchemaId;

/// The position is in a topic that is not this one, though it has the same name.
pub(super) fn other_topic(lane: &Lane, is_state: bool) -> NewCase {
    topic_case(lane, is_state, "other", "is another topic of the same name")
}

/// The records at the position are gone, or were never there.
pub fn out_of_range(intake: &Intake, lane: &Lane) -> NewCase {
    debug_assert_eq!(lane.subscription, intake.subscription, "a lane is read for its own subscription");
    topic_case(lane, reads_state(intake, lane), "range", RANGE_LOST)
}

/// The same of a lane of errands, which fills no table.
pub fn range_lost(lane: &Lane) -> NewCase {
    topic_case(lane, false, "range", RANGE_LOST)
}

/// Returns the case of a lane whose next record cannot be read, since its schema is not to be had: the lane waits for it.
pub fn schema_missing(lane: &Lane, id: SchemaId) -> NewCase {
    let summary = missing(&lane.topic, id);
    NewCase { summary, ..topic_case(lane, false, &format!("schema/{id}"), "") }
}

const RANGE_LOST: &str = "does not hold the position any more; records may have been missed";

fn topic_case(lane: &Lane, is_state: bool, cause: &str, what: &str) -> NewCase {
    // What was not reacted to is for people to decide.
    let mend = if is_state {
        format!("; `seamline bootstrap {}` mends it", lane.subscription)
    } else {
        String::new()
    };
    NewCase {
        kind: CaseKind::Topic,
        fingerprint: format!("topic/{}/{}/{}/{cause}", lane.subscription, lane.topic, lane.partition),
        subject: lane.subscription.to_string(),
        owed_by: lane.subscription.context.clone(),
        summary: format!("partition {} of `{}` {what}{mend}", lane.partition, lane.topic),
        details: details(lane, &[]),
    }
}
