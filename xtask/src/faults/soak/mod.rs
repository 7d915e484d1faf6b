//! `cargo x soak --minutes N`: load without a pause, random faults one on top of another, changes by hand between them, and a
//! judgement at the end of each round.

mod crew;
mod dice;
mod passes;
mod tally;

use crate::faults::kit::Kit;
use crate::faults::process::Running;
use crate::faults::stage::{Stage, last_line, lines};
use crate::faults::verdict::{End, Outcome, drain, judged, stop_writers};
use crate::faults::{Ground, Options, Proxies, Servers, servers};
use anyhow::{Context, Result, bail};
use crew::Crew;
use dice::Dice;
use passes::Reconciling;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use tally::{Round, Tally};
use xtask::proxy::{Direction, Protocol, Proxy, Request};

const USAGE: &str =
    "usage: cargo x soak --minutes N [--seed N] [--round SECONDS] [--program PATH] [--report]";

/// How many keys writers write; those above are there, and left alone by them.
const BUSY: &str = "60";
const THERE: &str = "400";

/// How often all is looked at.
const TICK: Duration = Duration::from_millis(50);

/// The kinds of what can happen, as often as each is named.
const KINDS: &[Kind] = &[
    Kind::KilledAt,
    Kind::KilledAt,
    Kind::KilledAt,
    Kind::KilledAt,
    Kind::Killed,
    Kind::Killed,
    Kind::Killed,
    Kind::StoppedAt,
    Kind::StoppedAt,
    Kind::Stopped,
    Kind::Stopped,
    Kind::Joins,
    Kind::Joins,
    Kind::Joins,
    Kind::Leaves,
    Kind::Leaves,
    Kind::Broker(false),
    Kind::Broker(true),
    Kind::Postgres(false),
    Kind::Postgres(true),
    Kind::CommitLost,
    Kind::CommitLost,
    Kind::LogCommitLost,
    Kind::LogCommitLost,
    Kind::Reset,
    Kind::Reset,
    Kind::HalfOpen,
    Kind::HalfOpen,
    Kind::Slow,
    Kind::Slow,
    Kind::Compaction,
    Kind::Drift,
    Kind::Drift,
    Kind::Drift,
    Kind::Repair,
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    KilledAt,
    Killed,
    StoppedAt,
    Stopped,
    Joins,
    Leaves,
    /// Killed, or stopped.
    Broker(bool),
    Postgres(bool),
    CommitLost,
    LogCommitLost,
    Reset,
    HalfOpen,
    Slow,
    Compaction,
    Drift,
    Repair,
}

/// What is undone when its time has come.
#[derive(Debug, Clone, Copy)]
enum Undo {
    Resume(bool, Direction),
    Fast(bool),
    Calm(usize),
}

struct Asked {
    minutes: u64,
    seed: u64,
    round: u64,
    program: Option<String>,
    report: bool,
}

impl Asked {
    fn read(args: &[&str]) -> Result<Asked> {
        let mut asked = Asked { minutes: 0, seed: 1, round: 300, program: None, report: false };
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let mut value =
                || rest.next().copied().with_context(|| format!("`{word}` takes a value; {USAGE}"));
            let number =
                |text: &str| text.parse::<u64>().with_context(|| format!("`{text}` is no number; {USAGE}"));
            match *word {
                "--minutes" => asked.minutes = number(value()?)?,
                "--seed" => asked.seed = number(value()?)?,
                "--round" => asked.round = number(value()?)?,
                "--program" => asked.program = Some(value()?.to_owned()),
                "--report" => asked.report = true,
                other => bail!("`{other}` is unknown; {USAGE}"),
            }
        }
        if asked.minutes == 0 || asked.round == 0 {
            bail!("nothing to run; {USAGE}");
        }
        Ok(asked)
    }
}

