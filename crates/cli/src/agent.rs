//! `seamline agent CONTEXT…`: relays, projectors and reactors of contexts, until told to stop.

use crate::account::{Left, left};
use crate::exit::{Exit, usage};
use crate::logging::{self, LogFormat};
use crate::site::{Where, agents, block_on, contexts, refused, release};
use anyhow::{Context, Result};
use seamline_agent::agent::Agent;
use seamline_agent::crew;
use seamline_agent::health;
use seamline_agent::metrics::Metrics;
use seamline_agent::pass::{Hours, Pacing};
use seamline_agent::pulse::Pulse;
use seamline_agent::requests::{self, Requests, of_this_process};
use seamline_agent::site::Site;
use seamline_contract::id::ContextId;
use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Where health is told unless said: on this machine alone, on the port that exporters of OpenTelemetry use.
const HEALTH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Where requests are answered unless said: on this machine alone.
const REQUESTS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9465);

/// How often it is looked whether anything moves.
const LOOK: Duration = Duration::from_millis(25);

/// How long nothing must have moved before it is asked what is left.
const QUIET: Duration = Duration::from_millis(100);

/// How often a terminal is told how far it is.
const TOLD: Duration = Duration::from_secs(1);

/// Runs contexts: publishes what their outboxes hold, and keeps their projections and inboxes.
///
/// Stopping it at any instant loses nothing. It may run several times: replicas share the work. SIGTERM and SIGINT finish
/// what is under way and give leases back; a second one ends at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The contexts.
    #[arg(required_unless_present = "all")]
    contexts: Vec<String>,
    /// All contexts that publish or subscribe.
    #[arg(long, conflicts_with = "contexts")]
    all: bool,
    /// Work off what is there, and end.
    #[arg(long)]
    until_idle: bool,
    /// After how many seconds others may take over from one that died.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,
    /// Where to answer `/livez`, `/readyz` and `/metrics`; port 0 takes a free one, `off` answers nowhere. Unless said:
    /// `127.0.0.1:9464`, or a free port where that is taken; `off` with `--until-idle`.
    #[arg(long, value_name = "ADDR|off")]
    health: Option<Health>,
    /// Where to answer requests, if a contract offers them; port 0 takes a free one, `off` answers nowhere. Unless said:
    /// `127.0.0.1:9465`, or a free port where that is taken; `off` with `--until-idle`.
    #[arg(long, value_name = "ADDR|off")]
    requests: Option<Health>,
    /// When comparisons may begin that the contracts ask for by `every`: between two times of the day in UTC, or never. Unless
    /// said: at any time; `off` with `--until-idle`.
    #[arg(long, value_name = "HH:MM-HH:MM|off")]
    reconcile: Option<Passing>,
    /// How many records of the log a comparison reads in a second at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    reconcile_rate: Option<u32>,
    /// How to log on standard error; text on a terminal, else JSON.
    #[arg(long, value_enum)]
    log: Option<LogFormat>,
    #[command(flatten)]
    place: Where,
}

