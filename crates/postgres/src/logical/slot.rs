//! The slot and the publication of an outbox: made, looked after and dropped.
//!
//! A slot that vanished, was made anew or was cut off by the server cannot tell what it left out. It is never replaced in
//! silence, and never continued at whatever it says: the row in `seamline.slot` says up to where it was read.

use super::buffer::Cursor;
use crate::database::Database;
use crate::install::InstallError;
use crate::sql::{corrupt, not_applied, quoted, signed, unsigned};
use pgwire_replication::Lsn;
use seamline_flow::port::PortError;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};

/// The publication of an outbox: what is inserted, and nothing else.
pub const PUBLICATION: &str = "seamline_outbox";

/// How long making a slot waits for the transactions that are open.
const PATIENCE_SECONDS: u32 = 60;

/// The oldest server whose stream is read.
const OLDEST: i32 = 140_000;

/// What is stored of a slot: its name, and up to where it was read.
pub(crate) const STORED: &str = "CREATE TABLE IF NOT EXISTS seamline.slot (
  slot text PRIMARY KEY,
  lsn pg_lsn NOT NULL,
  idx bigint NOT NULL
)";

/// The version of its format.
pub(crate) const STORED_VERSION: i32 = 1;

/// Makes the slot and notes where it begins, in one statement that must be its own transaction.
pub const MAKE: &str = "INSERT INTO seamline.slot (slot, lsn, idx) SELECT made.slot_name, made.lsn, 0 FROM \
    pg_create_logical_replication_slot((SELECT 'seamline_outbox_' || oid FROM pg_database \
    WHERE datname = current_database()), 'pgoutput') AS made";

/// How the slot of an outbox stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It goes on where it was read last.
    Whole,
    /// None was made.
    NotMade,
    /// It is not there any more.
    Gone,
    /// The server kept no more of its log for it.
    CutOff,
    /// It is past what was read: another of the same name, or somebody else read it.
    Replaced,
}

impl Standing {
    /// Returns what is wrong; none where nothing is.
    pub fn wrong(&self) -> Option<&'static str> {
        match self {
            Standing::Whole => None,
            Standing::NotMade => Some("no replication slot was made for it"),
            Standing::Gone => Some("its replication slot is gone, as after a failover or a restore"),
            Standing::CutOff => {
                Some("the server cut its replication slot off: more of its log was kept than it allows")
            }
            Standing::Replaced => Some(
                "its replication slot is past what was read of it: it was made anew, or somebody else reads it",
            ),
        }
    }
}

/// What the server says of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Up to where it was confirmed; none: it is not usable.
    pub(crate) confirmed: Option<Lsn>,
    /// The server removed what it still needs.
    pub(crate) cut_off: bool,
}

/// Returns how a slot stands: up to where it was read, as it was kept, and what the server says of it. Pure.
pub(crate) fn standing(kept: Option<Cursor>, found: Option<&Found>) -> Standing {
    match (kept, found) {
        (None, _) => Standing::NotMade,
        (Some(_), None) => Standing::Gone,
        (Some(_), Some(found)) if found.cut_off => Standing::CutOff,
        // Invariant: what is confirmed was kept before.
        (Some(kept), Some(found)) if found.confirmed.is_none_or(|confirmed| confirmed > kept.lsn) => {
            Standing::Replaced
        }
        (Some(_), Some(_)) => Standing::Whole,
    }
}

/// A slot as it is kept, and how it stands.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) slot: String,
    pub(crate) cursor: Cursor,
    pub(crate) standing: Standing,
}

fn lsn(text: &str) -> Result<Lsn, sqlx::Error> {
    text.parse().map_err(|_| corrupt("a position in the server's log cannot be read"))
}

