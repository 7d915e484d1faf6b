//! Health over HTTP: `/livez`, `/readyz` and `/metrics`. It says nothing of rows, and takes nothing.

use crate::metrics::Metrics;
use crate::pulse::Pulse;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The content type of metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Shown = (Arc<Metrics>, Arc<Pulse>);

/// Answers on a listener until the process ends.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, pulse: Arc<Pulse>) {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show))
        .with_state((metrics, pulse));
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(error = %error, "health is not answered any more");
    }
}

/// The loops turn.
async fn livez(State((_, pulse)): State<Shown>) -> impl IntoResponse {
    if pulse.is_live() {
        (StatusCode::OK, "live\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loops do not turn\n")
    }
}

/// Every database and the log answered of late.
async fn readyz(State((_, pulse)): State<Shown>) -> impl IntoResponse {
    let silent = pulse.unanswered();
    if silent.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines: Vec<String> = silent.iter().map(|place| format!("no answer: {place}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.concat())
}

async fn show(State((metrics, _)): State<Shown>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text())
}
