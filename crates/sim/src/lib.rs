//! Seeded simulator of sources, log and stores, faults and invariants.