/// Runs the command.
///
/// # Errors
/// A promise was broken, or the run could not go on.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let asked = Asked::read(args)?;
    let kit = Kit::build(asked.program.as_deref())?;
    kit.selftest()?;
    let proxies =
        Proxies { postgres: Proxy::start(Protocol::Postgres)?, kafka: Proxy::start(Protocol::Kafka)? };
    let servers = servers(Some(&proxies), true)?.context("servers were asked for")?;
    let options = Options { seed: asked.seed, ..Options::default() };
    let mut soak = Soak {
        kit: &kit,
        servers: &servers,
        proxies: &proxies,
        options,
        dice: Dice::of(asked.seed),
        tally: Tally::new(asked.seed),
        salt: 0,
        undo: Vec::new(),
        compacted: false,
    };
    let until = Instant::now() + Duration::from_secs(asked.minutes * 60);
    while Instant::now() < until {
        soak.world(until, Duration::from_secs(asked.round), asked.report)?;
    }
    println!("{}", soak.tally.text());
    match soak.tally.failed.len() {
        0 => Ok(()),
        count => bail!("{count} promises were broken"),
    }
}

struct Soak<'a> {
    kit: &'a Kit,
    servers: &'a Mutex<Servers>,
    proxies: &'a Proxies,
    options: Options,
    dice: Dice,
    tally: Tally,
    /// How many changes by hand there were.
    salt: u64,
    undo: Vec<(Instant, Undo)>,
    compacted: bool,
}

