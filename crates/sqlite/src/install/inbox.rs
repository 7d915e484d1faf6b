//! The views with which a service takes what is in its inbox, and the columns that they need.
//!
//! Invariant: of each key only the first row that is not done can be claimed, so the order of a key holds whatever workers do.

use sqlx::sqlite::SqliteConnection;

/// The columns that came after the first format.
const ADDED: [&str; 5] = ["due", "why", "ended_at", "correlation", "traceparent"];

/// The moment as it is stored here.
macro_rules! now {
    ($shift:literal) => {
        concat!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now'", $shift, ")")
    };
}

/// What can be claimed, the first row of each key, in order.
pub(crate) const CLAIMABLE: [&str; 2] = [
    "DROP VIEW IF EXISTS seamline_claimable",
    concat!(
        "CREATE VIEW seamline_claimable AS SELECT i.* FROM seamline_inbox i
WHERE i.state IN ('waiting', 'claimed') AND (i.due IS NULL OR i.due <= ",
        now!(""),
        ") AND NOT EXISTS (SELECT 1 FROM seamline_inbox e WHERE e.subscription = i.subscription AND e.key = i.key
  AND e.state <> 'done' AND e.number < i.number)
ORDER BY i.number"
    ),
];

/// A view that is only inserted into: claims a row for so many seconds.
pub(crate) const CLAIM: [&str; 3] = [
    "DROP VIEW IF EXISTS seamline_claim",
    "CREATE VIEW seamline_claim AS SELECT NULL AS number, NULL AS hold WHERE false",
    concat!(
        "CREATE TRIGGER seamline_claim_insert INSTEAD OF INSERT ON seamline_claim BEGIN
  SELECT RAISE(ABORT, 'seamline: `hold` must be more than no seconds') WHERE coalesce(NEW.hold, 60) <= 0;
  SELECT RAISE(ABORT, 'seamline: this row of the inbox cannot be claimed now; take one of `seamline_claimable`')
    WHERE NOT EXISTS (SELECT 1 FROM seamline_claimable c WHERE c.number = NEW.number);
  UPDATE seamline_inbox SET state = 'claimed', attempts = attempts + 1, due = ",
        now!(", '+' || coalesce(NEW.hold, 60) || ' seconds'"),
        " WHERE number = NEW.number;
END"
    ),
];

/// A view that is only inserted into: ends a claimed row.
pub(crate) const DONE: [&str; 3] = [
    "DROP VIEW IF EXISTS seamline_done",
    "CREATE VIEW seamline_done AS SELECT NULL AS number, NULL AS attempt WHERE false",
    concat!(
        "CREATE TRIGGER seamline_done_insert INSTEAD OF INSERT ON seamline_done BEGIN
  SELECT RAISE(ABORT, 'seamline: this row of the inbox is not claimed, or was claimed again since')
    WHERE NOT EXISTS (SELECT 1 FROM seamline_inbox i WHERE i.number = NEW.number AND i.state = 'claimed'
      AND (NEW.attempt IS NULL OR i.attempts = NEW.attempt));
  SELECT RAISE(ABORT, 'seamline: this row of the inbox is a command; end it with its outcome, by seamline_answer')
    WHERE EXISTS (SELECT 1 FROM seamline_inbox i JOIN seamline_errand e ON e.side = 'receives'
      AND e.subscription = i.subscription WHERE i.number = NEW.number);
  UPDATE seamline_inbox SET state = 'done', due = NULL, why = NULL, ended_at = ",
        now!(""),
        " WHERE number = NEW.number;
END"
    ),
];

/// A view that is only inserted into: gives a claimed row back, or lets it rest. `again` is in seconds; a negative one, or an
/// attempt too many, lets it rest.
pub(crate) const FAILED: [&str; 3] = [
    "DROP VIEW IF EXISTS seamline_failed",
    "CREATE VIEW seamline_failed AS \
     SELECT NULL AS number, NULL AS why, NULL AS attempt, NULL AS again, NULL AS most WHERE false",
    concat!(
        "CREATE TRIGGER seamline_failed_insert INSTEAD OF INSERT ON seamline_failed BEGIN
  SELECT RAISE(ABORT, 'seamline: `why` says nothing') WHERE coalesce(NEW.why, '') = '';
  SELECT RAISE(ABORT, 'seamline: this row of the inbox is not claimed, or was claimed again since')
    WHERE NOT EXISTS (SELECT 1 FROM seamline_inbox i WHERE i.number = NEW.number AND i.state = 'claimed'
      AND (NEW.attempt IS NULL OR i.attempts = NEW.attempt));
  UPDATE seamline_inbox SET why = NEW.why,
    state = CASE WHEN coalesce(NEW.again, 10) < 0 OR attempts >= coalesce(NEW.most, 10) THEN 'failed' ELSE 'waiting' END,
    due = CASE WHEN coalesce(NEW.again, 10) < 0 OR attempts >= coalesce(NEW.most, 10) THEN NULL ELSE ",
        now!(", '+' || (coalesce(NEW.again, 10) * (1 << min(attempts - 1, 10))) || ' seconds'"),
        " END WHERE number = NEW.number;
END"
    ),
];

/// Adds the columns that came after the first format, where the table is there without them.
pub(crate) async fn upgrade(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let there = sqlx::query_scalar("SELECT name FROM pragma_table_info('seamline_inbox')");
    let there: Vec<String> = there.fetch_all(&mut *conn).await?;
    if there.is_empty() {
        return Ok(());
    }
    for column in ADDED.iter().filter(|column| !there.iter().any(|name| name == *column)) {
        let statement = format!("ALTER TABLE seamline_inbox ADD COLUMN {column} TEXT");
        sqlx::query(sqlx::AssertSqlSafe(statement)).persistent(false).execute(&mut *conn).await?;
    }
    Ok(())
}
