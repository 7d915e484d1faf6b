//! The data plane: ports, relay, projector, rehearsal, reconciliation, cases.
