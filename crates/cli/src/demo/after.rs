//! The scene after: what each context of the insurer knows now, read from its own database.

use crate::proving::scene::Scene;
use anyhow::Result;
use sqlx::Row;

/// Returns the lines to print, each read from the database of the context that it is about.
///
/// # Errors
/// When a database cannot be read.
pub(crate) async fn look(scene: &Scene) -> Result<Vec<String>> {
    let count = async |context: &str, sql: &'static str| -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(scene.file(context).readers()).await?)
    };
    let suspended = "SELECT count(*) FROM seamline_inbox WHERE event = 'PolicySuspended'";
    let (suspended, stopped) =
        (count("claims", suspended).await?, count("claims", "SELECT count(*) FROM claim_stop").await?);
    let documents = count("document-management", "SELECT count(*) FROM document").await?;
    let twice = count("document-management", "SELECT count(*) FROM document WHERE times > 1").await?;
    let accounts = count("billing", "SELECT count(*) FROM receivable_current").await?;
    let mut lines = vec![
        format!("claims    heard of {suspended} suspensions and stopped claims for {stopped}"),
        format!("billing   keeps {accounts} accounts; no suspension and no corrected name ever reached it"),
        format!("documents printed {documents}, each once ({twice} twice), whatever was delivered how often"),
    ];
    let shown = sqlx::query(
        "SELECT policy_id, cover, payment, notice FROM policy_overview WHERE payment IS NOT NULL ORDER BY notice = 'inOrder', policy_id LIMIT 1",
    )
    .fetch_optional(scene.file("crm").readers())
    .await?;
    if let Some(row) = shown {
        let [policy, cover, payment, notice]: [String; 4] = std::array::from_fn(|at| row.get(at));
        lines.push(format!("crm       shows {policy}: cover `{cover}`, payment `{payment}`, and so `{notice}`: two answers, each its owner's"));
    }
    Ok(lines)
}
