//! Passes and watches in a context's database.

use crate::case::moment;
use crate::database::{Database, commit};
use crate::sql::{corrupt, not_applied, signed, unsigned};
use jiff::Timestamp;
use seamline_flow::drift::Conclusion;
use seamline_flow::pass::{DAYS_KEPT, PASSES_KEPT, Pass, Passes, Watch};
use seamline_flow::port::PortError;
use sqlx::Row;
use sqlx::postgres::PgRow;

impl Passes for Database {
    async fn watches(&self) -> Result<Vec<Watch>, PortError> {
        let all = "SELECT * FROM seamline.watch ORDER BY subject";
        let all = sqlx::query(all).fetch_all(self.pool()).await;
        all.map_err(not_applied)?.iter().map(watch).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn change_watch(&self, watch: &Watch) -> Result<bool, PortError> {
        let mut transaction = self.begin().await?;
        let change = match watch.turn {
            0 => {
                "INSERT INTO seamline.watch (since, began, holder, until, paused, subject, turn) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7 + 1) ON CONFLICT DO NOTHING"
            }
            _ => {
                "UPDATE seamline.watch SET since = $1, began = $2, holder = $3, until = $4, paused = $5, turn = turn + 1 \
                 WHERE subject = $6 AND turn = $7"
            }
        };
        let text = |at: Timestamp| at.to_string();
        let (holder, until) =
            watch.holder.clone().map_or((None, None), |(holder, until)| (Some(holder), Some(text(until))));
        let change = sqlx::query(change).bind(text(watch.since)).bind(watch.began.map(text)).bind(holder);
        let change = change.bind(until).bind(&watch.paused).bind(&watch.subject).bind(signed(watch.turn));
        let changed = change.execute(&mut *transaction).await.map_err(not_applied)?.rows_affected();
        commit(transaction).await?;
        Ok(changed > 0)
    }

    async fn note_pass(&self, pass: &Pass) -> Result<(), PortError> {
        let mut transaction = self.begin().await?;
        let note = "INSERT INTO seamline.pass \
            (subject, holder, began, ended, conclusion, rows, drifted, bytes, facts) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let note = sqlx::query(note).bind(&pass.subject).bind(&pass.holder).bind(pass.began.to_string());
        let note = note.bind(pass.ended.to_string()).bind(pass.conclusion.word()).bind(signed(pass.rows));
        let note = note.bind(signed(pass.drifted)).bind(signed(pass.bytes)).bind(&pass.facts);
        note.execute(&mut *transaction).await.map_err(not_applied)?;
        let forget = "DELETE FROM seamline.pass WHERE subject = $1 \
            AND id NOT IN (SELECT id FROM seamline.pass WHERE subject = $2 ORDER BY id DESC LIMIT $3) \
            AND id NOT IN (SELECT max(id) FROM seamline.pass WHERE subject = $4 AND conclusion <> 'inconclusive' \
            GROUP BY substr(ended, 1, 10) ORDER BY 1 DESC LIMIT $5)";
        let subject = &pass.subject;
        let forget = sqlx::query(forget).bind(subject).bind(subject).bind(i64::from(PASSES_KEPT));
        let forget = forget.bind(subject).bind(i64::from(DAYS_KEPT));
        forget.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn passes(&self, subject: Option<&str>, limit: u32) -> Result<Vec<Pass>, PortError> {
        let all =
            "SELECT * FROM seamline.pass WHERE $1::text IS NULL OR subject = $1 ORDER BY id DESC LIMIT $2";
        let all = sqlx::query(all).bind(subject).bind(i64::from(limit)).fetch_all(self.pool()).await;
        all.map_err(not_applied)?.iter().map(pass).collect::<Result<_, _>>().map_err(not_applied)
    }
}

fn watch(row: &PgRow) -> Result<Watch, sqlx::Error> {
    let (began, until): (Option<String>, Option<String>) = (row.get("began"), row.get("until"));
    let holder: Option<String> = row.get("holder");
    let until = until.as_deref().map(moment).transpose()?;
    Ok(Watch {
        subject: row.get("subject"),
        since: moment(row.get("since"))?,
        began: began.as_deref().map(moment).transpose()?,
        holder: holder.zip(until),
        paused: row.get("paused"),
        turn: unsigned(row.get("turn"))?,
    })
}

fn pass(row: &PgRow) -> Result<Pass, sqlx::Error> {
    let word: String = row.get("conclusion");
    let known = Conclusion::ALL.into_iter().find(|known| known.word() == word);
    Ok(Pass {
        subject: row.get("subject"),
        holder: row.get("holder"),
        began: moment(row.get("began"))?,
        ended: moment(row.get("ended"))?,
        conclusion: known.ok_or_else(|| corrupt("a pass ended in a way that is not known here"))?,
        rows: unsigned(row.get("rows"))?,
        drifted: unsigned(row.get("drifted"))?,
        bytes: unsigned(row.get("bytes"))?,
        facts: row.get("facts"),
    })
}
