//! History that changes under those who read it: compaction, retention, a topic made anew, a database of yesterday.

use crate::faults::process::{Said, run, within};
use crate::faults::stage::{Stage, last_line};
use crate::faults::verdict::{
    End, Outcome, blamed, cases, concluded, drain, judged_by_oracle, settle, stop_all, stop_writers,
};
use crate::faults::{Done, Ground};
use anyhow::Result;
use serde_json::Value;
use std::thread;
use std::time::Duration;

const WRITING: Duration = Duration::from_secs(2);

/// How long a case may take to be raised.
const RAISED: Duration = Duration::from_secs(60);

/// How long what was overtaken surely stays: shorter than a pass takes.
const LAG: &str = "min.compaction.lag.ms=5000";

/// How often it is reconciled under compaction.
const PASSES: usize = 3;

fn write(stage: &Stage<'_>) -> Result<()> {
    let writers = stage.writers_with(8, &["--pause", "0"])?;
    thread::sleep(WRITING);
    stop_writers(writers).map(drop)
}

/// A first reading of topics that are compacted meanwhile, whatever they promised to keep.
pub(crate) fn compaction_in_bootstrap(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    let producers = vec![stage.agent("sales", None)?, stage.agent("stock", None)?];
    write(&stage)?;
    let topics = [
        stage.topic("sales.order", "state"),
        stage.topic("sales.order", "shipping.state"),
        stage.topic("stock.item", "state"),
    ];
    for topic in &topics {
        stage.oracle(&["admin", "compact-soon", topic])?;
    }
    let writers = stage.writers(8)?;
    thread::sleep(Duration::from_millis(300));
    let consumers = vec![stage.agent("dispatch", None)?, stage.agent("desk", None)?];
    let compacted = stage.oracle(&["admin", "await-compaction", &topics[0]])?;
    stop_writers(writers)?;
    for agents in [producers, consumers] {
        if let Some(outcome) = stop_all(agents)? {
            return stage.done(1, outcome);
        }
    }
    if compacted["keys"].is_null() {
        return stage.done(0, Outcome::Inconclusive(format!("nothing was compacted: {compacted}")));
    }
    let outcome = settle(&stage, End { compacted: true, inconclusive: true, ..End::default() })?;
    stage.done(1, outcome)
}

/// Passes of reconciliation over topics that are written to and compacted meanwhile.
pub(crate) fn compaction_in_rehearsal(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    write(&stage)?;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(0, outcome);
    }
    let topics = [stage.topic("sales.order", "state"), stage.topic("sales.order", "shipping.state")];
    for topic in &topics {
        stage.oracle(&["admin", "compact-soon", topic])?;
        stage.oracle(&["configure", topic, LAG])?;
    }
    let agents = stage.agents()?;
    let writers = stage.writers(8)?;
    let mut told = Vec::new();
    for _ in 0..PASSES {
        match concluded(&stage)?.as_str() {
            Some(word @ ("clean" | "inconclusive")) => told.push(word.to_owned()),
            other => {
                return stage.done(1, Outcome::Failed(format!("a pass under compaction says {other:?}")));
            }
        }
    }
    stop_writers(writers)?;
    let compacted = stage.oracle(&["admin", "await-compaction", &topics[0]])?;
    if let Some(outcome) = stop_all(agents)? {
        return stage.done(1, outcome);
    }
    if compacted["keys"].is_null() {
        return stage.done(0, Outcome::Inconclusive(format!("nothing was compacted: {compacted}")));
    }
    let outcome = match settle(&stage, End { compacted: true, ..End::default() })? {
        Outcome::Passed(detail) => Outcome::Passed(format!("{}; {detail}", told.join(", "))),
        other => other,
    };
    stage.done(1, outcome)
}

/// Events that were removed while their reader was away: it stops and says so, and guesses nothing.
pub(crate) fn retention_passed(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    write(&stage)?;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(0, outcome);
    }
    let producers = vec![stage.agent("sales", None)?, stage.agent("stock", None)?];
    write(&stage)?;
    if let Some(outcome) = stop_all(producers)? {
        return stage.done(0, outcome);
    }
    let topic = stage.topic("sales.order", "shipping.events");
    stage.oracle(&["admin", "cut-off", &topic])?;
    let before = stage.cell("dispatch", "SELECT count(*)::text FROM seamline.inbox")?;
    let raised = raised_by(&stage, "dispatch", "topic")?;
    let after = stage.cell("dispatch", "SELECT count(*)::text FROM seamline.inbox")?;
    let outcome = match raised {
        Some(case) if before == after => Outcome::Passed(told(&case)),
        Some(_) => Outcome::Failed("reactions came from behind a gap".to_owned()),
        None => Outcome::Failed("nobody said that events were missed".to_owned()),
    };
    stage.done(1, outcome)
}

/// A topic of the same name is another topic: its reader stops, says so, and leaves its rows alone.
pub(crate) fn topic_recreated(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    write(&stage)?;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(0, outcome);
    }
    let query = "SELECT md5(string_agg(i::text, ',' ORDER BY site, article)) FROM known_item i";
    let before = stage.cell("desk", query)?;
    stage.oracle(&["admin", "make-anew", &stage.topic("stock.item", "state")])?;
    write(&stage)?;
    let producer = stage.agent("stock", None)?;
    let raised = raised_by(&stage, "desk", "topic")?;
    let stopped = stop_all(vec![producer])?;
    let after = stage.cell("desk", query)?;
    let outcome = match (raised, stopped) {
        (_, Some(outcome)) => outcome,
        (Some(case), None) if before == after => Outcome::Passed(told(&case)),
        (Some(_), None) => Outcome::Failed("rows came from a topic that is another".to_owned()),
        (None, None) => Outcome::Failed("nobody said that the topic is another".to_owned()),
    };
    stage.done(1, outcome)
}

