//! Jobs in a context's database.

use crate::case::moment;
use crate::context::Database;
use crate::file::{begin, commit, corrupt, is_busy, not_applied, signed, unsigned};
use jiff::Timestamp;
use seamline_flow::erasure::Scrub;
use seamline_flow::job::{Filed, Job, JobKind, JobStage, Jobs, KEPT, NewJob, Part};
use seamline_flow::port::PortError;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const OVER: &str = "stage IN ('done', 'failed', 'aborted')";

/// What is forgotten once there are more: proofs of erasures never are.
const PASSING: &str = "stage IN ('done', 'failed', 'aborted') AND kind <> 'erase'";

impl Scrub for Database {
    async fn scrub(&self) -> Result<bool, PortError> {
        let mut writer = self.writer().await;
        // The file is written anew without what was deleted, then the log of its changes is emptied.
        match sqlx::query("VACUUM").persistent(false).execute(&mut *writer).await {
            Err(error) if is_busy(&error) => return Ok(false),
            done => done.map_err(not_applied)?,
        };
        let busy = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").persistent(false);
        let busy: i64 = busy.fetch_one(&mut *writer).await.map_err(not_applied)?;
        Ok(busy == 0)
    }
}

impl Jobs for Database {
    async fn file(&self, new: &NewJob, now: Timestamp) -> Result<Filed, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let filed = file(&mut transaction, new, now).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(filed)
    }

    async fn jobs(&self, over: bool) -> Result<Vec<Job>, PortError> {
        let all = format!("SELECT * FROM seamline_job WHERE ? OR NOT {OVER} ORDER BY id");
        let all = sqlx::query(sqlx::AssertSqlSafe(all)).bind(over).fetch_all(self.readers()).await;
        all.map_err(not_applied)?.iter().map(job).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn change(&self, job: &Job) -> Result<bool, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let (holder, until) = job
            .holder
            .clone()
            .map_or((None, None), |(holder, until)| (Some(holder), Some(until.to_string())));
        let change = "UPDATE seamline_job SET stage = ?, holder = ?, until = ?, progress = ?, note = ?, \
                      changed = ?, turn = turn + 1 WHERE id = ? AND turn = ?";
        let change = sqlx::query(change).bind(job.stage.word()).bind(holder).bind(until).bind(&job.progress);
        let change = change.bind(&job.note).bind(job.changed.to_string());
        let change = change.bind(signed(job.id)).bind(signed(job.turn));
        let changed = change.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }

    async fn parts(&self, id: u64) -> Result<Vec<Part>, PortError> {
        let all = "SELECT part, turn, progress FROM seamline_job_part WHERE job = ? ORDER BY part";
        let all = sqlx::query(all).bind(signed(id)).fetch_all(self.readers()).await.map_err(not_applied)?;
        let part = |row: &SqliteRow| -> Result<Part, sqlx::Error> {
            Ok(Part { part: row.get(0), turn: unsigned(row.get(1))?, progress: row.get(2) })
        };
        all.iter().map(part).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn change_part(&self, id: u64, part: &Part) -> Result<bool, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let changed = change_part(&mut transaction, id, part).await.map_err(not_applied)?;
        commit(transaction).await?;
        Ok(changed)
    }

    async fn translation(&self, subscription: &str) -> Result<Option<String>, PortError> {
        let text = "SELECT translation FROM seamline_translation WHERE subscription = ?";
        let text = sqlx::query_scalar(text).bind(subscription).fetch_optional(self.readers()).await;
        text.map_err(not_applied)
    }

    async fn translated(&self, subscription: &str, translation: &str) -> Result<(), PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let put = "INSERT OR REPLACE INTO seamline_translation (subscription, translation) VALUES (?, ?)";
        let put = sqlx::query(put).bind(subscription).bind(translation);
        put.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }
}

async fn file(conn: &mut SqliteConnection, new: &NewJob, now: Timestamp) -> Result<Filed, sqlx::Error> {
    let there = format!("SELECT id FROM seamline_job WHERE subject = ? AND NOT {OVER}");
    let there = sqlx::query_scalar(sqlx::AssertSqlSafe(there)).bind(&new.subject);
    if let Some(id) = there.fetch_optional(&mut *conn).await? {
        return Ok(Filed::Busy(unsigned(id)?));
    }
    let forget = format!(
        "DELETE FROM seamline_job WHERE {PASSING} AND id NOT IN \
         (SELECT id FROM seamline_job WHERE {PASSING} ORDER BY id DESC LIMIT {KEPT})"
    );
    sqlx::query(sqlx::AssertSqlSafe(forget)).execute(&mut *conn).await?;
    let insert = "INSERT INTO seamline_job (kind, subject, orders, stage, turn, progress, note, since, changed) \
                  VALUES (?, ?, ?, 'waiting', 0, '', '', ?, ?) RETURNING id";
    let insert = sqlx::query_scalar(insert).bind(new.kind.word()).bind(&new.subject).bind(&new.orders);
    let id = insert.bind(now.to_string()).bind(now.to_string()).fetch_one(conn).await?;
    Ok(Filed::New(unsigned(id)?))
}

async fn change_part(conn: &mut SqliteConnection, id: u64, part: &Part) -> Result<bool, sqlx::Error> {
    let change = match part.turn {
        0 => {
            let insert = "INSERT INTO seamline_job_part (job, part, turn, progress) VALUES (?, ?, 1, ?) \
                          ON CONFLICT DO NOTHING";
            sqlx::query(insert).bind(signed(id)).bind(part.part).bind(&part.progress)
        }
        turn => {
            let update = "UPDATE seamline_job_part SET progress = ?, turn = turn + 1 \
                          WHERE job = ? AND part = ? AND turn = ?";
            let update = sqlx::query(update).bind(&part.progress).bind(signed(id));
            update.bind(part.part).bind(signed(turn))
        }
    };
    Ok(change.execute(conn).await?.rows_affected() > 0)
}

fn job(row: &SqliteRow) -> Result<Job, sqlx::Error> {
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
