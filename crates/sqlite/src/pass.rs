//! Passes and watches in a context's database.

use crate::case::moment;
use crate::context::Database;
use crate::file::{begin, commit, corrupt, not_applied, signed, unsigned};
use jiff::Timestamp;
use seamline_flow::drift::Conclusion;
use seamline_flow::pass::{DAYS_KEPT, PASSES_KEPT, Pass, Passes, Watch};
use seamline_flow::port::PortError;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

impl Passes for Database {
    async fn watches(&self) -> Result<Vec<Watch>, PortError> {
        let all = "SELECT * FROM seamline_watch ORDER BY subject";
        let all = sqlx::query(all).fetch_all(self.readers()).await;
        all.map_err(not_applied)?.iter().map(watch).collect::<Result<_, _>>().map_err(not_applied)
    }

    async fn change_watch(&self, watch: &Watch) -> Result<bool, PortError> {
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let change = match watch.turn {
            0 => {
                "INSERT INTO seamline_watch (since, began, holder, until, paused, subject, turn) \
                 VALUES (?, ?, ?, ?, ?, ?, ? + 1) ON CONFLICT DO NOTHING"
            }
            _ => {
                "UPDATE seamline_watch SET since = ?, began = ?, holder = ?, until = ?, paused = ?, turn = turn + 1 \
                 WHERE subject = ? AND turn = ?"
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
        let mut writer = self.writer().await;
        let mut transaction = begin(&mut writer).await?;
        let note = "INSERT INTO seamline_pass \
            (subject, holder, began, ended, conclusion, rows, drifted, bytes, facts) \
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let note = sqlx::query(note).bind(&pass.subject).bind(&pass.holder).bind(pass.began.to_string());
        let note = note.bind(pass.ended.to_string()).bind(pass.conclusion.word()).bind(signed(pass.rows));
        let note = note.bind(signed(pass.drifted)).bind(signed(pass.bytes)).bind(&pass.facts);
        note.execute(&mut *transaction).await.map_err(not_applied)?;
        let forget = "DELETE FROM seamline_pass WHERE subject = ? \
            AND id NOT IN (SELECT id FROM seamline_pass WHERE subject = ? ORDER BY id DESC LIMIT ?) \
            AND id NOT IN (SELECT max(id) FROM seamline_pass WHERE subject = ? AND conclusion <> 'inconclusive' \
            GROUP BY substr(ended, 1, 10) ORDER BY 1 DESC LIMIT ?)";
        let subject = &pass.subject;
        let forget = sqlx::query(forget).bind(subject).bind(subject).bind(i64::from(PASSES_KEPT));
        let forget = forget.bind(subject).bind(i64::from(DAYS_KEPT));
        forget.execute(&mut *transaction).await.map_err(not_applied)?;
        commit(transaction).await
    }

    async fn passes(&self, subject: Option<&str>, limit: u32) -> Result<Vec<Pass>, PortError> {
        let all = "SELECT * FROM seamline_pass WHERE ?1 IS NULL OR subject = ?1 ORDER BY id DESC LIMIT ?2";
        let all = sqlx::query(all).bind(subject).bind(i64::from(limit)).fetch_all(self.readers()).await;
        all.map_err(not_applied)?.iter().map(pass).collect::<Result<_, _>>().map_err(not_applied)
    }
}

fn watch(row: &SqliteRow) -> Result<Watch, sqlx::Error> {
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

fn pass(row: &SqliteRow) -> Result<Pass, sqlx::Error> {
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
