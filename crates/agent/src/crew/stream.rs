//! Link 2 beside the lanes of a topic: points are heard, lanes are held against them, and what differs becomes a case.

use super::backoff::Backoff;
use super::{Desk, NO_TOPIC};
use crate::custody::drift_case;
use crate::lane::{LaneWork, Reading};
use jiff::Timestamp;
use seamline_flow::case::Cases;
use seamline_flow::port::PortError;
use seamline_flow::stream::board::{Board, Heard, Listener};
use seamline_flow::stream::note::{Note, Notes};
use seamline_flow::stream::{Compared, Memory, Word};
use std::time::{Duration, Instant};

/// How long a listener waits between two looks.
const LISTENS: Duration = Duration::from_millis(300);

/// How often what did not change is noted again.
const NOTED: Duration = Duration::from_secs(15);

/// Hears the points of a topic until told to stop.
pub(super) async fn listen(desk: &Desk<'_>, reading: Reading<'_>, board: &Board) {
    let (mut listener, mut backoff) = (Listener::new(reading.topic), Backoff::default());
    while !desk.stopping() {
        match listener.step(desk.agent.log.as_ref(), board, Timestamp::now()).await {
            Ok(heard) => {
                desk.recovered("listener", &mut backoff);
                desk.nap(if heard == Heard::NoTopic { NO_TOPIC } else { LISTENS }).await;
            }
            Err(error) => desk.failed("listener", &error, &mut backoff).await,
        }
    }
}

/// What was noted of a lane last.
#[derive(Debug, Default)]
pub(super) struct Noted(Option<(Word, Instant)>);

/// Holds a lane against the newest point that it has reached.
pub(super) async fn compare(
    desk: &Desk<'_>,
    lane: &mut LaneWork<'_>,
    board: &Board,
    noted: &mut Noted,
) -> Result<(), PortError> {
    let Some(compared) = lane.compare(board).await? else { return Ok(()) };
    desk.metrics.compared(lane, compared.word);
    tell(desk, lane, &compared).await?;
    let is_new = noted.0.is_none_or(|(word, at)| word != compared.word || at.elapsed() > NOTED);
    if is_new {
        noted.0 = Some((compared.word, Instant::now()));
        let reason = match compared.word {
            Word::Inconclusive(why) => why.words().to_owned(),
            Word::Clean | Word::Drift => String::new(),
        };
        let (offset, outcome) = (compared.offset, compared.word.word().to_owned());
        let note = Note { lane: lane.lane(), offset, at: Timestamp::now(), outcome, reason };
        desk.agent.database.note_compared(&note).await?;
    }
    Ok(())
}

async fn tell(desk: &Desk<'_>, lane: &LaneWork<'_>, compared: &Compared) -> Result<(), PortError> {
    if compared.drifts.is_empty() {
        return Ok(());
    }
    let agent = desk.agent;
    let report = Memory::report(lane.reading.intake, compared, lane.reading.topic, lane.partition);
    let case = drift_case(&agent.context, &report);
    tracing::error!(
        context = %agent.context,
        subject = %case.subject,
        topic = lane.reading.topic,
        partition = lane.partition,
        keys = compared.drifts.len(),
        "records were lost or altered between the log and here"
    );
    agent.database.raise(&case, Timestamp::now()).await?;
    Ok(())
}
