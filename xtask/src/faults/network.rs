//! A network that is slow, half open, or resets what is under way, while everybody works through it.

use crate::faults::verdict::{End, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground};
use anyhow::Result;
use std::thread;
use std::time::Duration;
use xtask::proxy::{Direction, Proxy};

/// How long all work undisturbed before, between and after.
const CALM: Duration = Duration::from_millis(700);

/// How long the network is bad.
const BAD: Duration = Duration::from_secs(3);

/// By how much each piece is late.
const LATE: Duration = Duration::from_millis(40);

/// What the network does to those who talk to one server.
pub(crate) type Fault = fn(&Proxy);

/// Every piece comes late.
pub(crate) fn slow(proxy: &Proxy) {
    proxy.slow(LATE);
    thread::sleep(BAD);
    proxy.slow(Duration::ZERO);
}

/// What is asked for arrives, no answer comes back; then the other way round.
pub(crate) fn half_open(proxy: &Proxy) {
    for direction in [Direction::ToClient, Direction::ToServer] {
        proxy.pause(direction);
        thread::sleep(BAD);
        // What was held back is lost, as it is when a peer vanished.
        proxy.reset();
        proxy.resume(direction);
        thread::sleep(CALM);
    }
}

/// Connections are reset, again and again.
pub(crate) fn reset(proxy: &Proxy) {
    for _ in 0..6 {
        proxy.reset();
        thread::sleep(CALM / 2);
    }
}

/// Lets a fault happen on the way to the database and then on the way to the log.
pub(crate) fn bad(ground: &Ground<'_>, fault: Fault) -> Result<Done> {
    let stage = ground.stage_through_proxies()?;
    let agents = stage.agents()?;
    let writers = stage.writers_with(6, &["--pause", "0.1"])?;
    thread::sleep(CALM);
    for proxy in [&ground.proxies.postgres, &ground.proxies.kafka] {
        fault(proxy);
        thread::sleep(CALM);
    }
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(2, outcome);
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(2, outcome)
}
