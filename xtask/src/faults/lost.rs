//! Answers that are lost between the program and a server: what was asked for happened, and who asked does not know.

use crate::faults::verdict::{End, Outcome, settle, stop_all, stop_writers};
use crate::faults::{Done, Ground, Proxies};
use anyhow::Result;
use std::time::Duration;
use xtask::proxy::{Proxy, Request};

/// How often an answer is lost.
const TIMES: u64 = 4;

/// How long one may take to be asked for.
const ASKED: Duration = Duration::from_secs(60);

/// Loses answers to a request, some time after another, while everybody works through the proxy.
pub(crate) fn answers(ground: &Ground<'_>, proxy: fn(&Proxies) -> &Proxy, request: Request) -> Result<Done> {
    let stage = ground.stage_through_proxies()?;
    let agents = stage.agents()?;
    let writers = stage.writers(8)?;
    let proxy = proxy(ground.proxies);
    let before = proxy.n_cut();
    let mut asked = true;
    for time in 1..=TIMES {
        proxy.cut_answer(request, 7 * time);
        asked &= proxy.wait_for_cut(before + time, ASKED);
    }
    proxy.cut_nothing();
    let injected = proxy.n_cut() - before;
    stop_writers(writers)?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(injected, outcome);
    }
    if !asked {
        let detail = format!("{injected} of {TIMES} answers were lost");
        return stage.done(injected, Outcome::Inconclusive(detail));
    }
    let outcome = settle(&stage, End::default())?;
    stage.done(injected, outcome)
}