impl Soak<'_> {
    /// Plays rounds in one world until the time is over, or one of them fails: what is broken once would be found again.
    fn world(&mut self, until: Instant, round: Duration, report: bool) -> Result<()> {
        let ground = Ground {
            kit: self.kit,
            servers: self.servers,
            proxies: self.proxies,
            mutant: None,
            options: self.options,
        };
        let stage = ground.stage_through_proxies()?;
        self.compacted = false;
        let mut writers = stage.writers_with(8, &["--keys", THERE, "--pause", "0", "--seconds", "6"])?;
        writers.ended_within(Duration::from_secs(60))?;
        if let Some(outcome) = drain(&stage)? {
            bail!("the beginning does not arrive: {}", outcome.detail());
        }
        while Instant::now() < until {
            let failed = self.tally.failed.len();
            self.round(&stage, &ground, until.min(Instant::now() + round))?;
            if report {
                self.tally.write()?;
            }
            if self.tally.failed.len() > failed {
                eprintln!("what it left: {}", stage.folder.keep().display());
                return Ok(());
            }
        }
        Ok(())
    }

    fn round(&mut self, stage: &Stage<'_>, ground: &Ground<'_>, until: Instant) -> Result<()> {
        let begun = Instant::now();
        let (faults, drifts) = (self.tally.faults(), self.tally.drifts());
        // Whether a COMMIT without an answer happened is found by its act: each round has acts of its own.
        let salt = (self.tally.rounds.len() + 1).to_string();
        let writers = stage.writers_with(6, &["--keys", BUSY, "--pause", "0.3", "--salt", &salt])?;
        let mut crew = Crew::start(stage)?;
        let mut passes = Reconciling::new(stage)?;
        let mut next = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            self.undo(stage, false)?;
            crew.look(stage, &mut self.dice, &mut self.tally)?;
            passes.look(stage, &mut self.tally)?;
            if Instant::now() >= next {
                let kind = self.dice.one(KINDS);
                self.happens(kind, stage, ground, &mut crew, &mut passes)?;
                next = Instant::now() + Duration::from_millis(self.dice.between(200, 4_000));
            }
            thread::sleep(TICK);
        }
        self.undo(stage, true)?;
        self.proxies.postgres.cut_nothing();
        self.proxies.kafka.cut_nothing();
        crew.look(stage, &mut self.dice, &mut self.tally)?;
        let committed = self.quiet(stage, writers, crew, &mut passes)?;
        let judged = self.judge(stage, passes)?;
        let (faults, drift) = (self.tally.faults() - faults, self.tally.drifts() - drifts);
        eprintln!("round {}: {faults} faults, {drift} by hand: {judged}", self.tally.rounds.len() + 1);
        self.tally.rounds.push(Round { took: begun.elapsed(), committed, faults, drift, judged });
        Ok(())
    }

    /// Ends the writers, the agents and the passes. Returns how many publications were committed.
    fn quiet(
        &mut self,
        stage: &Stage<'_>,
        writers: Running,
        crew: Crew,
        passes: &mut Reconciling,
    ) -> Result<u64> {
        let done = stop_writers(writers)?;
        passes.end(stage, &mut self.tally)?;
        crew.disband(&mut self.tally)?;
        Ok(done["publications"].as_u64().unwrap_or(0))
    }

    /// Has all judged, and what was injected mended. Returns how that went.
    fn judge(&mut self, stage: &Stage<'_>, passes: Reconciling) -> Result<String> {
        if let Some(outcome) = drain(stage)? {
            self.tally.fails(outcome.detail().to_owned());
            return Ok("not all arrived".to_owned());
        }
        if let Some(wrong) = passes.named(stage, false)? {
            self.tally.fails(format!("what was injected is not what is named: {wrong}"));
            return Ok("named wrongly".to_owned());
        }
        let injected = passes.len();
        let said = stage.seamline(&["reconcile", "--repair", "--yes", "--format", "json"])?;
        if said.code != Some(0) {
            self.tally.fails(format!("not mended: exit {:?}: {}", said.code, said.tail()));
            return Ok("not mended".to_owned());
        }
        // What a repair publishes arrives before the oracle reads the tables.
        if let Some(outcome) = drain(stage)? {
            self.tally.fails(outcome.detail().to_owned());
            return Ok("not all arrived".to_owned());
        }
        let end = End { compacted: self.compacted, quiet_from: BUSY, ..End::default() };
        let outcome = judged(stage, end)?;
        if !matches!(outcome, Outcome::Passed(_)) {
            self.tally.fails(format!("{outcome}: {}", outcome.detail()));
        }
        Ok(format!("{outcome}; {injected} open to the end, named, mended; {}", outcome.detail()))
    }

    /// Undoes what has had its time, or everything.
    fn undo(&mut self, stage: &Stage<'_>, all: bool) -> Result<()> {
        let now = Instant::now();
        let due: Vec<Undo> =
            self.undo.iter().filter(|(at, _)| all || *at <= now).map(|(_, undo)| *undo).collect();
        self.undo.retain(|(at, _)| !all && *at > now);
        for undo in due {
            match undo {
                Undo::Resume(is_log, direction) => self.proxy(is_log).resume(direction),
                Undo::Fast(is_log) => self.proxy(is_log).slow(Duration::ZERO),
                Undo::Calm(idx) => {
                    stage.oracle(&["admin", "compact-no-more", &topics(stage)[idx]])?;
                }
            }
        }
        Ok(())
    }

    fn proxy(&self, is_log: bool) -> &Proxy {
        if is_log { &self.proxies.kafka } else { &self.proxies.postgres }
    }

    fn happens(
        &mut self,
        kind: Kind,
        stage: &Stage<'_>,
        ground: &Ground<'_>,
        crew: &mut Crew,
        passes: &mut Reconciling,
    ) -> Result<()> {
        match kind {
            Kind::KilledAt => crew.arm(stage, &mut self.dice, true),
            Kind::StoppedAt => crew.arm(stage, &mut self.dice, false),
            Kind::Killed => crew.kill(stage, &mut self.dice, &mut self.tally),
            Kind::Stopped => crew.stop(&mut self.dice, &mut self.tally),
            Kind::Joins => crew.join(stage, &mut self.dice, &mut self.tally),
            Kind::Leaves => crew.leave(stage, &mut self.dice, &mut self.tally),
            Kind::Broker(killed) => self.broker(ground, killed),
            Kind::Postgres(killed) => self.postgres(ground, killed),
            Kind::CommitLost => {
                self.lost(false, Request::PostgresCommit, "answer of COMMIT lost");
                Ok(())
            }
            Kind::LogCommitLost => {
                self.lost(true, Request::KAFKA_END_TXN, "answer of a log transaction's end lost");
                Ok(())
            }
            Kind::Reset | Kind::HalfOpen | Kind::Slow => {
                self.network(kind);
                Ok(())
            }
            Kind::Compaction => self.compaction(stage),
            Kind::Drift => self.drift(stage, passes),
            Kind::Repair => {
                passes.repair_next();
                Ok(())
            }
        }
    }

    fn broker(&mut self, ground: &Ground<'_>, killed: bool) -> Result<()> {
        let mut servers = ground.servers();
        if killed {
            servers.kafka.kill9()?
        } else {
            servers.kafka.stop()?
        }
        thread::sleep(Duration::from_millis(self.dice.between(0, 4_000)));
        servers.kafka.restart()?;
        self.tally.fired(if killed { "broker SIGKILL" } else { "broker stopped" });
        Ok(())
    }

    fn postgres(&mut self, ground: &Ground<'_>, killed: bool) -> Result<()> {
        let mut servers = ground.servers();
        if killed {
            servers.postgres.kill9()?
        } else {
            servers.postgres.stop_fast()?
        }
        thread::sleep(Duration::from_millis(self.dice.between(0, 4_000)));
        servers.postgres.restart()?;
        self.tally.fired(if killed { "PostgreSQL SIGKILL" } else { "PostgreSQL stopped" });
        Ok(())
    }

    /// Loses the next answer to a request, if one is asked for soon.
    fn lost(&mut self, is_log: bool, request: Request, what: &str) {
        let proxy = self.proxy(is_log);
        let before = proxy.n_cut();
        proxy.cut_answer(request, 1);
        let lost = proxy.wait_for_cut(before + 1, Duration::from_secs(3));
        proxy.cut_nothing();
        if lost {
            self.tally.fired(what);
        }
    }

    fn network(&mut self, kind: Kind) {
        let is_log = self.dice.between(0, 1) == 1;
        let server = if is_log { "the log" } else { "PostgreSQL" };
        let until = Instant::now() + Duration::from_millis(self.dice.between(500, 8_000));
        match kind {
            Kind::HalfOpen => {
                let direction = self.dice.one(&[Direction::ToServer, Direction::ToClient]);
                self.proxy(is_log).pause(direction);
                self.undo.push((until, Undo::Resume(is_log, direction)));
                self.tally.fired(&format!("connections to {server} half open"));
            }
            Kind::Slow => {
                let delay = Duration::from_millis(self.dice.between(5, 80));
                self.proxy(is_log).slow(delay);
                self.undo.push((until, Undo::Fast(is_log)));
                self.tally.fired(&format!("connections to {server} slow"));
            }
            _ => {
                self.proxy(is_log).reset();
                self.tally.fired(&format!("connections to {server} reset"));
            }
        }
    }

    /// Has a topic of state compacted at once, for a time.
    fn compaction(&mut self, stage: &Stage<'_>) -> Result<()> {
        let topics = topics(stage);
        let idx = self.dice.between(0, topics.len() as u64 - 1) as usize;
        stage.oracle(&["admin", "compact-soon", &topics[idx]])?;
        self.undo.push((Instant::now() + Duration::from_secs(self.dice.between(3, 15)), Undo::Calm(idx)));
        self.compacted = true;
        self.tally.fired("compaction forced");
        Ok(())
    }

    fn drift(&mut self, stage: &Stage<'_>, passes: &mut Reconciling) -> Result<()> {
        self.salt += 1;
        let kind = self.dice.one(&[
            "edit",
            "edit",
            "delete",
            "delete",
            "insert",
            "unpublished",
            "removed",
            "added",
            "forged",
        ]);
        let (salt, avoid) = (self.salt.to_string(), passes.write_known(stage)?);
        let words = ["inject", "--quiet-from", BUSY, "--salt", &salt, "--avoid", &avoid, kind];
        let said = stage.oracle_well(&words)?;
        let answers = lines(&said);
        if answers.is_empty() {
            bail!("nothing was injected: {}", last_line(&said));
        }
        self.tally.injected(kind);
        passes.injected(answers);
        Ok(())
    }
}

fn topics(stage: &Stage<'_>) -> Vec<String> {
    vec![
        stage.topic("sales.order", "state"),
        stage.topic("sales.order", "shipping.state"),
        stage.topic("stock.item", "state"),
    ]
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn what_is_no_run_is_refused() {
        for args in [&[][..], &["--minutes"], &["--minutes", "x"], &["--minutes", "0"], &["--hours", "1"]] {
            assert!(Asked::read(args).is_err(), "{args:?}");
        }
        let asked = Asked::read(&["--minutes", "60", "--seed", "7", "--report"]).unwrap();
        assert_eq!((asked.minutes, asked.seed, asked.report), (60, 7, true));
    }
}
