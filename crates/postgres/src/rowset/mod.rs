//! A table, a view or a query as a side of a comparison: read-only, by COPY or by digests that the server computes.

mod decode;
mod sql;

use crate::database::Options;
use crate::sql::quoted;
use decode::{Wire, rows};
use futures_util::TryStreamExt;
use seamline_compare::kind::{Declared, Kind};
use seamline_compare::rowset::{Bounds, Column, Described, Digest, DigestAsk, Only, ReadError, RowSet, Sink};
use sql::{Known, Typed, known};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, Row, SqlSafeStr, Statement};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;

/// What the server may take to group digests before it writes temporary files; buckets are few enough for it.
const WORK_MEMORY: &str = "64MB";

/// The first version that hashes whole rows.
const HASHES_ROWS: i32 = 140_000;

/// What the rows are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// A table or view, named as in SQL.
    Table(String),
    /// What a query returns.
    Query(String),
}

/// Rows of one PostgreSQL database.
pub struct PostgresRows {
    connect: PgConnectOptions,
    relation: Relation,
    condition: Option<String>,
    name: String,
    runtime: Runtime,
    connection: Option<PgConnection>,
    /// What stands behind FROM.
    source: String,
    columns: Vec<Known>,
    /// Where the table's rows are stored: truncated or rewritten, they are elsewhere.
    stored: Option<String>,
    was_stored_elsewhere: bool,
}

impl PostgresRows {
    /// Returns rows of a relation, those for which an SQL condition holds.
    ///
    /// # Errors
    /// When the URL cannot be read, or the system has no room for what runs it.
    pub fn new(
        options: &Options,
        relation: Relation,
        condition: Option<String>,
    ) -> Result<PostgresRows, ReadError> {
        let connect: PgConnectOptions = options.url.parse().map_err(|_| ReadError::Usage {
            message: "the URL of the database cannot be read".to_owned(),
            help: "write it as `postgres://host:port/database#table`".to_owned(),
        })?;
        let mut connect = connect
            .application_name("seamline compare")
            .options([
                ("default_transaction_read_only", "on"),
                ("lock_timeout", "10s"),
                ("extra_float_digits", "1"),
                ("intervalstyle", "postgres"),
            ])
            .disable_statement_logging();
        if let Some(user) = &options.user {
            connect = connect.username(user);
        }
        if let Some(password) = &options.password {
            connect = connect.password(password);
        }
        let what = match &relation {
            Relation::Table(name) => name.as_str(),
            Relation::Query(_) => "query",
        };
        let (host, port) = (connect.get_host(), connect.get_port());
        let name = format!("postgres://{host}:{port}/{}#{what}", connect.get_database().unwrap_or_default());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                let message = format!("the system gives no event loop: {error}");
                ReadError::Unreachable { message, help: "see whether it has open files left".to_owned() }
            })?;
        Ok(PostgresRows {
            connect,
            relation,
            condition,
            name,
            runtime,
            connection: None,
            source: String::new(),
            columns: Vec::new(),
            stored: None,
            was_stored_elsewhere: false,
        })
    }

    /// Runs work on the connection, which is closed when the work fails.
    fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, ReadError> {
        let connect = self.connect.clone();
        let held = self.connection.take();
        let done = self.runtime.block_on(async {
            let mut connection = match held {
                Some(connection) => connection,
                None => connect.connect().await?,
            };
            let value = work(&mut connection).await?;
            Ok::<_, Failure>((value, connection))
        });
        match done {
            Ok((value, connection)) => {
                self.connection = Some(connection);
                Ok(value)
            }
            Err(Failure::Read(error)) => Err(error),
            Err(Failure::Sql(error)) => Err(refused(&self.name, &error)),
        }
    }

    fn known(&self, names: &[String]) -> Result<Vec<&Known>, ReadError> {
        let find = |name: &String| self.columns.iter().find(|column| column.name == *name);
        names.iter().map(find).collect::<Option<Vec<&Known>>>().ok_or_else(|| ReadError::Usage {
            message: format!("`{}` has not all of the columns {}", self.name, names.join(", ")),
            help: "describe it first".to_owned(),
        })
    }

    fn condition(&self) -> Vec<String> {
        self.condition.iter().map(|condition| format!("({condition})")).collect()
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

/// Returns what PostgreSQL says as what to do next.
fn refused(name: &str, error: &sqlx::Error) -> ReadError {
    let code =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
    let said = match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    };
    let message = format!("`{name}`: {said}");
    // Syntax and names are the call's; everything else is the server's.
    match &*code {
        "42501" => {
            ReadError::Unreachable { message, help: "let this role read it: `GRANT SELECT`".to_owned() }
        }
        "55P03" => ReadError::Unreachable {
            message,
            help: "try again when nobody changes the table itself".to_owned(),
        },
        "25006" => ReadError::Usage {
            message,
            help: "a comparison only reads: name a query that does, too".to_owned(),
        },
        code if code.starts_with("42") || code.starts_with("22") => {
            ReadError::Usage { message, help: "see what stands behind `#` and in `--where`".to_owned() }
        }
        _ => ReadError::Unreachable {
            message,
            help: "check the address and who may log in; `psql` with the same URL tells more".to_owned(),
        },
    }
}

