//! A table, a view or a query of an SQLite file as a side of a comparison: opened read-only.

use futures_util::TryStreamExt;
use seamline_compare::cell::{Cell, Decimal};
use seamline_compare::kind::{Declared, Kind};
use seamline_compare::rowset::{Column, Described, Digest, DigestAsk, Only, ReadError, RowSet, Sink};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Decode, Executor, Row, SqlSafeStr, Statement,
    TypeInfo, ValueRef,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long a writer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the rows are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// A table or view.
    Table(String),
    /// What a query returns.
    Query(String),
}

/// Rows of one SQLite file.
#[derive(Debug)]
pub struct SqliteRows {
    path: PathBuf,
    relation: Relation,
    condition: Option<String>,
    name: String,
    runtime: Runtime,
    /// The columns with their declared types, in capital letters.
    columns: Vec<(String, String)>,
    made: Option<String>,
}

impl SqliteRows {
    /// Returns rows of a relation, those for which an SQL condition holds. The file is opened when it is read.
    ///
    /// # Errors
    /// When the system has no room for what runs it.
    pub fn new(path: &Path, relation: Relation, condition: Option<String>) -> Result<SqliteRows, ReadError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                let message = format!("the system gives no event loop: {error}");
                ReadError::Unreachable { message, help: "see whether it has open files left".to_owned() }
            })?;
        let what = match &relation {
            Relation::Table(name) => name.as_str(),
            Relation::Query(_) => "query",
        };
        let name = format!("{}#{what}", path.display());
        Ok(SqliteRows {
            path: path.to_owned(),
            relation,
            condition,
            name,
            runtime,
            columns: Vec::new(),
            made: None,
        })
    }

    fn source(&self) -> String {
        match &self.relation {
            Relation::Table(name) => quoted(name),
            Relation::Query(query) => format!("({query})"),
        }
    }

    fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, ReadError> {
        if !self.path.exists() {
            return Err(ReadError::Unreachable {
                message: format!("there is no file `{}`", self.path.display()),
                help: "check the path".to_owned(),
            });
        }
        let options = SqliteConnectOptions::new().filename(&self.path).read_only(true).busy_timeout(PATIENCE);
        let done = self.runtime.block_on(async {
            let mut connection = options.disable_statement_logging().connect().await?;
            let value = work(&mut connection).await?;
            connection.close().await?;
            Ok::<_, Failure>(value)
        });
        done.map_err(|failure| match failure {
            Failure::Read(error) => error,
            Failure::Sql(error) => refused(&self.name, &error),
        })
    }
}

/// Why work on a connection failed.
enum Failure {
    Sql(sqlx::Error),
    Read(ReadError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        Failure::Sql(error)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        Failure::Read(error)
    }
}

fn refused(name: &str, error: &sqlx::Error) -> ReadError {
    /// SQLite's code of a statement that it does not understand.
    const WRONG: &str = "1";
    let said =
        error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let message = format!("`{name}`: {said}");
    if code.is_some_and(|code| code == WRONG) {
        return ReadError::Usage { message, help: "see what stands behind `#` and in `--where`".to_owned() };
    }
    let help =
        "see whether it is an SQLite database that you may read, and whether someone holds it".to_owned();
    ReadError::Unreachable { message, help }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns what a column of a declared type holds, by SQLite's own rules of affinity, and decimals, which have none of their own.
fn declared(native: &str) -> Declared {
    let has = |words: &[&str]| words.iter().any(|word| native.contains(word));
    if has(&["BOOL"]) {
        Declared::loose(Kind::Boolean)
    } else if has(&["INT"]) {
        Declared::loose(Kind::Integer)
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        Declared::loose(Kind::Text)
    } else if has(&["BLOB"]) {
        Declared::loose(Kind::Bytes)
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Declared::strict(Kind::Float)
    } else if has(&["DECIMAL", "NUMERIC"]) {
        Declared::strict(Kind::Decimal)
    } else {
        // Days, moments, documents: SQLite has no type for them, and keeps them as texts.
        Declared::loose(Kind::Text)
    }
}

/// Returns the statement by which a relation was made, and where it is stored: who replaces it changes one of them.
async fn made(connection: &mut SqliteConnection, relation: &Relation) -> Result<Option<String>, sqlx::Error> {
    let Relation::Table(name) = relation else { return Ok(None) };
    sqlx::query_scalar(
        "SELECT type || rootpage || coalesce(sql, '') FROM sqlite_schema WHERE name = ? COLLATE NOCASE",
    )
    .bind(name)
    .fetch_optional(connection)
    .await
}

async fn missing(connection: &mut SqliteConnection, name: &str) -> Result<ReadError, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name LIMIT 20",
    )
    .fetch_all(connection)
    .await?;
    let help =
        if names.is_empty() { "it has none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    Ok(ReadError::Usage { message: format!("there is no table or view `{name}`"), help })
}

