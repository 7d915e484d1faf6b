//! Facts about a database that tell why work stands still: version, formats, rights, clocks, old and forgotten transactions.

use crate::database::Database;
use crate::install::consumer::{self, table_name};
use crate::install::{InstallError, source_view, table};
use crate::logical::slot::{self, Standing};
use crate::sql::not_applied;
use seamline_contract::publication::Publication;
use seamline_flow::port::PortError;
use seamline_flow::store::Projection;
use sqlx::Row;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// Since when a transaction counts as old.
pub const OLD: Duration = Duration::from_secs(60);

/// What is stored in the schema `seamline`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The stored table.
    pub name: String,
    /// Its format.
    pub found: i32,
    /// The newest format known here; none: it is not known at all.
    pub known: Option<i32>,
}

/// A transaction that is open for long. While it is, rows that left the outbox cannot be cleared away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldTransaction {
    /// The process.
    pub pid: i32,
    /// How long it is open.
    pub age: Duration,
    /// What the program calls itself; empty when it does not say.
    pub application: String,
    /// Whose it is.
    pub role: String,
    /// What it does: `active`, `idle in transaction`.
    pub state: String,
}

/// A transaction that was prepared for long and neither committed nor rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Its name.
    pub name: String,
    /// How long it is prepared.
    pub age: Duration,
    /// Whose it is.
    pub role: String,
}

/// A table of the outbox with rows that left and are not cleared away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRows {
    /// The table.
    pub table: String,
    /// How many, as the statistics estimate.
    pub rows: u64,
}

/// A replication slot of the server, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// It is the outbox's own.
    pub ours: bool,
    /// Somebody reads it.
    pub active: bool,
    /// How many bytes of its log the server keeps for it; none: it kept no more, and the slot is of no use.
    pub kept_bytes: Option<u64>,
}

/// How rows of the outbox could leave through logical replication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    /// The place wants it.
    pub wanted: bool,
    /// The server's `wal_level`.
    pub wal_level: String,
    /// The role may read a slot.
    pub allowed: bool,
    /// How the slot of the outbox stands.
    pub standing: Standing,
    /// All slots of the server, by name.
    pub slots: Vec<Slot>,
}

/// What a database says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Such as 150006.
    pub version: i32,
    /// As whom it was asked.
    pub role: String,
    /// It takes no writes: a standby, or set to read only.
    pub read_only: bool,
    /// Its clock, in microseconds since 1970.
    pub clock_micros: i64,
    /// What is stored, by name; empty: not installed.
    pub stored: Vec<Stored>,
    /// Rights that an agent needs and this role has not, as `RIGHT ON table`, sorted.
    pub rights_missing: Vec<String>,
    /// Whether transactions of other roles are seen.
    pub sees_others: bool,
    /// Oldest first; those of other roles only where they are seen.
    pub old_transactions: Vec<OldTransaction>,
    /// Oldest first.
    pub prepared: Vec<Prepared>,
    /// Those with any.
    pub dead_rows: Vec<DeadRows>,
    /// Replication slots, and what the outbox needs of them.
    pub replication: Replication,
}

impl Database {
    /// Returns what the database says about itself. Reads only.
    ///
    /// # Errors
    /// The database's.
    pub async fn facts(&self) -> Result<Facts, PortError> {
        let mut conn = self.pool().acquire().await.map_err(not_applied)?;
        facts(&mut conn, self.replicates()).await.map_err(not_applied)
    }

    /// Returns whether there is a table; a name without a schema is looked for as the service's own are.
    ///
    /// # Errors
    /// The database's.
    pub async fn has_table(&self, name: &str) -> Result<bool, PortError> {
        let name = name.split('.').map(crate::sql::quoted).collect::<Vec<_>>().join(".");
        let there = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(name);
        there.fetch_one(self.pool()).await.map_err(not_applied)
    }

