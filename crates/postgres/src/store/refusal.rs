//! What is said when a table takes no row: which table, what forbids it, and what to do. Never a row's values.

use crate::sql;
use seamline_flow::port::PortError;
use seamline_flow::store::Projection;
use sqlx::postgres::PgDatabaseError;

/// A table that is there no longer allows what its contract does.
#[derive(Debug, thiserror::Error)]
#[error(
    "table `{table}` refuses a row by {by} (SQLSTATE {code}); drop or widen it: the lane waits and then goes on by itself"
)]
struct Refusal {
    table: String,
    by: String,
    code: String,
}

/// Returns the error of a batch that was not written.
pub(super) fn not_applied(projection: Option<&Projection>, error: sqlx::Error) -> PortError {
    match projection.and_then(|projection| refusal(projection, &error)) {
        Some(refusal) => sql::not_applied(refusal),
        None => sql::not_applied(error),
    }
}

/// Returns the refusal that a failed statement tells of: classes 22, what a type cannot hold, and 23, what a constraint forbids.
fn refusal(projection: &Projection, error: &sqlx::Error) -> Option<Refusal> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    let code = error.code();
    if error.schema() == Some("seamline") || !(code.starts_with("22") || code.starts_with("23")) {
        return None;
    }
    let by = match (error.constraint(), error.column()) {
        (Some(constraint), _) => format!("its constraint `{constraint}`"),
        (None, Some(column)) => format!("its column `{column}`"),
        (None, None) => "the type of one of its columns".to_owned(),
    };
    Some(Refusal { table: projection.table.clone(), by, code: code.to_owned() })
}
