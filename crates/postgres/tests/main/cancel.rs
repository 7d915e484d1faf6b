//! A call that is dropped half done leaves nothing open on the connection that the next call gets.

use crate::fixture::{Home, TTL, at, things};
use seamline_flow::lease::Leases;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// A call is dropped after each of so many steps.
const STEPS: u32 = 12;

/// Takes a call so many steps on, and drops it.
async fn dropped_after(steps: u32, call: impl Future) {
    let mut call = pin!(call);
    for _ in 0..steps {
        let is_ready = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready()));
        if is_ready.await {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_transaction_that_is_dropped_as_it_begins_is_not_left_open() {
    let home = Home::new().await;
    let database = things(&home).await;
    for steps in (1..=STEPS).cycle().take(10 * STEPS as usize) {
        dropped_after(steps, database.attend("somebody", at(0), TTL)).await;
    }
    let mut watch = home.service().await;
    let closed = async {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                    AND state <> 'idle'";
        while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut watch).await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
    assert!(closed.is_ok(), "a connection waits in the pool with a transaction open");
}