impl RowSet for SqliteRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&mut self) -> Result<Described, ReadError> {
        let (relation, source) = (self.relation.clone(), self.source());
        let (columns, key, made) = self.with(async |connection| {
            let made = made(connection, &relation).await?;
            if let (Relation::Table(name), None) = (&relation, &made) {
                return Err(missing(connection, name).await?.into());
            }
            let (mut columns, mut key) = (Vec::new(), BTreeMap::new());
            match &relation {
                Relation::Table(name) => {
                    let asked =
                        sqlx::query("SELECT name, upper(type), pk FROM pragma_table_info(?) ORDER BY cid");
                    for row in asked.bind(name).fetch_all(connection).await? {
                        let (name, native, place): (String, String, i64) =
                            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                        if place > 0 {
                            key.insert(place, name.clone());
                        }
                        columns.push((name, native));
                    }
                }
                Relation::Query(_) => {
                    let statement = connection
                        .prepare(AssertSqlSafe(format!("SELECT * FROM {source}")).into_sql_str())
                        .await?;
                    let native =
                        |name: &str| if name == "NULL" { String::new() } else { name.to_uppercase() };
                    let all = statement.columns().iter();
                    columns.extend(
                        all.map(|column| (column.name().to_owned(), native(column.type_info().name()))),
                    );
                }
            }
            Ok((columns, key, made))
        })?;
        self.columns = columns;
        self.made = made;
        let column = |(name, native): &(String, String)| Column {
            name: name.clone(),
            declared: declared(native),
            native: if native.is_empty() { "no type".to_owned() } else { native.to_lowercase() },
        };
        Ok(Described {
            columns: self.columns.iter().map(column).collect(),
            key: key.into_values().collect(),
            rows: None,
            engine: None,
            bounds: None,
        })
    }

    fn digests(&mut self, _: &DigestAsk) -> Result<Option<BTreeMap<u32, Digest>>, ReadError> {
        Ok(None)
    }

    fn read(&mut self, columns: &[String], _: &Only, sink: &mut Sink<'_>) -> Result<(), ReadError> {
        let is_decimal = |name: &String| {
            let found = self.columns.iter().find(|(known, _)| known == name);
            found.is_some_and(|(_, native)| declared(native).kind == Kind::Decimal)
        };
        let decimals: Vec<bool> = columns.iter().map(is_decimal).collect();
        let selected: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let filter =
            self.condition.as_ref().map_or(String::new(), |condition| format!(" WHERE ({condition})"));
        let statement = format!("SELECT {} FROM {}{filter}", selected.join(", "), self.source());
        self.with(async |connection| {
            // One statement reads one state of the file.
            let mut rows = sqlx::query(AssertSqlSafe(statement)).fetch(connection);
            while let Some(row) = rows.try_next().await? {
                let mut cells = Vec::with_capacity(decimals.len());
                for (at, is_decimal) in decimals.iter().enumerate() {
                    cells.push(cell(&row, at, *is_decimal)?);
                }
                sink(&cells)?;
            }
            Ok(())
        })
    }

    fn upset(&mut self) -> Result<Option<String>, ReadError> {
        let relation = self.relation.clone();
        let now = self.with(async |connection| Ok(made(connection, &relation).await?))?;
        Ok((now != self.made).then(|| "was replaced".to_owned()))
    }
}

/// Reads a cell of a row, whatever is in it. A decimal that SQLite keeps as a float is the one that it prints as.
fn cell(row: &SqliteRow, at: usize, is_decimal: bool) -> Result<Cell<'_>, sqlx::Error> {
    let value: SqliteValueRef<'_> = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let decode = |error: sqlx::error::BoxDynError| sqlx::Error::Decode(error);
    let kind = value.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" | "BOOLEAN" => {
            Cell::Integer(<i64 as Decode<'_, sqlx::Sqlite>>::decode(value).map_err(decode)?)
        }
        "REAL" => {
            let number = <f64 as Decode<'_, sqlx::Sqlite>>::decode(value).map_err(decode)?;
            let exact = if is_decimal { Decimal::from_text(&number.to_string()) } else { None };
            exact.map_or(Cell::Float(number), Cell::Decimal)
        }
        _ => {
            let bytes = <&[u8] as Decode<'_, sqlx::Sqlite>>::decode(value).map_err(decode)?;
            match std::str::from_utf8(bytes) {
                Ok(text) if kind != "BLOB" => Cell::Text(text.into()),
                _ => Cell::Bytes(bytes),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::declared;
    use seamline_compare::kind::Kind;

    #[test]
    fn declared_types_are_read_as_sqlite_reads_them() {
        for (native, kind) in [
            ("BIGINT", Kind::Integer),
            ("VARCHAR(20)", Kind::Text),
            ("DECIMAL(10,2)", Kind::Decimal),
            ("DOUBLE PRECISION", Kind::Float),
            ("DATETIME", Kind::Text),
            ("", Kind::Text),
        ] {
            assert_eq!(declared(native).kind, kind, "{native}");
        }
    }
}
