//! Where partitions end at least.

use crate::producer::Ends;
use crate::reader::Place;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ends that we heard of: of our own transactions, and from the broker. A reader's own word may be older, since its client fetches
/// in the background.
#[derive(Default)]
pub(crate) struct KnownEnds(Mutex<Ends>);

impl KnownEnds {
    fn locked(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps ends in mind where they are later than what is known.
    pub(crate) fn learn(&self, ends: Ends) {
        let mut known = self.locked();
        for (topic, ends) in ends {
            let known = known.entry(topic).or_default();
            for (partition, end) in ends {
                let known = known.entry(partition).or_default();
                *known = end.max(*known);
            }
        }
    }

    /// Forgets a topic: its name is another's now.
    pub(crate) fn forget(&self, topic: &str) {
        self.locked().remove(topic);
    }

    /// Returns the latest end known of a partition; 0 when none is.
    pub(crate) fn of(&self, place: &Place) -> u64 {
        let known = self.locked();
        known.get(&place.topic).and_then(|ends| ends.get(&place.partition)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn ends(topic: &str, end: u64) -> Ends {
        BTreeMap::from([(topic.to_owned(), BTreeMap::from([(1, end)]))])
    }

    #[test]
    fn an_end_never_goes_back_until_the_topic_is_another() {
        let place = |partition| Place { id: "id".to_owned(), topic: "orders".to_owned(), partition };
        let known = KnownEnds::default();
        assert_eq!(known.of(&place(1)), 0);
        known.learn(ends("orders", 7));
        known.learn(ends("orders", 5));
        known.learn(ends("items", 9));
        assert_eq!((known.of(&place(1)), known.of(&place(0))), (7, 0));
        known.forget("orders");
        known.learn(ends("orders", 2));
        assert_eq!(known.of(&place(1)), 2);
    }
}
