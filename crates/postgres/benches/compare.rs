//! Two tables of one server compared, beside reladiff and beside two COPYs at once, in one run.
//!
//! Both tables have eight columns, numerics, moments, texts and missing values among them. Ours is a process of its own from its start to its
//! end, like both peers. Each difference that it prints, with its kind and its columns, is held against what a full join in the server finds;
//! a comparison that missed one is a failure and no figure. reladiff compares by its hashes, as it must where the tables are on two servers.
//! No change here sets a value to NULL on one side alone: reladiff stops at such a row.
//!
//! `SEAMLINE_POSTGRES` names the server, `SEAMLINE_RELADIFF` the program; `cargo x bench compare` sets both.

use seamline_compare::difference::Difference;
use seamline_compare::plan::{Ask, Plan};
use seamline_compare::run::{Report, compare};
use seamline_postgres::database::Options;
use seamline_postgres::rowset::{PostgresRows, Relation};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Instant;

#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: u64 = 1_000_000;
const ROUNDS: usize = 3;
const COLUMNS: [&str; 7] = ["policy_no", "premium", "bound_at", "born", "holder", "state", "note"];
const MEMORY_MEBIBYTES: f64 = 256.0;

type Failed = Box<dyn std::error::Error>;

/// How each change is made: a seventh of all of each, and the first of them at the first and the last key.
const CHANGES: [&str; 5] = [
    "UPDATE r SET premium = -premium - 1 WHERE id IN (SELECT id FROM picked WHERE at % 5 = 0)",
    "UPDATE r SET policy_no = policy_no || ' ' WHERE id IN (SELECT id FROM picked WHERE at % 5 = 1)",
    "UPDATE r SET bound_at = bound_at + interval '1 microsecond', state = state + 1 WHERE id IN (SELECT id FROM picked WHERE at % 5 = 2)",
    "DELETE FROM r WHERE id IN (SELECT id FROM picked WHERE at % 5 = 3)",
    "UPDATE r SET id = -id WHERE id IN (SELECT id FROM picked WHERE at % 5 = 4)",
];

struct Lines(Vec<String>);

impl Report for Lines {
    fn plan(&mut self, _: &Plan) -> std::io::Result<()> {
        Ok(())
    }

    fn difference(&mut self, difference: &Difference) -> std::io::Result<()> {
        let fields: BTreeSet<&str> = difference.fields.iter().map(|field| field.column.as_str()).collect();
        let fields: Vec<&str> = fields.into_iter().collect();
        self.0.push(format!("{} {} {}", difference.key[0], difference.what.name(), fields.join(",")));
        Ok(())
    }
}

/// Compares in this process, and prints the differences and the peak of its memory.
fn ours(url: &str, right: &str, rows_only: bool) -> Result<(), Failed> {
    let options = Options {
        url: url.to_owned(),
        user: None,
        password: None,
        schema: String::new(),
        replication: false,
    };
    let side = |table: &str| PostgresRows::new(&options, Relation::Table(table.to_owned()), None);
    let mut lines = Lines(Vec::new());
    let ask = Ask { rows_only, ..Ask::default() };
    compare(&mut side("l")?, &mut side(right)?, &ask, &mut lines)?;
    lines.0.iter().for_each(|line| println!("{line}"));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    println!("peak {}", peak.trim().trim_end_matches(" kB"));
    Ok(())
}

struct Bench {
    url: String,
    conn: PgConnection,
    reladiff: Option<String>,
    json: bool,
}

/// What a run of ours took.
struct Ran {
    seconds: f64,
    mebibytes: f64,
    found: BTreeSet<String>,
}