/// A database put back to an earlier moment: its relay publishes nothing more, and says so.
pub(crate) fn database_rewound(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    write(&stage)?;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(0, outcome);
    }
    stage.oracle(&["admin", "keep", "sales"])?;
    write(&stage)?;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(0, outcome);
    }
    stage.oracle(&["admin", "put-back", "sales"])?;
    let before = sales(&stage.oracle(&["count"])?);
    write(&stage)?;
    let raised = raised_by(&stage, "sales", "rewound")?;
    let after = sales(&stage.oracle(&["count"])?);
    let outcome = match raised {
        Some(case) if before == after => Outcome::Passed(told(&case)),
        Some(_) => Outcome::Failed(format!("a rewound source was published: {before} records, then {after}")),
        None => Outcome::Failed("nobody said that the database is of another history".to_owned()),
    };
    stage.done(1, outcome)
}

/// A database put back to an earlier moment, whose outbox is rebased by a command that dies at each of its steps: consumers hold
/// what the database holds, and nothing waits for what is lost.
pub(crate) fn rebased(ground: &Ground<'_>) -> Result<Done> {
    let stage = ground.stage()?;
    write(&stage)?;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(0, outcome);
    }
    stage.oracle(&["admin", "keep", "sales"])?;
    write(&stage)?;
    if let Some(outcome) = drain(&stage)? {
        return stage.done(0, outcome);
    }
    stage.oracle(&["admin", "put-back", "sales"])?;
    // Some keys wait and are numbered anew; the others are what there is to fill.
    stage.cell("sales", TOLD)?;
    let mut injected = 1;
    for point in ["fenced", "rebased", "filled"] {
        let said = rebase(&stage, Some(point))?;
        if said.code.is_some() {
            let detail = format!("a rebase did not die at `{point}`: {:?}: {}", said.code, said.tail());
            return stage.done(injected, Outcome::Inconclusive(detail));
        }
        injected += 1;
        // The lease of the one that died.
        thread::sleep(Duration::from_millis(1_200));
    }
    let said = rebase(&stage, None)?;
    if said.code != Some(0) {
        return stage
            .done(injected, Outcome::Failed(format!("not rebased: {:?}: {}", said.code, said.tail())));
    }
    if let Some(outcome) = drain(&stage)? {
        return stage.done(injected, outcome);
    }
    let listed = last_line(&stage.seamline_well(&["quarantine", "list", "--format", "json"])?);
    if listed["total"] != 0 {
        let detail = format!("something waits for what is lost: {}", listed["issues"]);
        return stage.done(injected, Outcome::Failed(detail));
    }
    // The log holds two histories, and the inbox what was reacted to in both: rows are of one.
    let skip = "complete,order,chains,content,batches,books,inbox,commits";
    let end = End { skip, any_sequence: true, ..End::default() };
    let outcome = match judged_by_oracle(&stage, end)? {
        Some(outcome) => outcome,
        None => match blamed(&stage, &[])? {
            Some(outcome) => outcome,
            None => Outcome::Passed("killed at each step, rebased, every copy as the source".to_owned()),
        },
    };
    stage.done(injected, outcome)
}

const TOLD: &str = "SELECT count(seamline.publish('order', 'OrderRepriced', '[' || to_json(order_no)::text || ']'))::text \
    FROM (SELECT order_no FROM orders ORDER BY order_no LIMIT 5) few";

/// Rebases the outbox of the producer; with a point, it dies there.
fn rebase(stage: &Stage<'_>, point: Option<&str>) -> Result<Said> {
    let mut command = stage.command(&["outbox", "rebase", "sales", "--yes", "--lease", "1"]);
    if let Some(point) = point {
        command.env("SEAMLINE_STOP", format!("{point}:1:KILL"));
    }
    let name = format!("rebase-{}", point.unwrap_or("whole"));
    run(&mut command, stage.folder.path(), &name, Duration::from_secs(60))
}

/// Returns how many records the topics of one producer hold.
fn sales(counts: &Value) -> u64 {
    let counts = counts.as_object().into_iter().flatten();
    counts.filter(|(topic, _)| topic.contains(".sales.")).filter_map(|(_, count)| count.as_u64()).sum()
}

/// Runs the agent of a context until it raised a case of a kind. Returns the case.
fn raised_by(stage: &Stage<'_>, context: &str, kind: &str) -> Result<Option<Value>> {
    let agent = stage.agent(context, None)?;
    let found = within(RAISED, || {
        let found = cases(stage).map(|cases| {
            let mine = |case: &Value| case["case"].as_str().is_some_and(|name| name.starts_with(context));
            cases.into_iter().find(|case| mine(case) && case["kind"] == kind)
        });
        found.transpose()
    });
    // A moment longer, for what it must not do.
    thread::sleep(Duration::from_secs(1));
    drop(agent.stop());
    found.transpose()
}

fn told(case: &Value) -> String {
    case["summary"].as_str().unwrap_or_default().to_owned()
}