    /// Returns whether a stored table is there in an older format than that of this program.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_older(&self, stored: &str) -> Result<bool, PortError> {
        let found = sqlx::query_scalar("SELECT version FROM seamline.format WHERE stored = $1").bind(stored);
        let found: Option<i32> = found.fetch_optional(self.pool()).await.map_err(not_applied)?;
        Ok(found < table::known(stored))
    }

    /// Returns how many bytes on disk our own tables take, indexes and all.
    ///
    /// # Errors
    /// The database's.
    pub async fn bytes(&self) -> Result<u64, PortError> {
        let bytes = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname IN ('seamline', 'seamline_rehearsal') AND c.relkind = 'r'";
        let bytes: i64 = sqlx::query_scalar(bytes).fetch_one(self.pool()).await.map_err(not_applied)?;
        Ok(bytes.unsigned_abs())
    }

    /// Returns which of a table's columns are not there; all of them when the table is not there.
    ///
    /// # Errors
    /// The database's.
    pub async fn columns_missing(&self, table: &str, columns: &[String]) -> Result<Vec<String>, PortError> {
        let there = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
        let name = table.split('.').map(crate::sql::quoted).collect::<Vec<_>>().join(".");
        let there: Vec<String> =
            sqlx::query_scalar(there).bind(name).fetch_all(self.pool()).await.map_err(not_applied)?;
        Ok(columns.iter().filter(|column| !there.contains(column)).cloned().collect())
    }
}

impl Database {
    /// Returns the rights that an agent needs on the table of a projection and this role has not, as `RIGHT ON table`, sorted; none
    /// where there is no such table.
    ///
    /// # Errors
    /// The database's.
    pub async fn projection_rights_missing(&self, projection: &Projection) -> Result<Vec<String>, PortError> {
        let missing = "SELECT right_name || ' ON ' || $1 FROM unnest(ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE']) right_name \
            WHERE NOT has_table_privilege(to_regclass($1), right_name) ORDER BY 1";
        let missing = sqlx::query_scalar(missing).bind(table_name(self.schema(), &projection.table));
        missing.fetch_all(self.pool()).await.map_err(not_applied)
    }