/// Runs the command.
///
/// # Errors
/// When a context cannot be run.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    logging::start(args.log);
    let site = args.place.site()?;
    let contexts = contexts(&site, &args.contexts)?;
    if contexts.is_empty() {
        return Err(usage(
            "no context publishes or subscribes",
            "write a publication or a subscription first",
        ));
    }
    block_on(async {
        let (tell, stop) = watch::channel(false);
        stop_on_signals(tell.clone())?;
        let mut agents = agents(&site, &contexts).await?;
        for agent in &mut agents {
            agent.lease = Duration::from_secs(args.lease);
            let turned = agent.turn_keys().await.map_err(refused)?;
            if turned > 0 {
                tracing::info!(context = %agent.context, keys = turned, "keys of subjects are kept under the present key-encryption key");
            }
        }
        let (metrics, pulse) = (Arc::new(Metrics::new()), Arc::new(Pulse::default()));
        if let Some(listener) = listen(args.health, HEALTH, "--health", args.until_idle).await? {
            announce(&format!("health and metrics on http://{}", listener.local_addr()?));
            tokio::spawn(health::serve(listener, Arc::clone(&metrics), Arc::clone(&pulse)));
        }
        answer_requests(args, &site, &contexts, &metrics).await?;
        tracing::info!(databases = agents.len(), holder = agents[0].holder(), "the agent works");
        let mut quiet = Quiet::new(&agents, &metrics, args.until_idle);
        let (finished, left, ()) = tokio::join!(
            crew::run(&agents, &metrics, &pulse, stop.clone()),
            quiet.wait(&tell, stop.clone()),
            passes(args, &agents, &metrics, stop.clone())
        );
        if !finished {
            tracing::warn!(
                "steps under way were left: what they did not finish is done again by who comes next"
            );
        }
        // A lease that is not given back ends by itself: that is no reason to end badly.
        let lease = Duration::from_secs(args.lease);
        match tokio::time::timeout(lease, release(&agents)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "leases were not given back"),
            Err(_) => tracing::warn!("leases were not given back in time"),
        }
        let left = left?;
        println!("{} records moved", metrics.moved());
        let exit = if left == Left::default() || !args.until_idle {
            Exit::Clean
        } else {
            println!(
                "left: {} outbox rows, {} offsets not read, {} jobs: another agent holds them, or a case is open",
                left.rows, left.behind, left.jobs
            );
            Exit::Inconclusive
        };
        let next = if exit == Exit::Clean { "reconcile" } else { "case list" };
        println!("next: seamline {next}{}", args.place.arguments());
        Ok(exit)
    })
}

/// Compares by the cadence of contracts, unless told not to.
async fn passes(args: &Args, agents: &[Agent], metrics: &Metrics, stop: watch::Receiver<bool>) {
    let hours = match args.reconcile {
        _ if args.until_idle => return,
        Some(Passing::Off) => return,
        Some(Passing::Within(hours)) => Some(hours),
        None => None,
    };
    crew::compare(agents, metrics, Pacing { hours, rate: args.reconcile_rate }, stop).await;
}

/// When comparisons begin by themselves.
#[derive(Debug, Clone, Copy)]
enum Passing {
    Off,
    Within(Hours),
}

impl FromStr for Passing {
    type Err = String;
    fn from_str(text: &str) -> Result<Passing, String> {
        match text {
            "off" => Ok(Passing::Off),
            text => text.parse().map(Passing::Within).map_err(|why| format!("{why}, or `off`")),
        }
    }
}

/// Where health is told.
#[derive(Debug, Clone, Copy)]
enum Health {
    Off,
    At(SocketAddr),
}

impl FromStr for Health {
    type Err = String;
    fn from_str(text: &str) -> Result<Health, String> {
        match text {
            "off" => Ok(Health::Off),
            text => text.parse().map(Health::At).map_err(|_| {
                "write an address and a port such as `127.0.0.1:9464` or `[::1]:0`, or `off`".to_owned()
            }),
        }
    }
}

/// Takes the port that was said, else the usual one, or a free one where that is taken: replicas share a machine.
async fn listen(
    said: Option<Health>,
    usual: SocketAddr,
    flag: &str,
    until_idle: bool,
) -> Result<Option<TcpListener>> {
    let address = match said {
        Some(Health::At(address)) => address,
        Some(Health::Off) => return Ok(None),
        None if until_idle => return Ok(None),
        None => match TcpListener::bind(usual).await {
            Ok(listener) => return Ok(Some(listener)),
            Err(_) => SocketAddr::new(usual.ip(), 0),
        },
    };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).with_context(|| format!("cannot listen on `{address}`; say another with `{flag}`"))
}

