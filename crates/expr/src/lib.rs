//! The CEL profile: types, checker, closures.
