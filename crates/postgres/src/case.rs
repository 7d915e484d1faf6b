//! Cases in a context's database.

use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied, unsigned};
use jiff::Timestamp;
use seamline_flow::case::{Case, CaseKind, CaseStage, Cases, NewCase};
use seamline_flow::port::PortError;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

impl Cases for Database {
    async fn raise(&self, new: &NewCase, now: Timestamp) -> Result<u64, PortError> {
        let mut transaction = self.begin().await?;
        let id = raise(&mut transaction, new, now).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(id)
    }

    async fn cases(&self, closed: bool) -> Result<Vec<Case>, PortError> {
        let mut reader = self.pool().acquire().await.map_err(not_applied)?;
        cases(&mut reader, closed).await.map_err(not_applied)
    }

    async fn advance(
        &self,
        id: u64,
        stage: CaseStage,
        note: &str,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        let Ok(id) = i64::try_from(id) else { return Ok(false) };
        let mut transaction = self.begin().await?;
        let there = advance(&mut transaction, id, stage, note, now).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(there)
    }
}

/// Raises a case inside a transaction.
pub(crate) async fn raise(
    conn: &mut PgConnection,
    new: &NewCase,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let before = sqlx::query_scalar("SELECT stage FROM seamline.cases WHERE fingerprint = $1 FOR UPDATE");
    let before: Option<String> = before.bind(&new.fingerprint).fetch_optional(&mut *conn).await?;
    let statement = "INSERT INTO seamline.cases AS c \
        (kind, fingerprint, subject, owed_by, summary, details, stage, opened, times) \
        VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, 1) ON CONFLICT (fingerprint) DO UPDATE SET \
        kind = excluded.kind, subject = excluded.subject, owed_by = excluded.owed_by, \
        summary = excluded.summary, details = excluded.details, times = c.times + 1, \
        stage = CASE c.stage WHEN 'closed' THEN 'open' ELSE c.stage END RETURNING id";
    let query = sqlx::query_scalar(statement).bind(new.kind.word()).bind(&new.fingerprint).bind(&new.subject);
    let query = query.bind(new.owed_by.as_str()).bind(&new.summary).bind(&new.details).bind(now.to_string());
    let id: i64 = query.fetch_one(&mut *conn).await?;
    match before.as_deref() {
        None => note(conn, id, now, "opened").await?,
        Some("closed") => note(conn, id, now, "reopened").await?,
        Some(_) => {}
    }
    unsigned(id)
}

async fn advance(
    conn: &mut PgConnection,
    id: i64,
    stage: CaseStage,
    text: &str,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query("UPDATE seamline.cases SET stage = $1 WHERE id = $2").bind(stage.word()).bind(id);
    if moved.execute(&mut *conn).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let line = if text.is_empty() { stage.word().to_owned() } else { format!("{}: {text}", stage.word()) };
    note(conn, id, now, &line).await?;
    Ok(true)
}

async fn note(conn: &mut PgConnection, id: i64, at: Timestamp, what: &str) -> Result<(), sqlx::Error> {
    let line = sqlx::query("INSERT INTO seamline.case_timeline (case_id, at, what) VALUES ($1, $2, $3)");
    line.bind(id).bind(at.to_string()).bind(what).execute(conn).await?;
    Ok(())
}

async fn cases(conn: &mut PgConnection, closed: bool) -> Result<Vec<Case>, sqlx::Error> {
    let all = "SELECT id, kind, fingerprint, subject, owed_by, summary, details, stage, opened, times \
               FROM seamline.cases WHERE $1 OR stage <> 'closed' ORDER BY id";
    let rows = sqlx::query(all).bind(closed).fetch_all(&mut *conn).await?;
    let mut cases = rows.iter().map(case).collect::<Result<Vec<Case>, _>>()?;
    let lines = sqlx::query("SELECT case_id, at, what FROM seamline.case_timeline ORDER BY case_id, id");
    for row in lines.fetch_all(conn).await? {
        let id = unsigned(row.get(0))?;
        if let Ok(idx) = cases.binary_search_by_key(&id, |case| case.id) {
            cases[idx].timeline.push((moment(row.get(1))?, row.get(2)));
        }
    }
    Ok(cases)
}

fn case(row: &PgRow) -> Result<Case, sqlx::Error> {
    let (kind, stage): (String, String) = (row.get("kind"), row.get("stage"));
    let unknown = || corrupt("a case is of a kind or at a stage that is not known here");
    let owed_by: String = row.get("owed_by");
    Ok(Case {
        id: unsigned(row.get("id"))?,
        raised: NewCase {
            kind: CaseKind::ALL.into_iter().find(|known| known.word() == kind).ok_or_else(unknown)?,
            fingerprint: row.get("fingerprint"),
            subject: row.get("subject"),
            owed_by: owed_by.parse().map_err(corrupt)?,
            summary: row.get("summary"),
            details: row.get("details"),
        },
        stage: CaseStage::ALL.into_iter().find(|known| known.word() == stage).ok_or_else(unknown)?,
        opened: moment(row.get("opened"))?,
        times: unsigned(row.get("times"))?,
        timeline: Vec::new(),
    })
}

/// Reads a moment as it is stored.
pub(crate) fn moment(text: &str) -> Result<Timestamp, sqlx::Error> {
    text.parse().map_err(corrupt)
}
