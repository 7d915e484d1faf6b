//! Source, Store and Log on SQLite: the embedded default.