/// Says where a table's rows are stored, partitions included.
async fn stored(connection: &mut PgConnection, relation: &Relation) -> Result<Option<String>, sqlx::Error> {
    let Relation::Table(name) = relation else { return Ok(None) };
    let asked = sqlx::query_scalar(
        "SELECT string_agg(relid || ':' || pg_relation_filenode(relid), ',' ORDER BY relid) FROM \
         (SELECT to_regclass($1)::oid AS relid UNION SELECT relid::oid FROM pg_partition_tree(to_regclass($1))) AS all_of_it",
    );
    // A name that is none any more is stored nowhere.
    Ok(Some(asked.bind(name).fetch_one(connection).await.map(Option::unwrap_or_default)?))
}

impl RowSet for PostgresRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&mut self) -> Result<Described, ReadError> {
        let (relation, condition) = (self.relation.clone(), self.condition());
        let found = self.with(async |connection| describe(connection, &relation, &condition).await)?;
        self.source = found.source;
        self.stored = found.stored;
        let column = |known: &Known| Column {
            name: known.name.clone(),
            declared: Declared::strict(known.kind.clone()),
            native: known.native.clone(),
        };
        let columns = found.columns.iter().map(column).collect();
        self.columns = found.columns;
        Ok(Described {
            columns,
            key: found.key,
            rows: found.rows,
            engine: found.engine,
            bounds: found.bounds,
        })
    }

    fn digests(&mut self, ask: &DigestAsk) -> Result<Option<BTreeMap<u32, Digest>>, ReadError> {
        let names: Vec<String> = ask.columns.iter().map(|column| column.name.clone()).collect();
        let known = self.known(&names)?;
        let Some(statement) = sql::digests(&self.source, &self.condition(), &known, ask) else {
            return Ok(None);
        };
        let (relation, before) = (self.relation.clone(), self.stored.clone());
        let done = self.with(async |connection| {
            let mut reading =
                connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let settings = format!("SET LOCAL work_mem = '{WORK_MEMORY}'; SET LOCAL jit = off");
            sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut *reading).await?;
            let mut digests = BTreeMap::new();
            {
                let mut rows = sqlx::query(AssertSqlSafe(statement)).fetch(&mut *reading);
                while let Some(row) = match rows.try_next().await {
                    Err(error) if cannot_hash(&error) => return Ok(None),
                    other => other?,
                } {
                    let (bucket, rows, sum): (i64, i64, String) =
                        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                    let sum = sum.parse().map_err(crate::sql::corrupt)?;
                    let bucket = u32::try_from(bucket).map_err(crate::sql::corrupt)?;
                    digests.insert(bucket, Digest { rows: crate::sql::unsigned(rows)?, sum });
                }
            }
            let moved = stored(&mut reading, &relation).await? != before;
            reading.commit().await?;
            Ok(Some((digests, moved)))
        })?;
        let Some((digests, moved)) = done else { return Ok(None) };
        self.was_stored_elsewhere |= moved;
        Ok(Some(digests))
    }

    fn read(&mut self, columns: &[String], only: &Only, sink: &mut Sink<'_>) -> Result<(), ReadError> {
        let known = self.known(columns)?;
        let wires: Vec<Wire> = known.iter().map(|column| column.wire.clone()).collect();
        let statement = sql::copy(&self.source, self.condition(), &known, only);
        let (relation, before) = (self.relation.clone(), self.stored.clone());
        let moved = self.with(async |connection| {
            let mut reading =
                connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            {
                let mut pieces = reading.copy_out_raw(&statement).await?;
                let mut reader = rows(&wires);
                while let Some(piece) = pieces.try_next().await? {
                    reader.take(&piece, sink)?;
                }
                reader.end()?;
            }
            let moved = stored(&mut reading, &relation).await? != before;
            reading.commit().await?;
            Ok(moved)
        })?;
        self.was_stored_elsewhere |= moved;
        Ok(())
    }

    fn upset(&mut self) -> Result<Option<String>, ReadError> {
        let relation = self.relation.clone();
        let now = self.with(async |connection| Ok(stored(connection, &relation).await?))?;
        let moved = self.was_stored_elsewhere || now != self.stored;
        Ok(moved.then(|| "was truncated, replaced or rewritten".to_owned()))
    }
}

