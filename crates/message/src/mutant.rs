//! Deliberate bugs, so that a proof can show that it would notice them. Without the feature `mutants` there are none.

/// A deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// The relay reads rows above the last id it saw, and loses late commits.
    IdAfterLast,
    /// The projector stores its position before its rows.
    PositionBeforeRows,
    /// A deletion leaves no tombstone at the consumer.
    LostTombstone,
    /// Sets are summed by exclusive or, in which pairs cancel.
    XorForSum,
    /// The digest is taken of what was meant, not of what was read.
    DigestOfMeant,
    /// The projector passes over a record now and then.
    RecordDropped,
    /// A lane is equal to whatever point it is held against.
    SumsUnwatched,
    /// A batch enters the log from its end.
    OrderReversed,
    /// A view holds all attributes, whatever it is declared to hold.
    ViewUncut,
    /// Each producer has a name of its own, and fences nobody.
    FenceRemoved,
    /// Rows leave the outbox whoever holds it.
    RemovalUnfenced,
    /// The published state is read before the key is locked.
    StateBeforeLock,
    /// The record that came last wins, whatever its sequence.
    OffsetForSequence,
    /// The reactor stores its position before its reactions.
    ReactionsAfterPosition,
    /// Events of an incarnation name those of an older one as their previous.
    ChainAcrossIncarnations,
    /// Events of an older major name the previous one of the newest.
    ChainOfNewest,
    /// However many messages break their contract, all of them go aside.
    NoBreaker,
    /// A command that comes twice is put into the inbox twice.
    CommandsRepeat,
    /// A job writes how far it has read before it keeps what it read.
    JobCursorBeforeRows,
    /// A job merges over what the lane applied after it.
    JobOverwritesNewer,
    /// Rows of reference data are taken for a set before its manifest came.
    ManifestIgnored,
    /// A generation of topics is left as soon as the next begins, whatever was not read of it.
    GenerationLeftEarly,
    /// Events name no previous one.
    ChainUnnamed,
    /// Records of a key go to the partition after its own.
    PartitionOfAnother,
    /// When a change takes effect is not published.
    EffectiveLost,
    /// A projector does not count what it applied.
    AppliedUncounted,
    /// An event that ends a key is followed by a state, and by no tombstone.
    DeletionLost,
    /// Of several records of a key in one batch the first is written.
    CoalesceFirst,
    /// Of one sequence with two contents the second wins.
    ConflictApplied,
    /// A relay takes any log for that of its source.
    RewindUnseen,
}

impl Mutant {
    /// All of them: first those that the simulator knows, then those that only real servers show.
    pub const ALL: [Mutant; 30] = [
        Mutant::IdAfterLast,
        Mutant::PositionBeforeRows,
        Mutant::LostTombstone,
        Mutant::XorForSum,
        Mutant::DigestOfMeant,
        Mutant::RecordDropped,
        Mutant::SumsUnwatched,
        Mutant::OrderReversed,
        Mutant::ViewUncut,
        Mutant::FenceRemoved,
        Mutant::RemovalUnfenced,
        Mutant::StateBeforeLock,
        Mutant::OffsetForSequence,
        Mutant::ReactionsAfterPosition,
        Mutant::ChainAcrossIncarnations,
        Mutant::ChainOfNewest,
        Mutant::NoBreaker,
        Mutant::CommandsRepeat,
        Mutant::JobCursorBeforeRows,
        Mutant::JobOverwritesNewer,
        Mutant::ManifestIgnored,
        Mutant::GenerationLeftEarly,
        Mutant::ChainUnnamed,
        Mutant::PartitionOfAnother,
        Mutant::EffectiveLost,
        Mutant::AppliedUncounted,
        Mutant::DeletionLost,
        Mutant::CoalesceFirst,
        Mutant::ConflictApplied,
        Mutant::RewindUnseen,
    ];

    /// Returns those that the simulator must catch.
    pub fn simulated() -> &'static [Mutant] {
        &Mutant::ALL[..7]
    }

    /// Returns the name by which `SEAMLINE_MUTANT` chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Mutant::IdAfterLast => "id-after-last",
            Mutant::PositionBeforeRows => "position-before-rows",
            Mutant::LostTombstone => "lost-tombstone",
            Mutant::XorForSum => "xor-for-sum",
            Mutant::DigestOfMeant => "digest-of-meant",
            Mutant::RecordDropped => "record-dropped",
            Mutant::SumsUnwatched => "sums-unwatched",
            Mutant::OrderReversed => "order-reversed",
            Mutant::ViewUncut => "view-uncut",
            Mutant::FenceRemoved => "fence-removed",
            Mutant::RemovalUnfenced => "removal-unfenced",
            Mutant::StateBeforeLock => "state-before-lock",
            Mutant::OffsetForSequence => "offset-for-sequence",
            Mutant::ReactionsAfterPosition => "reactions-after-position",
            Mutant::ChainAcrossIncarnations => "chain-across-incarnations",
            Mutant::ChainOfNewest => "chain-of-newest",
            Mutant::NoBreaker => "no-breaker",
            Mutant::CommandsRepeat => "commands-repeat",
            Mutant::JobCursorBeforeRows => "job-cursor-before-rows",
            Mutant::JobOverwritesNewer => "job-overwrites-newer",
            Mutant::ManifestIgnored => "manifest-ignored",
            Mutant::GenerationLeftEarly => "generation-left-early",
            Mutant::ChainUnnamed => "chain-unnamed",
            Mutant::PartitionOfAnother => "partition-of-another",
            Mutant::EffectiveLost => "effective-lost",
            Mutant::AppliedUncounted => "applied-uncounted",
            Mutant::DeletionLost => "deletion-lost",
            Mutant::CoalesceFirst => "coalesce-first",
            Mutant::ConflictApplied => "conflict-applied",
            Mutant::RewindUnseen => "rewind-unseen",
        }
    }
}

/// Returns whether a bug is switched on; never, without the feature.
#[cfg(not(feature = "mutants"))]
pub const fn is(_mutant: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use chosen::{is, with};

#[cfg(feature = "mutants")]
mod chosen {
    use super::Mutant;
    use std::cell::Cell;
    use std::sync::OnceLock;

    thread_local! {
        static OVERRIDE: Cell<Option<Option<Mutant>>> = const { Cell::new(None) };
    }

    /// Returns whether a bug is switched on: by `with` on this thread, else by the variable `SEAMLINE_MUTANT`.
    ///
    /// # Panics
    /// When the variable names no mutant: a control that controls nothing must not pass.
    pub fn is(mutant: Mutant) -> bool {
        OVERRIDE.get().unwrap_or_else(from_environment) == Some(mutant)
    }

    /// Runs a function on this thread with a bug, or with none, whatever the environment says.
    pub fn with<T>(mutant: Option<Mutant>, run: impl FnOnce() -> T) -> T {
        struct Restore(Option<Option<Mutant>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                OVERRIDE.set(self.0);
            }
        }
        let _restore = Restore(OVERRIDE.replace(Some(mutant)));
        run()
    }

    fn from_environment() -> Option<Mutant> {
        static CHOSEN: OnceLock<Option<Mutant>> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let name = std::env::var("SEAMLINE_MUTANT").ok().filter(|name| !name.is_empty())?;
            let mutant = Mutant::ALL.into_iter().find(|mutant| mutant.name() == name);
            Some(mutant.unwrap_or_else(|| panic!("SEAMLINE_MUTANT names no mutant: `{name}`")))
        })
    }
}
