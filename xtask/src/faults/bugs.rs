//! The deliberate bugs that real servers show, and which scenario must notice which.

use anyhow::{Context, Result};

/// A deliberate bug, what it does, and the scenarios each of which must fail with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    pub(crate) does: &'static str,
    pub(crate) scenarios: &'static [&'static str],
}

/// The deliberate bugs that real servers show.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "id-after-last",
        does: "The relay reads rows above the last id that it saw.",
        scenarios: &["writers"],
    },
    Mutant {
        name: "state-before-lock",
        does: "The state is read before its key is locked.",
        scenarios: &["writers"],
    },
    Mutant {
        name: "fence-removed",
        does: "Each producer has a name of its own, and fences nobody.",
        scenarios: &["zombie-produced"],
    },
    Mutant {
        name: "removal-unfenced",
        does: "Rows leave the outbox whoever holds it.",
        scenarios: &["zombie-committed"],
    },
    Mutant { name: "order-reversed", does: "A batch enters the log from its end.", scenarios: &["calm"] },
    Mutant { name: "view-uncut", does: "A view holds all attributes.", scenarios: &["calm"] },
    Mutant {
        name: "position-before-rows",
        does: "The projector stores its position before its rows.",
        scenarios: &["killed-applied", "grants-revoked", "second-unique-key", "disk-full-projection"],
    },
    Mutant {
        name: "reactions-after-position",
        does: "The reactor stores its position before its reactions.",
        scenarios: &["killed-reacting"],
    },
    Mutant {
        name: "commands-repeat",
        does: "A command that comes twice is put into the inbox twice.",
        scenarios: &["killed-commands"],
    },
    Mutant {
        name: "manifest-ignored",
        does: "Rows of reference data are taken for a set before its manifest came.",
        scenarios: &["killed-reference"],
    },
    Mutant {
        name: "offset-for-sequence",
        does: "The record that came last wins, whatever its sequence.",
        scenarios: &["repeated-records"],
    },
    // kafka-connect-jdbc 1508: deletions are lost, or an older record makes the row anew.
    Mutant {
        name: "lost-tombstone",
        does: "A deletion leaves no tombstone at the consumer.",
        scenarios: &["repeated-records"],
    },
    Mutant {
        name: "digest-of-meant",
        does: "The digest is taken of what was meant, not of what was read.",
        scenarios: &["drift"],
    },
    Mutant {
        name: "sums-unwatched",
        does: "A lane is equal to whatever point it is held against.",
        scenarios: &["stream-drift"],
    },
    Mutant {
        name: "chain-across-incarnations",
        does: "Events of an incarnation name those of an older one as their previous.",
        scenarios: &["outbox-rebased"],
    },
    Mutant {
        name: "chain-of-newest",
        does: "Events of an older major name the previous one of the newest.",
        scenarios: &["majors"],
    },
    Mutant {
        name: "no-breaker",
        does: "However many messages break their contract, all of them go aside.",
        scenarios: &["poison-flood"],
    },
    Mutant {
        name: "job-cursor-before-rows",
        does: "A job writes how far it has read before it keeps what it read.",
        scenarios: &["job-killed"],
    },
    Mutant {
        name: "job-overwrites-newer",
        does: "A job merges over what the lane applied after it.",
        scenarios: &["job-beside-live"],
    },
    Mutant { name: "chain-unnamed", does: "Events name no previous one.", scenarios: &["calm"] },
    Mutant {
        name: "partition-of-another",
        does: "Records of a key go to the partition after its own.",
        scenarios: &["calm"],
    },
    Mutant {
        name: "applied-uncounted",
        does: "A projector does not count what it applied.",
        scenarios: &["calm"],
    },
    Mutant {
        name: "deletion-lost",
        does: "An event that ends a key is followed by a state, and by no tombstone.",
        scenarios: &["calm"],
    },
    Mutant {
        name: "effective-lost",
        does: "When a change takes effect is not published.",
        scenarios: &["effective-times"],
    },
    Mutant {
        name: "coalesce-first",
        does: "Of several records of a key in one batch the first is written.",
        scenarios: &["consumers-behind"],
    },
    Mutant {
        name: "conflict-applied",
        does: "Of one sequence with two contents the second wins.",
        scenarios: &["contradicting-records"],
    },
    Mutant {
        name: "rewind-unseen",
        does: "A relay takes any log for that of its source.",
        scenarios: &["broker-lost-its-end"],
    },
];

/// Returns the deliberate bug of a name.
pub(crate) fn mutant(name: &str) -> Result<&'static Mutant> {
    let found = MUTANTS.iter().find(|mutant| mutant.name == name);
    found.with_context(|| format!("no mutant `{name}`; `cargo x faults --list` names them"))
}