/// Reads how the slot stands; none where none was made.
pub(crate) async fn look(conn: &mut PgConnection) -> Result<Option<Kept>, sqlx::Error> {
    if !is_stored(conn).await? {
        return Ok(None);
    }
    // The cursor is read first: whoever reads the stream keeps it before it is confirmed.
    let kept = "SELECT slot, lsn::text, idx FROM seamline.slot";
    let Some(kept) = sqlx::query(kept).fetch_optional(&mut *conn).await? else { return Ok(None) };
    let slot: String = kept.get(0);
    let cursor = Cursor { lsn: lsn(kept.get(1))?, idx: unsigned(kept.get(2))? };
    let found = "SELECT confirmed_flush_lsn::text, coalesce(wal_status = 'lost', false) FROM pg_replication_slots \
        WHERE slot_name = $1 AND database = current_database() AND plugin = 'pgoutput'";
    let found = sqlx::query(found).bind(&slot).fetch_optional(&mut *conn).await?;
    let found = found.map(|row| {
        let confirmed = row.get::<Option<&str>, _>(0).map(lsn).transpose()?;
        Ok::<_, sqlx::Error>(Found { confirmed, cut_off: row.get(1) })
    });
    let standing = standing(Some(cursor), found.transpose()?.as_ref());
    Ok(Some(Kept { slot, cursor, standing }))
}

async fn is_stored(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass('seamline.slot') IS NOT NULL").fetch_one(conn).await
}

/// Keeps up to where the stream is not needed any more.
pub(crate) async fn keep(conn: &mut PgConnection, cursor: Cursor) -> Result<(), sqlx::Error> {
    let keep = "UPDATE seamline.slot SET lsn = $1::pg_lsn, idx = $2 WHERE (lsn, idx) < ($1::pg_lsn, $2)";
    sqlx::query(keep).bind(cursor.lsn.to_string()).bind(signed(cursor.idx)).execute(conn).await?;
    Ok(())
}

/// Returns the statements that make what the slot needs, in the transaction of an installation; `MAKE` comes after it.
pub fn statements() -> Vec<String> {
    vec![
        STORED.to_owned(),
        format!(
            "INSERT INTO seamline.format (stored, version) VALUES ('slot', {STORED_VERSION}) \
             ON CONFLICT (stored) DO UPDATE SET version = excluded.version"
        ),
        format!(
            "DO $seamline$ BEGIN IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = '{PUBLICATION}') THEN \
             CREATE PUBLICATION {PUBLICATION} FOR TABLE seamline.outbox_0, seamline.outbox_1, seamline.outbox_2, \
             seamline.void WITH (publish = 'insert'); END IF; END $seamline$"
        ),
    ]
}

/// Returns the statement that lets an agent's role read the slot.
pub fn grant(agent_role: &str) -> String {
    format!("ALTER ROLE {} REPLICATION", quoted(agent_role))
}

impl Database {
    /// Returns how the slot of the outbox stands.
    ///
    /// # Errors
    /// The database's.
    pub async fn slot(&self) -> Result<Standing, PortError> {
        let mut conn = self.pool().acquire().await.map_err(not_applied)?;
        let kept = look(&mut conn).await.map_err(not_applied)?;
        Ok(kept.map_or(Standing::NotMade, |kept| kept.standing))
    }

