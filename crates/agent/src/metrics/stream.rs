//! What auditors told, and how lanes compared with it.

use super::AgentMetrics;
use super::labels::OfLane;
use crate::lane::LaneWork;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use seamline_flow::audit::Audited;
use seamline_flow::stream::Word;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfTopic {
    context: String,
    topic: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOutcome {
    context: String,
    subscription: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(super) struct StreamFamilies {
    audit_records: Family<OfTopic, Counter>,
    audit_lag: Family<OfTopic, Gauge>,
    points: Family<OfTopic, Counter>,
    compared: Family<OfOutcome, Counter>,
    compared_at: Family<OfLane, Gauge>,
}

pub(super) fn register(registry: &mut Registry, families: &StreamFamilies) {
    let f = families;
    registry.register("audit_records", "Records that auditors read back", f.audit_records.clone());
    let lag = "Offsets between an auditor and the ends of its topic";
    registry.register("audit_lag_offsets", lag, f.audit_lag.clone());
    registry.register("points", "Points that auditors told", f.points.clone());
    let compared = "Points that lanes were held against, by what they said";
    registry.register("points_compared", compared, f.compared.clone());
    registry.register_with_unit(
        "point_compared_timestamp",
        "When a lane was last found equal to a point, or different from it, in seconds since the epoch",
        Unit::Seconds,
        f.compared_at.clone(),
    );
}

impl AgentMetrics {
    /// Counts a step of an auditor.
    pub(crate) fn audited(&self, topic: &str, audited: &Audited, lag: Option<u64>) {
        let labels = OfTopic { context: self.context.clone(), topic: topic.to_owned() };
        let families = &self.families.stream;
        match lag {
            Some(lag) => drop(families.audit_lag.get_or_create(&labels).set(super::signed(lag))),
            None => drop(families.audit_lag.remove(&labels)),
        }
        if let Audited::Moved { records, points } = audited {
            families.audit_records.get_or_create(&labels).inc_by(*records);
            families.points.get_or_create(&labels).inc_by(*points);
        }
    }

    /// Forgets when a lane compared that is no longer held here.
    pub(super) fn compared_left(&self, lane: &LaneWork<'_>) {
        self.families.stream.compared_at.remove(&self.lane(lane));
    }

    /// Counts what a point said of a lane.
    pub(crate) fn compared(&self, lane: &LaneWork<'_>, word: Word) {
        let of = self.lane(lane);
        let families = &self.families.stream;
        let (context, subscription) = (of.context.clone(), of.subscription.clone());
        families.compared.get_or_create(&OfOutcome { context, subscription, outcome: word.word() }).inc();
        if !matches!(word, Word::Inconclusive(_)) {
            families.compared_at.get_or_create(&of).set(Timestamp::now().as_second());
        }
    }
}

/// Counts something of everything, for the test that holds the reference page against what is printed.
#[cfg(test)]
pub(super) fn count(families: &StreamFamilies, lane: &OfLane) {
    let text = || "it".to_owned();
    let topic = OfTopic { context: text(), topic: text() };
    families.audit_records.get_or_create(&topic).inc();
    families.audit_lag.get_or_create(&topic).set(1);
    families.points.get_or_create(&topic).inc();
    let outcome = OfOutcome { context: text(), subscription: text(), outcome: "clean" };
    families.compared.get_or_create(&outcome).inc();
    families.compared_at.get_or_create(lane).set(1);
}
