//! Chinook on servers: a database for each context, topics of its own, and the programs that its services need.

use crate::fixture::{Place, Ran};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The contexts.
pub(crate) const CONTEXTS: [&str; 4] = ["catalogue", "sales", "customer-care", "royalties"];

/// What the services are run with, below the target directory.
pub(crate) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Fetches what is pinned and not here yet.
    pub(crate) fn new() -> Tools {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chinook");
        std::fs::create_dir_all(&folder).unwrap();
        let tools = Tools { folder };
        tools.fetched("requirements.txt", |folder| {
            let venv = folder.join("venv");
            done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
            let mut pip = Command::new(venv.join("bin/pip"));
            done(pip.args(["install", "--quiet", "-r"]).arg(services().join("requirements.txt")));
        });
        tools.fetched("customer-care/package-lock.json", |folder| {
            let modules = folder.join("customer-care");
            std::fs::create_dir_all(&modules).unwrap();
            for file in ["package.json", "package-lock.json"] {
                std::fs::copy(services().join("customer-care").join(file), modules.join(file)).unwrap();
            }
            done(Command::new("npm").args(["ci", "--silent", "--prefix"]).arg(&modules));
        });
        // Beside its modules, since that is where imports are looked for.
        let program = "customer-care/customer-care.mjs";
        std::fs::copy(services().join(program), tools.folder.join(program)).unwrap();
        tools.fetched("sales/pom.xml", |folder| {
            let lib = format!("-Dlib={}", folder.join("lib").display());
            let mut maven = Command::new("mvn");
            done(
                maven
                    .args(["--quiet", "generate-resources", &lib, "--file"])
                    .arg(services().join("sales/pom.xml")),
            );
        });
        tools
    }

    /// Fetches what a file pins, unless that was done for the same text.
    fn fetched(&self, file: &str, fetch: impl FnOnce(&Path)) {
        let pinned = std::fs::read(services().join(file)).unwrap();
        let mark = self.folder.join(file.replace('/', "."));
        if std::fs::read(&mark).is_ok_and(|there| there == pinned) {
            return;
        }
        fetch(&self.folder);
        std::fs::write(mark, pinned).unwrap();
    }

    /// Returns a program in Python.
    pub(crate) fn python(&self, program: &Path) -> Command {
        let mut command = Command::new(self.folder.join("venv/bin/python"));
        command.arg(program).stdin(Stdio::null());
        command
    }

    fn node(&self) -> Command {
        let mut command = Command::new("node");
        command.arg(self.folder.join("customer-care/customer-care.mjs")).stdin(Stdio::null());
        command
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command.arg("-cp").arg(self.folder.join("lib/*")).arg(services().join("sales/Sales.java"));
        command.stdin(Stdio::null());
        command
    }
}

/// Returns an example's services.
fn services() -> PathBuf {
    example().join("services")
}

/// Returns the folder of the example.
pub(crate) fn example() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/chinook")).to_owned()
}

/// Runs a program that must succeed, and returns what it printed.
pub(crate) fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

/// A program at work.
pub(crate) struct Running {
    child: Option<Child>,
    printed: PathBuf,
}

impl Running {
    fn new(command: &mut Command, printed: PathBuf) -> Running {
        let file = std::fs::File::create(&printed).unwrap();
        let noted = std::fs::File::create(printed.with_extension("err")).unwrap();
        let child =
            command.stdout(file).stderr(noted).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running { child: Some(child), printed }
    }

    /// Tells it to end, as who stops a service does.
    pub(crate) fn terminate(&self) {
        let id = self.child.as_ref().unwrap().id();
        done(Command::new("kill").args(["-TERM", &id.to_string()]));
    }

    /// Returns what it printed on standard error so far.
    pub(crate) fn noted(&self) -> String {
        std::fs::read_to_string(self.printed.with_extension("err")).unwrap()
    }