    /// Returns how many bytes of its log the server keeps for the slot of the outbox; none where there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn slot_kept_bytes(&self) -> Result<Option<u64>, PortError> {
        let kept = "SELECT (pg_current_wal_lsn() - r.restart_lsn)::bigint FROM seamline.slot s \
            JOIN pg_replication_slots r ON r.slot_name = s.slot WHERE r.restart_lsn IS NOT NULL";
        let kept = sqlx::query_scalar(kept).fetch_optional(self.pool()).await.map_err(not_applied)?;
        Ok(kept.map(i64::unsigned_abs))
    }

    /// Makes the slot and the publication of an installed outbox where its rows leave through them, and anew where the slot
    /// cannot go on; drops them where rows leave by the queue. Rows that wait are in their tables, and leave from there first.
    ///
    /// # Errors
    /// When the server does not do it; the outbox is as it was then.
    pub async fn install_slot(&self) -> Result<(), InstallError> {
        let mut conn = self.pool().acquire().await?;
        let stored = is_stored(&mut conn).await?;
        if !self.replicates() {
            if stored {
                drop_slot(&mut conn).await?;
                let publication = format!("DROP PUBLICATION IF EXISTS {PUBLICATION}");
                sqlx::raw_sql(AssertSqlSafe(publication)).execute(&mut *conn).await?;
                sqlx::query("DELETE FROM seamline.slot").execute(&mut *conn).await?;
            }
            return Ok(());
        }
        check(&mut conn).await?;
        for statement in statements() {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *conn).await?;
        }
        if look(&mut conn).await?.is_some_and(|kept| kept.standing == Standing::Whole) {
            return Ok(());
        }
        drop_slot(&mut conn).await?;
        sqlx::query("DELETE FROM seamline.slot").execute(&mut *conn).await?;
        // The connection is closed afterwards: what is set here is nobody else's.
        let mut conn = conn.detach();
        let patience = format!("SET statement_timeout = '{PATIENCE_SECONDS}s'");
        sqlx::raw_sql(AssertSqlSafe(patience)).execute(&mut conn).await?;
        sqlx::query(MAKE).execute(&mut conn).await.map_err(not_made)?;
        Ok(conn.close().await?)
    }
}

/// Looks for what the server and the role lack, before anything is changed.
async fn check(conn: &mut PgConnection) -> Result<(), InstallError> {
    let facts = "SELECT current_setting('server_version_num')::int, current_setting('wal_level'), \
        (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user), current_user::text";
    let facts = sqlx::query(facts).fetch_one(conn).await?;
    let wrong = |what: String, help| Err(InstallError::Slot { what, help });
    if facts.get::<i32, _>(0) < OLDEST {
        return wrong(
            "it needs PostgreSQL 14 or newer".to_owned(),
            "leave out `relay: replication` in the environment",
        );
    }
    let level: &str = facts.get(1);
    if level != "logical" {
        return wrong(
            format!("`wal_level` is `{level}`"),
            "ALTER SYSTEM SET wal_level = logical, and restart the server",
        );
    }
    if !facts.get::<bool, _>(2) {
        let what = format!("role `{}` may not replicate", facts.get::<&str, _>(3));
        return wrong(what, "ALTER ROLE … REPLICATION, for who installs and for the agent");
    }
    Ok(())
}

/// A slot begins only when the transactions that were open have ended.
fn not_made(error: sqlx::Error) -> InstallError {
    const CANCELED: &str = "57014";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        Some(CANCELED) => InstallError::Slot {
            what: format!("a transaction is open for more than {PATIENCE_SECONDS} seconds"),
            help: "end it, `seamline doctor` names it, and install again",
        },
        _ => InstallError::Postgres(error),
    }
}

/// A slot that somebody reads is refused by the server, with the process that does.
async fn drop_slot(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() \
        AND slot_name = (SELECT 'seamline_outbox_' || oid FROM pg_database WHERE datname = current_database())";
    sqlx::query(drop).execute(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Found, Standing, standing};
    use crate::logical::buffer::Cursor;
    use pgwire_replication::Lsn;

    #[test]
    fn a_slot_goes_on_only_where_it_was_read_last() {
        let kept = |lsn| Some(Cursor { lsn: Lsn(lsn), idx: 3 });
        let found = |lsn: Option<u64>, cut_off| Some(Found { confirmed: lsn.map(Lsn), cut_off });
        let check = |kept, found: Option<Found>, expected| {
            assert_eq!(standing(kept, found.as_ref()), expected, "{kept:?} {found:?}");
        };
        check(kept(7), found(Some(7), false), Standing::Whole);
        check(kept(7), found(Some(6), false), Standing::Whole);
        check(kept(7), found(Some(8), false), Standing::Replaced);
        check(kept(7), found(None, false), Standing::Replaced);
        check(kept(7), found(Some(7), true), Standing::CutOff);
        check(kept(7), None, Standing::Gone);
        check(None, found(Some(7), false), Standing::NotMade);
        check(None, None, Standing::NotMade);
    }
}
