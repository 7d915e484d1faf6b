//! The arrows between crates: which may depend on which. A new one is a decision; ARCHITECTURE.md shows them.

/// Crate, what it may depend on (beside tests), in the order of layers.
pub(crate) const ARROWS: [(&str, &[&str]); 14] = [
    ("contract", &[]),
    ("compare", &[]),
    ("expr", &["contract"]),
    ("lang", &["contract"]),
    ("estate", &["contract", "lang"]),
    ("rules", &["contract", "expr"]),
    ("message", &["contract", "expr"]),
    ("flow", &["contract", "expr", "message"]),
    ("sqlite", &["compare", "contract", "flow", "message"]),
    ("postgres", &["compare", "contract", "flow", "message"]),
    ("kafka", &["contract", "flow", "message"]),
    ("sim", &["contract", "flow", "lang", "message"]),
    ("agent", &["contract", "flow", "kafka", "message", "postgres", "sqlite"]),
    (
        "cli",
        &["agent", "compare", "contract", "estate", "flow", "lang", "message", "postgres", "rules", "sqlite"],
    ),
];

/// Crates without async, I/O, clock or randomness.
pub(crate) const CORE: [&str; 5] = ["contract", "expr", "lang", "rules", "message"];