    /// Returns what of the table of a projection is other than when it was installed, so that not every row may be written; none
    /// where all is well, or there is no table.
    ///
    /// # Errors
    /// The database's.
    pub async fn projection_differs(&self, projection: &Projection) -> Result<Option<String>, PortError> {
        let mut conn = self.pool().acquire().await.map_err(not_applied)?;
        match consumer::check(&mut conn, projection, self.schema()).await {
            Ok(()) => Ok(None),
            Err(InstallError::Postgres(error)) => Err(not_applied(error)),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    /// Returns the table that the source view of a contract reads, where the publication names another: a view follows a table that
    /// is renamed, and goes on reading it when another takes its name.
    ///
    /// # Errors
    /// The database's.
    pub async fn source_elsewhere(&self, publication: &Publication) -> Result<Option<String>, PortError> {
        let read = "SELECT d.refobjid::regclass::text FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid \
            AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'n' AND d.refobjid <> r.ev_class \
            WHERE r.ev_class = to_regclass($1) AND d.refobjid IS DISTINCT FROM to_regclass($2) LIMIT 1";
        let read = sqlx::query_scalar(read).bind(source_view::name(&publication.contract.contract));
        let read = read.bind(source_view::table_name(publication));
        read.fetch_optional(self.pool()).await.map_err(not_applied)
    }
}

async fn facts(conn: &mut PgConnection, replicates: bool) -> Result<Facts, sqlx::Error> {
    let about = "SELECT current_setting('server_version_num')::int, current_user::text, \
        pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on', \
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, \
        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), to_regclass('seamline.format') IS NOT NULL";
    let about = sqlx::query(about).fetch_one(&mut *conn).await?;
    let installed: bool = about.get(5);
    Ok(Facts {
        version: about.get(0),
        role: about.get(1),
        read_only: about.get(2),
        clock_micros: about.get(3),
        sees_others: about.get(4),
        stored: if installed { stored(conn).await? } else { Vec::new() },
        rights_missing: if installed { rights_missing(conn).await? } else { Vec::new() },
        old_transactions: old_transactions(conn).await?,
        prepared: prepared(conn).await?,
        dead_rows: dead_rows(conn).await?,
        replication: replication(conn, replicates).await?,
    })
}

/// A role without any right in the schema sees no formats: it is told by its rights.
async fn stored(conn: &mut PgConnection) -> Result<Vec<Stored>, sqlx::Error> {
    let may = "SELECT has_schema_privilege('seamline', 'USAGE') AND has_table_privilege('seamline.format', 'SELECT')";
    if !sqlx::query_scalar::<_, bool>(may).fetch_one(&mut *conn).await.unwrap_or(false) {
        return Ok(Vec::new());
    }
    let rows =
        sqlx::query("SELECT stored, version FROM seamline.format ORDER BY stored").fetch_all(conn).await?;
    let stored = rows.iter().map(|row| {
        let name: String = row.get(0);
        let known = table::known(&name);
        Stored { name, found: row.get(1), known }
    });
    Ok(stored.collect())
}

async fn rights_missing(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let missing = "SELECT right_name || ' ON seamline.' || c.relname FROM pg_class c \
        JOIN pg_namespace n ON n.oid = c.relnamespace \
        CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) right_name \
        WHERE n.nspname = 'seamline' AND c.relkind = 'r' \
        AND (right_name = 'SELECT' OR c.relname NOT IN ('format', 'context')) \
        AND (right_name <> 'TRUNCATE' OR c.relname LIKE 'outbox\\_%') \
        AND NOT has_table_privilege(c.oid, right_name) \
        UNION ALL SELECT 'USAGE ON SCHEMA seamline' WHERE NOT has_schema_privilege('seamline', 'USAGE') ORDER BY 1";
    sqlx::query_scalar(missing).fetch_all(conn).await
}

async fn old_transactions(conn: &mut PgConnection) -> Result<Vec<OldTransaction>, sqlx::Error> {
    let old = "SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::float8, \
        coalesce(application_name, ''), coalesce(usename::text, ''), coalesce(state, '') FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() \
        AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL) \
        AND xact_start < clock_timestamp() - make_interval(secs => $1) ORDER BY xact_start";
    let rows = sqlx::query(old).bind(OLD.as_secs_f64()).fetch_all(conn).await?;
    let old = rows.iter().map(|row| OldTransaction {
        pid: row.get(0),
        age: Duration::from_secs_f64(row.get::<f64, _>(1).max(0.0)),
        application: row.get(2),
        role: row.get(3),
        state: row.get(4),
    });
    Ok(old.collect())
}

async fn prepared(conn: &mut PgConnection) -> Result<Vec<Prepared>, sqlx::Error> {
    let old = "SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::float8, owner::text \
        FROM pg_prepared_xacts WHERE database = current_database() \
        AND prepared < clock_timestamp() - make_interval(secs => $1) ORDER BY prepared";
    let rows = sqlx::query(old).bind(OLD.as_secs_f64()).fetch_all(conn).await?;
    let old = rows.iter().map(|row| Prepared {
        name: row.get(0),
        age: Duration::from_secs_f64(row.get::<f64, _>(1).max(0.0)),
        role: row.get(2),
    });
    Ok(old.collect())
}

async fn replication(conn: &mut PgConnection, wanted: bool) -> Result<Replication, sqlx::Error> {
    let about = "SELECT current_setting('wal_level'), \
        (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user)";
    let about = sqlx::query(about).fetch_one(&mut *conn).await?;
    // Who may not see it is told by the rights that are missing.
    let kept = slot::look(conn).await.ok().flatten();
    let slots = "SELECT slot_name::text, active, CASE WHEN restart_lsn IS NULL OR wal_status = 'lost' THEN NULL ELSE \
        greatest(0, CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - restart_lsn)::bigint END \
        FROM pg_replication_slots ORDER BY slot_name";
    let rows = sqlx::query(slots).fetch_all(conn).await?;
    let ours = kept.as_ref().map(|kept| kept.slot.as_str());
    let slots = rows.iter().map(|row| {
        let name: String = row.get(0);
        let kept_bytes = row.get::<Option<i64>, _>(2).map(i64::unsigned_abs);
        Slot { ours: ours == Some(name.as_str()), name, active: row.get(1), kept_bytes }
    });
    Ok(Replication {
        wanted,
        wal_level: about.get(0),
        allowed: about.get(1),
        slots: slots.collect(),
        standing: kept.map_or(Standing::NotMade, |kept| kept.standing),
    })
}

async fn dead_rows(conn: &mut PgConnection) -> Result<Vec<DeadRows>, sqlx::Error> {
    let dead = "SELECT relname::text, n_dead_tup FROM pg_stat_user_tables \
        WHERE schemaname = 'seamline' AND relname LIKE 'outbox\\_%' AND n_dead_tup > 0 ORDER BY relname";
    let rows = sqlx::query(dead).fetch_all(conn).await?;
    let dead = rows.iter().map(|row| DeadRows {
        table: row.get(0),
        rows: u64::try_from(row.get::<i64, _>(1)).unwrap_or_default(),
    });
    Ok(dead.collect())
}
