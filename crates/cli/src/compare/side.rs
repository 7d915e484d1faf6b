//! A side of a comparison, as it is named on the command line.

use crate::exit::{unreachable, usage};
use anyhow::Result;
use seamline_compare::csv::CsvFile;
use seamline_compare::parquet::ParquetFile;
use seamline_compare::rowset::{ReadError, RowSet};
use seamline_postgres::database::Options;
use seamline_postgres::rowset::PostgresRows;
use seamline_sqlite::rowset::SqliteRows;
use std::path::Path;

const FORMS: &str = "write `postgres://host:port/database#table`, `env:VARIABLE#table`, `file.sqlite#table`, `file.csv` or `file.parquet`";

/// What stands behind `#`.
#[derive(Debug, PartialEq, Eq)]
enum Behind<'t> {
    Nothing,
    Table(&'t str),
    Query(&'t str),
}

fn split(text: &str) -> (&str, Behind<'_>) {
    let Some((place, behind)) = text.split_once('#') else { return (text, Behind::Nothing) };
    let behind = behind.trim().trim_end_matches(';');
    let first = behind.split_whitespace().next().unwrap_or("").to_lowercase();
    let is_query =
        matches!(first.as_str(), "select" | "with" | "values" | "table") && behind.len() > first.len();
    match behind {
        "" => (place, Behind::Nothing),
        query if is_query => (place, Behind::Query(query)),
        table => (place, Behind::Table(table)),
    }
}

/// Returns a side; nothing of it is read yet.
///
/// # Errors
/// When the text names none.
pub(super) fn opened(text: &str, condition: Option<String>) -> Result<Box<dyn RowSet>> {
    let (place, behind) = split(text);
    let no_table =
        || usage(format!("`{}` names no table", shown(place)), "put it behind a `#`, as in `…#orders`");
    if let Some(url) = address(place)? {
        use seamline_postgres::rowset::Relation;
        let relation = match behind {
            Behind::Nothing => return Err(no_table()),
            Behind::Table(table) => Relation::Table(table.to_owned()),
            Behind::Query(query) => Relation::Query(query.to_owned()),
        };
        let options = Options { url, user: None, password: None, schema: String::new(), replication: false };
        return Ok(Box::new(PostgresRows::new(&options, relation, condition).map_err(wrong)?));
    }
    let path = Path::new(place);
    let ending = path.extension().and_then(|it| it.to_str()).unwrap_or("").to_lowercase();
    match (ending.as_str(), behind) {
        ("csv" | "tsv", Behind::Nothing) => {
            no_condition(place, condition)?;
            Ok(Box::new(CsvFile::new(path)))
        }
        ("parquet", Behind::Nothing) => {
            no_condition(place, condition)?;
            Ok(Box::new(ParquetFile::new(path)))
        }
        ("csv" | "tsv" | "parquet", _) => {
            Err(usage(format!("`{place}` has no tables"), "leave out `#` and what stands behind it"))
        }
        ("sqlite" | "sqlite3" | "db", Behind::Nothing) => Err(no_table()),
        (_, Behind::Nothing) => {
            Err(usage(format!("`{}` is no side that can be compared", shown(place)), FORMS))
        }
        (_, behind) => {
            use seamline_sqlite::rowset::Relation;
            let relation = match behind {
                Behind::Query(query) => Relation::Query(query.to_owned()),
                Behind::Table(table) => Relation::Table(table.to_owned()),
                Behind::Nothing => return Err(no_table()),
            };
            Ok(Box::new(SqliteRows::new(path, relation, condition).map_err(wrong)?))
        }
    }
}

/// Returns the address of a server, if a place is one.
fn address(place: &str) -> Result<Option<String>> {
    let is_address = |text: &str| text.starts_with("postgres://") || text.starts_with("postgresql://");
    if is_address(place) {
        return Ok(Some(place.to_owned()));
    }
    let Some(name) = place.strip_prefix("env:") else { return Ok(None) };
    match std::env::var(name) {
        Ok(url) if is_address(&url) => Ok(Some(url)),
        Ok(_) => Err(usage(
            format!("`{name}` holds no address"),
            "set it to one, as in `postgres://host:port/database`",
        )),
        Err(_) => Err(unreachable(
            format!("the environment has no `{name}`"),
            "set it to an address, as in `postgres://host:port/database`",
        )),
    }
}

/// Returns a place without what may be a password.
fn shown(place: &str) -> String {
    match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => place.to_owned(),
    }
}

fn no_condition(place: &str, condition: Option<String>) -> Result<()> {
    if condition.is_none() {
        return Ok(());
    }
    let help = "give the condition to the other side alone, with `--where-left` or `--where-right`, or load the file into SQLite first";
    Err(usage(format!("`{place}` is a file: it understands no SQL"), help))
}

fn wrong(error: ReadError) -> anyhow::Error {
    usage(error.to_string(), error.help())
}

#[cfg(test)]
mod tests {
    use super::{Behind, opened, shown, split};

    #[test]
    fn behind_the_sign_stands_a_table_or_a_query() {
        assert_eq!(split("a.db#orders"), ("a.db", Behind::Table("orders")));
        assert_eq!(split("a.db#select 1;"), ("a.db", Behind::Query("select 1")));
        assert_eq!(split("a.db#selected"), ("a.db", Behind::Table("selected")));
        assert_eq!(split("a.db#"), ("a.db", Behind::Nothing));
    }

    #[test]
    fn no_password_is_shown_and_what_is_no_side_is_refused() {
        assert_eq!(shown("postgres://app:secret@db:5432/x"), "postgres://db:5432/x");
        for (text, expected) in [
            ("postgres://app:secret@db/x", "names no table"),
            ("orders", "no side that can be compared"),
            ("a.csv#orders", "has no tables"),
            ("a.parquet#orders", "has no tables"),
            ("a.db", "names no table"),
            ("env:SEAMLINE_NOT_THERE#x", "has no `SEAMLINE_NOT_THERE`"),
        ] {
            let error = opened(text, None).err().unwrap().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }
}
