//! The faults that a run injects, and how often each really fired.

use std::collections::BTreeMap;
use std::fmt;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// An actor died between two steps.
    Crash,
    /// A call had its effect, and its answer was lost.
    LostAnswer,
    /// A call had no effect, and its answer was lost.
    LostCall,
    /// A call was refused without an effect.
    Refusal,
    /// An actor slept longer than its lease.
    Pause,
    /// A clock jumped.
    Skew,
    /// A transaction of the service rolled back, and left a hole in the ids.
    Rollback,
    /// A transaction committed after one that had drawn a higher id.
    LateCommit,
    /// The log was written by a producer that a later fence had shut out.
    ZombieAppend,
    /// An outbox was emptied under an older epoch.
    ZombieRemoval,
    /// A store was written under an older epoch or from another position.
    ZombieCommit,
    /// A record was removed by compaction.
    Compaction,
    /// A tombstone was removed.
    TombstoneRemoval,
    /// Offsets were skipped.
    Hole,
    /// The last record of a key was appended again.
    Repetition,
    /// An older record of a key was appended again behind a newer one.
    OldRecord,
    /// A record that nobody can read was appended.
    Poison,
    /// A row that breaks its contract was published.
    Broken,
    /// A row of the source changed without being published.
    Silent,
    /// A row of the outbox vanished.
    LostRow,
    /// A cell of a projection was changed by hand.
    HandEdit,
    /// A row of a projection was deleted by hand.
    HandDelete,
    /// A row of a projection was inserted by hand.
    HandInsert,
    /// The sums of a lane were wrong.
    WrongSums,
    /// The source was restored to an earlier state.
    Rewind,
    /// A topic was made anew.
    TopicAnew,
    /// A record was not handed over to a consumer.
    Lost,
    /// A record was handed over to a consumer with another content.
    Altered,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Fault; 28] = [
        Fault::Crash,
        Fault::LostAnswer,
        Fault::LostCall,
        Fault::Refusal,
        Fault::Pause,
        Fault::Skew,
        Fault::Rollback,
        Fault::LateCommit,
        Fault::ZombieAppend,
        Fault::ZombieRemoval,
        Fault::ZombieCommit,
        Fault::Compaction,
        Fault::TombstoneRemoval,
        Fault::Hole,
        Fault::Repetition,
        Fault::OldRecord,
        Fault::Poison,
        Fault::Broken,
        Fault::Silent,
        Fault::LostRow,
        Fault::HandEdit,
        Fault::HandDelete,
        Fault::HandInsert,
        Fault::WrongSums,
        Fault::Rewind,
        Fault::TopicAnew,
        Fault::Lost,
        Fault::Altered,
    ];
}

/// How often each kind of fault fired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fired(pub BTreeMap<Fault, u64>);

impl Fired {
    /// Counts one more.
    pub fn count(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Fired) {
        for (fault, times) in &other.0 {
            *self.0.entry(*fault).or_default() += times;
        }
    }

    /// Returns the kinds that never fired.
    pub fn never(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| !self.0.contains_key(fault)).collect()
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, times) in &self.0 {
            writeln!(f, "{times:>9} {fault:?}")?;
        }
        Ok(())
    }
}
