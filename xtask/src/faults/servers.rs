//! Servers that stop, die, or answer nobody, while everybody works.

use crate::faults::verdict::{End, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground, Servers};
use anyhow::Result;
use std::thread;
use std::time::Duration;

/// How long all work undisturbed before and after.
const CALM: Duration = Duration::from_secs(2);

/// How long a server is away.
const AWAY: Duration = Duration::from_secs(2);

/// Takes a server away while everybody works, twice, and gives it back.
pub(crate) fn away(
    ground: &Ground<'_>,
    fault: fn(&mut Servers) -> Result<()>,
    mend: fn(&mut Servers) -> Result<()>,
) -> Result<Done> {
    let stage = ground.stage()?;
    let agents = stage.agents()?;
    let writers = stage.writers_with(6, &["--pause", "0.1"])?;
    for _ in 0..2 {
        thread::sleep(CALM);
        let mut servers = ground.servers();
        fault(&mut servers)?;
        thread::sleep(AWAY);
        mend(&mut servers)?;
    }
    thread::sleep(CALM);
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(2, outcome);
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(2, outcome)
}
