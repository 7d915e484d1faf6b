//! Names, texts and numbers as SQL has them, and what the failure of a statement says about its effect.

use seamline_flow::port::{Cause, PortError};

/// Returns a name as SQL quotes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a text as SQL quotes it, whatever `standard_conforming_strings` says.
pub(crate) fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Returns a number as PostgreSQL holds it.
///
/// # Panics
/// When it needs the sign bit: offsets, sequences and counts never do.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("sequences, offsets and counts have 63 bits")
}

/// Returns a number that PostgreSQL holds and that is never negative.
pub(crate) fn unsigned(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(corrupt)
}

/// Returns the error of a stored value that nobody here could have written.
pub(crate) fn corrupt(what: impl Into<Cause>) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

/// Returns the error of a statement inside a transaction that was not committed: it had no effect.
pub(crate) fn not_applied(error: impl Into<Cause>) -> PortError {
    PortError::NotApplied(error.into())
}

/// Returns whether a statement was given up since others hold what it needs.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    /// Lock not available, query canceled, deadlock detected.
    const BUSY: [&str; 3] = ["55P03", "57014", "40P01"];
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| BUSY.contains(&code.as_ref()))
}

/// Returns what a failed COMMIT says: a server that answers with an error rolled back; one that was shut down, or did not
/// answer, may have committed.
pub(crate) fn commit_failed(error: sqlx::Error) -> PortError {
    /// Classes of SQLSTATE after which the outcome is open: connection exception, operator intervention, system error.
    const OPEN: [&str; 3] = ["08", "57", "58"];
    let refused = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match refused {
        Some(code) if !OPEN.iter().any(|class| code.starts_with(class)) => {
            PortError::NotApplied(error.into())
        }
        _ => PortError::Unknown(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{literal, quoted};

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
