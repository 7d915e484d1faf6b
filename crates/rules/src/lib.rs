//! Lint: a finding is a value with a path into the model.
