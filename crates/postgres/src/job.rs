//! Jobs in a context's database.

use crate::case::moment;
use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied, signed, unsigned};
use jiff::Timestamp;
use seamline_flow::erasure::Scrub;
use seamline_flow::job::{Filed, Job, JobKind, JobStage, Jobs, KEPT, NewJob, Part};
use seamline_flow::port::PortError;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

const OVER: &str = "stage IN ('done', 'failed', 'aborted')";

/// What is forgotten once there are more: proofs of erasures never are.
const PASSING: &str = "stage IN ('done', 'failed', 'aborted') AND kind <> 'erase'";

impl Scrub for Database {
    /// Dead rows go by the server's own vacuum: only an owner of tables may order one.
    async fn scrub(&self) -> Result<bool, PortError> {
        Ok(true)
    }
}

impl Jobs for Database {
    async fn file(&self, new: &NewJob, now: Timestamp) -> Result<Filed, PortError> {
        let mut transaction = self.begin().await?;
        let filed = file(&mut transaction, new, now).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(filed)
    }

    async fn jobs(&self, over: bool) -> Result<Vec<Job>, PortError> {
        let all = format!("SELECT * FROM seamline.job WHERE $1 OR NOT {OVER} ORDER BY id");
        let all = sqlx::query(AssertSqlSafe(all)).bind(over).fetch_all(self.pool()).await;
        all.map_err(not_applied)?.iter().map(job).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn change(&self, job: &Job) -> Result<bool, PortError> {
        let mut transaction = self.begin().await?;
        let (holder, until) = job
            .holder
            .clone()
            .map_or((None, None), |(holder, until)| (Some(holder), Some(until.to_string())));
        let change = "UPDATE seamline.job SET stage = $1, holder = $2, until = $3, progress = $4, note = $5, \
                      changed = $6, turn = turn + 1 WHERE id = $7 AND turn = $8";
        let change = sqlx::query(change).bind(job.stage.word()).bind(holder).bind(until).bind(&job.progress);
        let change = change.bind(&job.note).bind(job.changed.to_string());
        let change = change.bind(signed(job.id)).bind(signed(job.turn));
        let changed = change.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }

    async fn parts(&self, id: u64) -> Result<Vec<Part>, PortError> {
        let all = "SELECT part, turn, progress FROM seamline.job_part WHERE job = $1 ORDER BY part";
        let all = sqlx::query(all).bind(signed(id)).fetch_all(self.pool()).await.map_err(not_applied)?;
        let part = |row: &PgRow| -> Result<Part, sqlx::Error> {
            let part = u32::try_from(row.get::<i32, _>(0)).map_err(corrupt)?;
            Ok(Part { part, turn: unsigned(row.get(1))?, progress: row.get(2) })
        };
        all.iter().map(part).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn change_part(&self, id: u64, part: &Part) -> Result<bool, PortError> {
        let mut transaction = self.begin().await?;
        let changed = change_part(&mut transaction, id, part).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(changed)
    }

    async fn translation(&self, subscription: &str) -> Result<Option<String>, PortError> {
        let text = "SELECT translation FROM seamline.translation WHERE subscription = $1";
        let text = sqlx::query_scalar(text).bind(subscription).fetch_optional(self.pool()).await;
        text.map_err(not_applied)
    }

    async fn translated(&self, subscription: &str, translation: &str) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        let put = "INSERT INTO seamline.translation (subscription, translation) VALUES ($1, $2) \
                   ON CONFLICT (subscription) DO UPDATE SET translation = excluded.translation";
        let put = sqlx::query(put).bind(subscription).bind(translation);
        put.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }
}

async fn file(conn: &mut PgConnection, new: &NewJob, now: Timestamp) -> Result<Filed, sqlx::Error> {
    let forget = format!(
        "DELETE FROM seamline.job WHERE {PASSING} AND id NOT IN \
         (SELECT id FROM seamline.job WHERE {PASSING} ORDER BY id DESC LIMIT {KEPT})"
    );
    sqlx::query(AssertSqlSafe(forget)).execute(&mut *conn).await?;
    // The index of what is not over lets in one for each subject, whoever else files at the same moment.
    let insert = format!(
        "INSERT INTO seamline.job (kind, subject, orders, stage, turn, progress, note, since, changed) \
         VALUES ($1, $2, $3, 'waiting', 0, '', '', $4, $4) \
         ON CONFLICT (subject) WHERE NOT {OVER} DO NOTHING RETURNING id"
    );
    let insert = sqlx::query_scalar(AssertSqlSafe(insert)).bind(new.kind.word()).bind(&new.subject);
    let insert = insert.bind(&new.orders).bind(now.to_string());
    if let Some(id) = insert.fetch_optional(&mut *conn).await? {
        return Ok(Filed::New(unsigned(id)?));
    }
    let there = format!("SELECT max(id) FROM seamline.job WHERE subject = $1 AND NOT {OVER}");
    let there: Option<i64> =
        sqlx::query_scalar(AssertSqlSafe(there)).bind(&new.subject).fetch_one(conn).await?;
    // One that was in the way and is over by now: whoever files again finds out.
    Ok(Filed::Busy(unsigned(there.unwrap_or_default())?))
}

async fn change_part(conn: &mut PgConnection, id: u64, part: &Part) -> Result<bool, sqlx::Error> {
    let number = i32::try_from(part.part).map_err(corrupt)?;
    let change = match part.turn {
        0 => {
            let insert = "INSERT INTO seamline.job_part (job, part, turn, progress) VALUES ($1, $2, 1, $3) \
                          ON CONFLICT DO NOTHING";
            sqlx::query(insert).bind(signed(id)).bind(number).bind(&part.progress)
        }
        turn => {
            let update = "UPDATE seamline.job_part SET progress = $1, turn = turn + 1 \
                          WHERE job = $2 AND part = $3 AND turn = $4";
            sqlx::query(update).bind(&part.progress).bind(signed(id)).bind(number).bind(signed(turn))
        }
    };
    Ok(change.execute(conn).await?.rows_affected() > 0)
}

fn job(row: &PgRow) -> Result<Job, sqlx::Error> {
    let (kind, stage): (String, String) = (row.get("kind"), row.get("stage"));
    let unknown = || corrupt("a job is of a kind or at a stage that is not known here");
    let holder: Option<String> = row.get("holder");
    let until: Option<&str> = row.get("until");
    Ok(Job {
        id: unsigned(row.get("id"))?,
        filed: NewJob {
            kind: JobKind::ALL.into_iter().find(|known| known.word() == kind).ok_or_else(unknown)?,
            subject: row.get("subject"),
            orders: row.get("orders"),
        },
        stage: JobStage::ALL.into_iter().find(|known| known.word() == stage).ok_or_else(unknown)?,
        holder: holder.zip(until.map(moment).transpose()?),
        turn: unsigned(row.get("turn"))?,
        progress: row.get("progress"),
        note: row.get("note"),
        since: moment(row.get("since"))?,
        changed: moment(row.get("changed"))?,
    })
}