/// Returns whether a type of the columns has no hash function or no binary form, or a value does not fit the type that both sides are cast to.
fn cannot_hash(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "42883" | "0A000") || code.starts_with("22"))
}

/// What a database says of a relation.
struct Found {
    source: String,
    columns: Vec<Known>,
    key: Vec<String>,
    rows: Option<u64>,
    engine: Option<String>,
    bounds: Option<Bounds>,
    stored: Option<String>,
}

async fn describe(
    connection: &mut PgConnection,
    relation: &Relation,
    condition: &[String],
) -> Result<Found, Failure> {
    let source = match relation {
        Relation::Query(query) => format!("({query}) AS t"),
        Relation::Table(name) => {
            let named: Option<String> = sqlx::query_scalar("SELECT to_regclass($1)::text")
                .bind(name)
                .fetch_one(&mut *connection)
                .await?;
            match named {
                Some(named) => format!("{named} AS t"),
                None => return Err(missing(connection, name).await?.into()),
            }
        }
    };
    let columns = columns(connection, relation, &source).await?;
    let key = match relation {
        Relation::Table(name) => key(connection, name).await?,
        Relation::Query(_) => Vec::new(),
    };
    let plan: String = sqlx::query_scalar(AssertSqlSafe(format!(
        "EXPLAIN SELECT 1 FROM {source}{}",
        sql::filter(condition)
    )))
    .fetch_one(&mut *connection)
    .await?;
    let rows =
        plan.split("rows=").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|rows| rows.parse().ok());
    let engine = engine(connection).await?;
    let bounds = bounds(connection, &source, &columns, &key).await?;
    let stored = stored(connection, relation).await?;
    Ok(Found { source, columns, key, rows, engine, bounds, stored })
}

async fn missing(connection: &mut PgConnection, name: &str) -> Result<ReadError, sqlx::Error> {
    let near: Option<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND relname LIKE left(lower(substring($1 FROM '[^.]*$')), 4) || '%' \
         AND relnamespace <> 'pg_catalog'::regnamespace ORDER BY relname LIMIT 1",
    )
    .bind(name.replace('"', ""))
    .fetch_optional(connection)
    .await?;
    let help = match near {
        Some(near) => format!("is `{near}` meant?"),
        None => "name it as in SQL, with its schema, as in `#sales.orders`".to_owned(),
    };
    Ok(ReadError::Usage { message: format!("there is no table or view `{name}`"), help })
}