    /// Waits until it ended, and returns its exit code, none if a signal ended it, and the last line it printed.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.take().unwrap().wait().unwrap();
        let printed = std::fs::read_to_string(&self.printed).unwrap();
        (status.code(), printed.lines().last().unwrap_or_default().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that a failed test left at work.
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The estate in a folder of its own, with databases and topics that nobody else has.
pub(crate) struct Shop {
    place: Place,
    server: PgConnectOptions,
    brokers: String,
    name: String,
    tools: Tools,
}

impl Shop {
    /// Makes the databases, and loads into each what its context keeps of the script's tables.
    pub(crate) fn open(script: &Path) -> Shop {
        let server = std::env::var("SEAMLINE_POSTGRES").expect("SEAMLINE_POSTGRES names a server");
        let brokers = std::env::var("SEAMLINE_KAFKA").expect("SEAMLINE_KAFKA names a broker");
        let (place, tools) = (Place::example("chinook"), Tools::new());
        let name = format!("chinook_test_{}", std::process::id());
        own(&place, &name);
        let shop = Shop { place, server: server.parse().unwrap(), brokers, name, tools };
        let script = std::fs::read_to_string(script).unwrap();
        let apart =
            |line: &&str| !["DROP DATABASE", "CREATE DATABASE", "\\c "].iter().any(|it| line.starts_with(it));
        let script: Vec<&str> = script.trim_start_matches('\u{feff}').lines().filter(apart).collect();
        let script = script.join("\n");
        for context in CONTEXTS {
            let create = format!("CREATE DATABASE {} TEMPLATE template0", shop.database(context));
            block_on(run(&shop.server, &create));
            let file = |name: &str| std::fs::read_to_string(example().join(context).join(name)).unwrap();
            let (tables, source) = (file("tables.postgres.sql"), file("source.postgres.sql"));
            shop.sql(
                context,
                &format!(
                    "CREATE SCHEMA chinook; SET LOCAL search_path = chinook; {script}; SET LOCAL search_path = public;
                     {tables}; {source}; SET LOCAL client_min_messages = warning; DROP SCHEMA chinook CASCADE"
                ),
            );
        }
        shop
    }

    fn database(&self, context: &str) -> String {
        format!("{}_{}", self.name, context.replace('-', "_"))
    }

    /// Returns the URL of the server, without a database.
    fn url(&self) -> String {
        format!(
            "postgres://{}@{}:{}",
            self.server.get_username(),
            self.server.get_host(),
            self.server.get_port()
        )
    }

    /// Returns the name of a topic.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Returns the built program on this environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        command.args(["--env", "servers"]);
        command.env("CHINOOK_POSTGRES", self.url()).env("CHINOOK_KAFKA", &self.brokers);
        command
    }

    /// Runs the built program.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    /// Starts the agent of a context.
    pub(crate) fn agent(&self, context: &str) -> Running {
        self.started(&mut self.command(&["agent", context]), &format!("agent-{context}"))
    }

    /// Starts the service of a context.
    pub(crate) fn service(&self, context: &str, arguments: &[&str]) -> Running {
        self.started(&mut self.of_service(context, arguments), &format!("{context}-{}", arguments.join("-")))
    }

    /// Runs the service of a context to its end, and returns what it printed.
    pub(crate) fn served(&self, context: &str, arguments: &[&str]) -> String {
        done(&mut self.of_service(context, arguments))
    }

    fn of_service(&self, context: &str, arguments: &[&str]) -> Command {
        let folder = services().join(context);
        let mut command = match context {
            "sales" => self.tools.java(),
            "customer-care" => self.tools.node(),
            _ => self.tools.python(&folder.join(format!("{context}.py"))),
        };
        command.args(arguments).env("DATABASE_URL", format!("{}/{}", self.url(), self.database(context)));
        command
    }

    fn started(&self, command: &mut Command, name: &str) -> Running {
        Running::new(command, self.place.root().join(format!("{name}.out")))
    }

    /// Reads topics with the stock SDK, and returns what it printed and how many of each type came.
    pub(crate) fn consumed(&self, topics: &[&str]) -> (String, BTreeMap<String, usize>) {
        let topics = topics.iter().map(|topic| self.topic(topic));
        let out = done(self.tools.python(&example().join("consume.py")).arg(&self.brokers).args(topics));
        let mut counted = BTreeMap::new();
        // Each line: the time, the type, the subject, the data.
        for kind in out.lines().filter_map(|line| line.split(' ').nth(1)) {
            *counted.entry(kind.to_owned()).or_default() += 1;
        }
        (out, counted)
    }

    /// Does SQL in a context's database, as its service or a hand would, in one transaction.
    pub(crate) fn sql(&self, context: &str, statements: &str) {
        let server = self.server.clone().database(&self.database(context));
        block_on(run(&server, &format!("BEGIN; {statements}; COMMIT")));
    }

    /// Runs a script of the example.
    pub(crate) fn script(&self, context: &str, file: &str) {
        let server = self.server.clone().database(&self.database(context));
        let statements = std::fs::read_to_string(example().join(context).join(file)).unwrap();
        block_on(run(&server, &statements));
    }

    /// Returns the rows of a query, each as PostgreSQL prints a row.
    pub(crate) fn rows(&self, context: &str, query: &str) -> Vec<String> {
        let server = self.server.clone().database(&self.database(context));
        let query = format!("SELECT q::text FROM ({query}) q");
        block_on(async {
            let mut conn = server.disable_statement_logging().connect().await.unwrap();
            let rows = sqlx::query_scalar(AssertSqlSafe(query.as_str())).fetch_all(&mut conn).await;
            conn.close().await.unwrap();
            rows.unwrap_or_else(|error| panic!("{query}: {error}"))
        })
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for context in CONTEXTS {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database(context));
            block_on(run(&self.server, &drop));
        }
    }
}

/// Makes databases, topics and systems those of one run: what a relay notes of its batches is named for its system alone.
fn own(place: &Place, name: &str) {
    let path = place.root().join("environments/servers.environment.yaml");
    let mut environment = std::fs::read_to_string(path).unwrap();
    environment = environment.replace("/chinook_", &format!("/{name}_"));
    environment = environment.replace("'chinook.{", &format!("'{name}.{{"));
    let suffix = name.replace('_', "-");
    for (context, system) in CONTEXTS.iter().zip(["repertoire", "shop", "desk", "books"]) {
        let own = format!("{system}-{suffix}");
        environment = environment.replace(&format!("{context}/{system}:"), &format!("{context}/{own}:"));
        for entry in std::fs::read_dir(place.root().join(context)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.replace(&format!("system: {system}\n"), &format!("system: {own}\n"));
                std::fs::write(&path, text.replace(&format!("  {system}: {{"), &format!("  {own}: {{")))
                    .unwrap();
            }
        }
    }
    assert_eq!(environment.matches(name).count() + environment.matches(&suffix).count(), 9, "{environment}");
    place.write("environments/servers.environment.yaml", environment);
}

async fn run(server: &PgConnectOptions, statements: &str) {
    let mut conn: PgConnection = server.clone().disable_statement_logging().connect().await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut conn).await;
    let begun: String = statements.chars().take(400).collect();
    done.unwrap_or_else(|error| panic!("{begun}: {error}"));
    conn.close().await.unwrap();
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
