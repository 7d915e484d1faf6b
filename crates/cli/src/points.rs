//! How lanes compared with the points that auditors told, for people and for programs.

use crate::terminal::columns;
use anyhow::{Context, Result};
use jiff::Timestamp;
use seamline_agent::agent::Agent;
use seamline_flow::stream::note::{Note, Notes};
use serde_json::{Value, json};

/// Returns the last comparison of each lane of a context.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn points(agent: &Agent) -> Result<Vec<Note>> {
    agent.database.compared().await.context("the database does not say how lanes compared")
}

/// Returns them as a document.
pub(crate) fn document(notes: &[Note]) -> Value {
    let one = |note: &Note| {
        json!({
            "subscription": note.lane.subscription.to_string(),
            "topic": note.lane.topic,
            "partition": note.lane.partition,
            "offset": note.offset.to_string(),
            "at": note.at.to_string(),
            "outcome": note.outcome,
            "reason": note.reason,
        })
    };
    notes.iter().map(one).collect()
}

/// Prints them, where there are any.
pub(crate) fn print(notes: &[Note]) {
    if notes.is_empty() {
        return;
    }
    let head = ["lane", "compared up to", "ago", "outcome", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(notes.iter().map(|note| {
        let lane = format!("{} {}/{}", note.lane.subscription, note.lane.topic, note.lane.partition);
        let ago = Timestamp::now().duration_since(note.at).as_secs().max(0);
        vec![lane, note.offset.to_string(), format!("{ago} s"), note.outcome.clone(), note.reason.clone()]
    }));
    println!("{}", columns(&rows));
}