async fn columns(
    connection: &mut PgConnection,
    relation: &Relation,
    source: &str,
) -> Result<Vec<Known>, Failure> {
    let statement =
        connection.prepare(AssertSqlSafe(format!("SELECT * FROM {source}")).into_sql_str()).await?;
    let named: Vec<(String, u32)> = statement
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), column.type_info().oid().map_or(0, |oid| oid.0)))
        .collect();
    let oids: Vec<i64> = named.iter().map(|(_, oid)| i64::from(*oid)).collect();
    let mut types = BTreeMap::new();
    let asked = sqlx::query(
        "SELECT oid::bigint, typtype::text, typcategory::text, typelem::bigint, format_type(oid, NULL) FROM pg_type \
         WHERE oid IN (SELECT unnest($1)::oid UNION SELECT typelem FROM pg_type WHERE oid IN (SELECT unnest($1)::oid))",
    );
    for row in asked.bind(oids).fetch_all(&mut *connection).await? {
        let typed = Typed {
            is_enum: row.try_get::<String, _>(1)? == "e",
            is_array: row.try_get::<String, _>(2)? == "A",
            element: u32::try_from(row.try_get::<i64, _>(3)?).map_err(crate::sql::corrupt)?,
            name: row.try_get(4)?,
        };
        types.insert(u32::try_from(row.try_get::<i64, _>(0)?).map_err(crate::sql::corrupt)?, typed);
    }
    let mut exact: BTreeMap<String, String> = BTreeMap::new();
    if let Relation::Table(name) = relation {
        let asked = sqlx::query(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
        );
        for row in asked.bind(name).fetch_all(connection).await? {
            exact.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(named.into_iter().map(|(name, oid)| known(&name, oid, &types, exact.get(&name))).collect())
}

/// Returns the columns of the shortest unique index that holds for all rows, the primary key's before others.
async fn key(connection: &mut PgConnection, name: &str) -> Result<Vec<String>, sqlx::Error> {
    let found: Option<Vec<String>> = sqlx::query_scalar(
        "SELECT array_agg(a.attname::text ORDER BY k.at) FROM pg_index i \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, at) \
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL \
         AND i.indexprs IS NULL AND k.at <= i.indnkeyatts \
         GROUP BY i.indexrelid, i.indisprimary HAVING bool_and(a.attnotnull) \
         ORDER BY i.indisprimary DESC, count(*), i.indexrelid LIMIT 1",
    )
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(found.unwrap_or_default())
}

/// Returns the first and the last key, where it is one whole number: its index knows them.
async fn bounds(
    connection: &mut PgConnection,
    source: &str,
    columns: &[Known],
    key: &[String],
) -> Result<Option<Bounds>, sqlx::Error> {
    let [key] = key else { return Ok(None) };
    if !columns.iter().any(|known| known.name == *key && known.kind == Kind::Integer && known.native != "oid")
    {
        return Ok(None);
    }
    let key_column = column(key);
    let ask = format!("SELECT min({key_column})::bigint, max({key_column})::bigint FROM {source}");
    let row = sqlx::query(AssertSqlSafe(ask)).fetch_one(connection).await?;
    let (Some(first), Some(last)) = (row.try_get(0)?, row.try_get(1)?) else { return Ok(None) };
    Ok(Some(Bounds { column: key.clone(), first, last }))
}

/// Returns by what a server hashes: servers of one version, encoding and architecture hash alike.
async fn engine(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let row =
        sqlx::query("SELECT current_setting('server_version_num')::int, current_setting('server_encoding')")
            .fetch_one(&mut *connection)
            .await?;
    let (version, encoding): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    if version < HASHES_ROWS {
        return Ok(None);
    }
    let probe: i64 = sqlx::query_scalar(
        "SELECT hash_record_extended(ROW(record_send(ROW(1.50::numeric, 'probe'::text, 7::bigint))), 7)",
    )
    .fetch_one(connection)
    .await?;
    Ok(Some(format!("postgres {} {encoding} {probe}", version / 10_000)))
}

/// Returns a column as it is named in a statement.
fn column(name: &str) -> String {
    format!("t.{}", quoted(name))
}

/// Returns whether keys of a kind can be hashed and named in a statement.
fn is_plain(kind: &Kind) -> bool {
    !matches!(kind, Kind::Json | Kind::List(_) | Kind::Opaque(_) | Kind::Interval | Kind::Float)
}
