//! What opening a file tells when it cannot be used.

use crate::fixture::{Files, run, things};
use seamline_sqlite::context::Database;
use seamline_sqlite::file::OpenError;
use seamline_sqlite::log::EmbeddedLog;
use std::time::Duration;

#[tokio::test]
async fn a_file_that_is_missing_is_not_made() {
    let files = Files::new();
    let path = files.path("nowhere.db");
    assert!(matches!(Database::open(&path).await, Err(OpenError::Missing(_))));
    assert!(!path.exists());
    assert!(matches!(
        Database::create(&files.path("no/such/directory.db")).await,
        Err(OpenError::Missing(_))
    ));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_is() {
    let files = Files::new();
    let path = files.path("text.db");
    let text = "a text that is long enough to have a header, were it one ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(Database::create(&path).await, Err(OpenError::NotADatabase(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_file_that_is_read_only_says_so() {
    let files = Files::new();
    drop(files.context().await);
    let path = files.path("context.db");
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let error = Database::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly(_)));
    assert!(error.help().contains("right to write"));
}

#[tokio::test]
async fn a_file_that_is_locked_says_so_and_opens_later() {
    let files = Files::new();
    drop(files.context().await);
    let mut other = files.service().await;
    run(&mut other, "BEGIN IMMEDIATE").await.unwrap();
    let patience = Duration::from_millis(20);
    let path = files.path("context.db");
    assert!(matches!(Database::open_within(&path, patience).await, Err(OpenError::Locked(_))));
    run(&mut other, "ROLLBACK").await.unwrap();
    assert!(Database::open_within(&path, patience).await.is_ok());
}

#[tokio::test]
async fn a_newer_format_is_left_as_it_is() {
    let files = Files::new();
    let database = things(&files).await;
    run(
        &mut *database.writer().await,
        "UPDATE seamline_format SET version = 2 WHERE stored = 'seamline_outbox'",
    )
    .await
    .unwrap();
    drop(database);
    let error = Database::open(&files.path("context.db")).await.unwrap_err();
    let OpenError::Newer { stored, found, known, .. } = error else { panic!("{error}") };
    assert_eq!((stored.as_str(), found, known), ("seamline_outbox", 2, 1));
    let mut other = files.service().await;
    run(
        &mut other,
        "DELETE FROM seamline_format; INSERT INTO seamline_format VALUES ('seamline_novelty', 1)",
    )
    .await
    .unwrap();
    let error = Database::open(&files.path("context.db")).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { known: 0, .. }), "a table that is not known at all");
}

#[tokio::test]
async fn a_log_is_not_taken_for_a_context() {
    let files = Files::new();
    drop(files.log().await);
    assert!(matches!(Database::open(&files.path("log.db")).await, Err(OpenError::Newer { .. })));
    drop(things(&files).await);
    let taken = EmbeddedLog::open(&files.path("context.db"), false, files.hands.clone()).await;
    assert!(matches!(taken, Err(OpenError::Newer { .. })));
}