impl Bench {
    async fn run(&mut self, sql: &str) -> Result<(), Failed> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.conn).await?;
        Ok(())
    }

    /// Fills both tables anew, with so many differences.
    async fn fill(&mut self, rows: u64, differences: u64) -> Result<(), Failed> {
        let step = rows / differences.max(1);
        let fill = format!(
            "DROP TABLE IF EXISTS l, r, picked;
             CREATE UNLOGGED TABLE l (id bigint, policy_no text NOT NULL, premium numeric(12, 2) NOT NULL, bound_at timestamptz NOT NULL,
               born date, holder text, state int NOT NULL, note text);
             INSERT INTO l SELECT g, 'P-' || lpad(g::text, 8, '0'), (g * 37 % 100000)::numeric / 100,
               '2024-01-01Z'::timestamptz + g * interval '17.123456 second', date '1950-01-01' + (g % 20000)::int,
               CASE WHEN g % 7 > 0 THEN 'holder ' || md5(g::text) END, (g % 5)::int, CASE WHEN g % 3 > 0 THEN repeat('n', (g % 40)::int) END
               FROM generate_series(1, {rows}) g;
             CREATE UNLOGGED TABLE r (LIKE l); INSERT INTO r SELECT * FROM l;
             ALTER TABLE l ADD PRIMARY KEY (id); ALTER TABLE r ADD PRIMARY KEY (id);
             CREATE TABLE picked AS SELECT CASE at WHEN 0 THEN 1 WHEN {differences} - 1 THEN {rows} ELSE at * {step} + at % 7 END AS id, at
               FROM generate_series(0, {differences} - 1) AS at"
        );
        self.run(&fill).await?;
        for change in CHANGES {
            self.run(change).await?;
        }
        self.run("VACUUM (ANALYZE, FREEZE) l").await?;
        self.run("VACUUM (ANALYZE, FREEZE) r").await
    }

    /// Asks the server by a full join what differs.
    async fn expected(&mut self) -> Result<BTreeSet<String>, Failed> {
        let differing: Vec<String> = COLUMNS
            .iter()
            .map(|name| format!("CASE WHEN l.{name} IS DISTINCT FROM r.{name} THEN '{name}' END"))
            .collect();
        let mut sorted = differing.clone();
        sorted.sort_by_key(|text| text.rsplit('\'').nth(1).map(ToOwned::to_owned));
        let join = format!(
            "SELECT coalesce(l.id, r.id)::text || CASE WHEN r.id IS NULL THEN ' only-left ' WHEN l.id IS NULL THEN ' only-right '
               ELSE ' different ' || concat_ws(',', {}) END
             FROM l FULL JOIN r USING (id) WHERE l.id IS NULL OR r.id IS NULL OR (l.*) IS DISTINCT FROM (r.*)",
            sorted.join(", ")
        );
        let rows = sqlx::query(AssertSqlSafe(join)).fetch_all(&mut self.conn).await?;
        Ok(rows.iter().map(|row| row.get::<String, _>(0)).collect())
    }

    fn ours(&self, mode: &str) -> Result<Ran, Failed> {
        let begun = Instant::now();
        let output = Command::new(std::env::current_exe()?)
            .args(["--ours", &self.url, "r", mode])
            .stderr(Stdio::inherit())
            .output()?;
        let seconds = begun.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err(format!("ours ended with {}", output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        let mut found: BTreeSet<String> = text.lines().map(ToOwned::to_owned).collect();
        let peak =
            found.iter().find(|line| line.starts_with("peak ")).cloned().ok_or("ours printed no peak")?;
        found.remove(&peak);
        let kibibytes: f64 = peak["peak ".len()..].parse()?;
        Ok(Ran { seconds, mebibytes: kibibytes / 1_024.0, found })
    }

    /// Returns the seconds that reladiff took, and how many keys it printed.
    fn reladiff(&self, program: &str) -> Result<(f64, usize), Failed> {
        // Its driver knows the other name of the scheme.
        let url = self.url.replacen("postgres://", "postgresql://", 1);
        let mut command = Command::new(program);
        command.args([&url, "l", &url, "r", "-k", "id", "--algorithm", "hashdiff", "--json"]);
        for name in COLUMNS {
            command.args(["-c", name]);
        }
        let begun = Instant::now();
        let output = command.stderr(Stdio::null()).output()?;
        let seconds = begun.elapsed().as_secs_f64();
        let text = String::from_utf8(output.stdout)?;
        let keys: BTreeSet<&str> = text.lines().filter_map(|line| line.split('"').nth(3)).collect();
        Ok((seconds, keys.len()))
    }

    /// Returns the seconds that two COPYs take beside each other.
    fn copies(&self) -> Result<f64, Failed> {
        let begun = Instant::now();
        let copy = |table: &str| {
            Command::new("psql")
                .args(["-q", &self.url, "-c", &format!("COPY {table} TO STDOUT")])
                .stdout(Stdio::null())
                .spawn()
        };
        for mut child in [copy("l")?, copy("r")?] {
            if !child.wait()?.success() {
                return Err("psql failed".into());
            }
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Prints the pair with the median ratio.
    fn print(
        &self,
        bench: &str,
        peer: &str,
        unit: &str,
        better: &str,
        goal: f64,
        mut pairs: Vec<(f64, f64)>,
    ) {
        pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (ours, theirs) = pairs[if better == "higher" { (pairs.len() - 1) / 2 } else { pairs.len() / 2 }];
        let ratio = ours / theirs;
        if self.json {
            let line = serde_json::json!({
                "bench": bench, "ours": (ours * 1_000.0).round() / 1_000.0, "theirs": (theirs * 1_000.0).round() / 1_000.0, "peer": peer,
                "unit": unit, "ratio": (ratio * 1_000.0).round() / 1_000.0, "goal": goal, "better": better,
            });
            println!("{line}");
        } else {
            let sign = if better == "higher" { '≥' } else { '≤' };
            println!(
                "{bench}: {ratio:.2} of {peer} (goal {sign} {goal}); {ours:.1} against {theirs:.1} {unit}"
            );
        }
    }

    async fn measure(&mut self, rows: u64, rounds: usize) -> Result<(), Failed> {
        let rate = |seconds: f64| rows as f64 / seconds;
        let mut first = Vec::new();
        for differences in [0, 10, rows / 100] {
            self.fill(rows, differences).await?;
            let expected = self.expected().await?;
            let (mut beside, mut copied) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                let copies = self.copies()?;
                let ran = self.ours("digests")?;
                if ran.found != expected {
                    return Err(
                        format!("{} of {} differences were found", ran.found.len(), expected.len()).into()
                    );
                }
                copied.push((rate(ran.seconds), rate(copies)));
                if differences == 10 {
                    first.push(ran.seconds);
                }
                if let Some(program) = &self.reladiff {
                    let (seconds, keys) = self.reladiff(program)?;
                    if keys < expected.len() {
                        eprintln!("reladiff printed {keys} of {} keys", expected.len());
                    }
                    beside.push((rate(ran.seconds), rate(seconds)));
                }
            }
            let name = format!("compare {rows} rows, {} differences", expected.len());
            if !beside.is_empty() {
                self.print(&name, "reladiff, by hashes", "rows a second", "higher", 4.0, beside);
            }
            self.print(&name, "two COPYs at once", "rows a second", "higher", 0.6, copied);
        }
        self.growth(rows, &first).await
    }

    /// Compares ten times the rows: time for a row, and memory by digests and by all rows.
    async fn growth(&mut self, rows: u64, first: &[f64]) -> Result<(), Failed> {
        let ten = rows * 10;
        self.fill(ten, 10).await?;
        let mut pairs = Vec::new();
        let mut peak: f64 = 0.0;
        for seconds in first {
            let ran = self.ours("digests")?;
            peak = peak.max(ran.mebibytes);
            pairs.push((ran.seconds / ten as f64 * 1e6, seconds / rows as f64 * 1e6));
        }
        self.print(
            &format!("compare {ten} rows, growth"),
            "a tenth of them",
            "microseconds a row",
            "lower",
            1.1,
            pairs,
        );
        let read = self.ours("rows")?;
        if read.found != self.expected().await? {
            return Err("reading all rows found other differences".into());
        }
        for (what, mebibytes) in [("by digests", peak), ("by all rows", read.mebibytes)] {
            let name = format!("memory, {ten} rows {what}");
            self.print(
                &name,
                "the limit",
                "mebibytes at the peak",
                "lower",
                1.0,
                vec![(mebibytes, MEMORY_MEBIBYTES)],
            );
        }
        Ok(())
    }
}

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, url, right, mode] = args.as_slice()
        && first == "--ours"
    {
        return ours(url, right, mode == "rows");
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let json = args.iter().any(|arg| arg == "--json");
    let server = std::env::var("SEAMLINE_POSTGRES")
        .map_err(|_| "`SEAMLINE_POSTGRES` names no server; run `cargo x bench compare`")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options: PgConnectOptions = server.parse()?;
        let name = format!("seamline_bench_{}", std::process::id());
        let mut admin = options.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await?;
        let url = format!("{}/{name}", server.rsplit_once('/').map_or(server.as_str(), |(server, _)| server));
        let conn = url.parse::<PgConnectOptions>()?.connect().await?;
        let reladiff = std::env::var("SEAMLINE_RELADIFF").ok();
        if reladiff.is_none() {
            eprintln!("`SEAMLINE_RELADIFF` names no program: not measured beside it");
        }
        let mut bench = Bench { url, conn, reladiff, json };
        let done = bench.measure(if quick { ROWS / 50 } else { ROWS }, if quick { 1 } else { ROUNDS }).await;
        drop(bench);
        sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
            .execute(&mut admin)
            .await?;
        done
    })
}
