//! The tables that Seamline keeps in schema `seamline`, with the version of each one's format.

use super::table_consumer;

/// A stored table: name within the schema, version of its format, statements that make it where it is missing.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) version: i32,
    pub(crate) make: &'static [&'static str],
}

/// What a producer has beside what is shared.
pub(crate) const PRODUCER: &[Table] = &[];

/// Returns the newest version known here of a stored table's format.
pub(crate) fn known(name: &str) -> Option<i32> {
    let sets = [table_consumer::SHARED, PRODUCER, table_consumer::CONSUMER];
    sets.iter().flat_map(|set| set.iter()).find(|table| table.name == name).map(|table| table.version)
}

/// Returns the statements that make the schema and sets of tables, and record their formats.
pub(crate) fn statements(sets: &[&[Table]]) -> Vec<String> {
    let mut statements = vec![
        "CREATE SCHEMA IF NOT EXISTS seamline".to_owned(),
        "CREATE TABLE IF NOT EXISTS seamline.format (stored text PRIMARY KEY, version integer NOT NULL)"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS seamline.context (context text NOT NULL, \
         one boolean PRIMARY KEY DEFAULT true CHECK (one))"
            .to_owned(),
    ];
    for table in sets.iter().flat_map(|set| set.iter()) {
        statements.extend(table.make.iter().map(|make| (*make).to_owned()));
        statements.push(format!(
            "INSERT INTO seamline.format (stored, version) VALUES ('{}', {}) \
             ON CONFLICT (stored) DO UPDATE SET version = excluded.version",
            table.name, table.version
        ));
    }
    statements
}
