//! The pulse: whether the loops turn, and when databases and the log answered last.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After how long without a turn the loops count as stuck.
const STUCK: Duration = Duration::from_secs(15);

/// After how long without an answer a place counts as unreachable.
pub const UNANSWERED: Duration = Duration::from_secs(30);

/// Whether the loops turn, and when each place answered last.
#[derive(Debug, Default)]
pub struct Pulse {
    beats: Mutex<Beats>,
}

#[derive(Debug, Default)]
struct Beats {
    ticked: Option<Instant>,
    /// By place; none: it has not answered yet.
    answered: BTreeMap<String, Option<Instant>>,
}

impl Pulse {
    /// Says that the loops turn.
    pub(crate) fn tick(&self) {
        self.beats().ticked = Some(Instant::now());
    }

    /// Says that a place will have to answer.
    pub(crate) fn expect(&self, place: &str) {
        self.beats().answered.entry(place.to_owned()).or_insert(None);
    }

    /// Says that a place answered.
    pub(crate) fn answered(&self, place: &str) {
        self.beats().answered.insert(place.to_owned(), Some(Instant::now()));
    }

    /// Returns whether the loops turn.
    pub fn is_live(&self) -> bool {
        self.beats().ticked.is_some_and(|at| at.elapsed() < STUCK)
    }

    /// Returns what has not answered for too long, sorted; empty: all is well.
    pub fn unanswered(&self) -> Vec<String> {
        let beats = self.beats();
        if beats.answered.is_empty() {
            return vec!["nothing was asked yet".to_owned()];
        }
        let late = |at: &Option<Instant>| at.is_none_or(|at| at.elapsed() >= UNANSWERED);
        beats.answered.iter().filter(|(_, at)| late(at)).map(|(place, _)| place.clone()).collect()
    }

    fn beats(&self) -> std::sync::MutexGuard<'_, Beats> {
        self.beats.lock().expect("nothing panics while it holds the pulse")
    }
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn it_is_ready_once_every_place_answered() {
        let pulse = Pulse::default();
        assert!(!pulse.is_live() && !pulse.unanswered().is_empty());
        pulse.tick();
        pulse.expect("log");
        pulse.expect("core.db");
        pulse.answered("log");
        pulse.expect("log");
        assert!(pulse.is_live());
        assert_eq!(pulse.unanswered(), ["core.db"]);
        pulse.answered("core.db");
        assert_eq!(pulse.unanswered(), [""; 0]);
    }
}