/// Answers requests, where a contract of the contexts offers them.
async fn answer_requests(
    args: &Args,
    site: &Site,
    contexts: &[ContextId],
    metrics: &Arc<Metrics>,
) -> Result<()> {
    let opened = Requests::open(site, contexts, Arc::clone(metrics), &of_this_process).await;
    let Some(requests) = opened.map_err(refused)? else { return Ok(()) };
    let listener = listen(args.requests, REQUESTS, "--requests", args.until_idle).await?;
    let Some(listener) = listener else { return Ok(()) };
    announce(&format!("requests for {} on http://{}", requests.offered().join(", "), listener.local_addr()?));
    tokio::spawn(requests::serve(listener, Arc::new(requests)));
    Ok(())
}

/// Tells to stop at the first signal, and ends at the second.
fn stop_on_signals(tell: watch::Sender<bool>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    const TERMINATED: i32 = 128 + 15;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        for time in 0.. {
            tokio::select! {
                biased;
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if time > 0 {
                std::process::exit(TERMINATED);
            }
            tracing::info!("told to stop: finishing what is under way");
            // Nobody listens any more: then it stops already.
            let _ = tell.send(true);
        }
    });
    Ok(())
}

/// Works off what is there in contexts that were just changed. Returns how much moved and what is left.
///
/// # Errors
/// When a database or the log does not answer.
pub(crate) async fn until_idle(agents: &[Agent]) -> Result<(u64, Left)> {
    let (metrics, pulse) = (Metrics::new(), Pulse::default());
    let (tell, stop) = watch::channel(false);
    let mut quiet = Quiet::new(agents, &metrics, true);
    let (_, left) =
        tokio::join!(crew::run(agents, &metrics, &pulse, stop.clone()), quiet.wait(&tell, stop.clone()));
    Ok((metrics.moved(), left?))
}

/// Watches how much moves, tells a terminal, and knows when nothing is left.
struct Quiet<'a> {
    agents: &'a [Agent],
    metrics: &'a Metrics,
    until_idle: bool,
    shown: bool,
    told: (Instant, u64),
    moved: (Instant, u64),
}

impl<'a> Quiet<'a> {
    fn new(agents: &'a [Agent], metrics: &'a Metrics, until_idle: bool) -> Quiet<'a> {
        let now = (Instant::now(), 0);
        Quiet { agents, metrics, until_idle, shown: std::io::stderr().is_terminal(), told: now, moved: now }
    }

    /// Waits until told to stop, or until nothing is left to do; tells to stop then. Returns what is left.
    async fn wait(&mut self, tell: &watch::Sender<bool>, mut stop: watch::Receiver<bool>) -> Result<Left> {
        // The lease of one that died ends by itself, then its share is given up; beyond that, waiting longer changes nothing.
        let patience = self.agents.iter().map(|agent| agent.lease).max().unwrap_or_default();
        let patience = 2 * patience + Duration::from_secs(5);
        let mut last = Ok(Left::default());
        while tokio::time::timeout(LOOK, stop.wait_for(|stop| *stop)).await.is_err() {
            let moved = self.metrics.done();
            if moved > self.moved.1 {
                self.moved = (Instant::now(), moved);
            }
            self.tell();
            if !self.until_idle || self.moved.0.elapsed() < QUIET {
                continue;
            }
            last = left(self.agents, self.metrics).await;
            let nothing = last.as_ref().is_ok_and(|left| *left == Left::default());
            if (nothing && self.metrics.done() == self.moved.1) || self.moved.0.elapsed() > patience {
                // Nobody listens any more: then it stops already.
                let _ = tell.send(true);
            }
        }
        if self.shown && self.told.1 > 0 {
            eprintln!();
        }
        last
    }

    /// One line a second on a terminal.
    fn tell(&mut self) {
        let (at, before) = self.told;
        if !self.shown || at.elapsed() < TOLD || self.moved.1 == before {
            return;
        }
        eprint!("\r\x1b[K{} records moved, {} in the last second", self.moved.1, self.moved.1 - before);
        // What cannot be shown is no reason to stop.
        let _ = std::io::stderr().flush();
        self.told = (Instant::now(), self.moved.1);
    }
}

/// Says something to whoever started the agent. Where it can be written nowhere, such as on a full disk, the agent goes on.
fn announce(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
