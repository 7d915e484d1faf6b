//! Link 2 beside the lanes of a topic: points are heard, lanes are held against them, and what differs becomes a case.

use super::backoff::Backoff;
use super::{Desk, NO_TOPIC};
use crate::custody::drift_case;
use crate::lane::{LaneWork, Reading};
use jiff::Timestamp;
use seamline_flow::case::Cases;
use seamline_flow::drift::Drift;
use seamline_flow::port::PortError;
use seamline_flow::stream::board::{Board, Heard, Listener};
use seamline_flow::stream::note::{Note, Notes};
use seamline_flow::stream::{Compared, Memory, Word};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

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

/// What differs in the partitions of a topic: all of it is one case, whichever lane found it.
#[derive(Debug, Default)]
pub(super) struct Open(Mutex<BTreeMap<u32, Vec<Drift>>>);

/// What was noted of a lane last.
#[derive(Debug, Default)]
pub(super) struct Noted(Option<(Word, Instant)>);

/// Holds a lane against the newest point that it has reached.
pub(super) async fn compare(
    desk: &Desk<'_>,
    lane: &mut LaneWork<'_>,
    (board, open): (&Board, &Open),
    noted: &mut Noted,
) -> Result<(), PortError> {
    let Some(compared) = lane.compare(board).await? else {
        if !lane.is_held() {
            // Whoever has the lane now tells of it: what was found here may be mended there.
            open.0.lock().await.remove(&lane.partition);
        }
        return Ok(());
    };
    desk.metrics.compared(lane, compared.word);
    tell(desk, lane, &compared, open).await?;
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

/// Raises the case of what differs, with the keys that other lanes of this agent found: a case says what is known now. The lock is
/// kept meanwhile, so that the case that is raised last is the one that knows most.
async fn tell(
    desk: &Desk<'_>,
    lane: &LaneWork<'_>,
    compared: &Compared,
    open: &Open,
) -> Result<(), PortError> {
    let mut all = open.0.lock().await;
    if compared.word == Word::Clean {
        all.remove(&lane.partition);
    }
    if compared.drifts.is_empty() {
        return Ok(());
    }
    all.insert(lane.partition, compared.drifts.clone());
    let agent = desk.agent;
    let found = Compared { drifts: all.values().flatten().cloned().collect(), ..compared.clone() };
    let report = Memory::report(lane.reading.intake, &found, lane.reading.topic, lane.partition);
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
