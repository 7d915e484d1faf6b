//! Services behind a connection pooler in transaction mode, which gives each transaction whatever connection is free.

use crate::fixture::{Home, run, things};
use futures_util::future::join_all;
use seamline_flow::source::Source;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// PgBouncer in front of a database, with fewer connections than services.
struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    fn start(home: &Home) -> Pooler {
        let (host, server, database) = home.address();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        // It may run as another user than we.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{database} = host={host} port={server} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 3\nignore_startup_parameters = extra_float_digits\n"
        );
        std::fs::write(&settings, text).unwrap();
        let mut command = Command::new("/usr/sbin/pgbouncer");
        if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
            command.args(["-u", "postgres"]);
        }
        let child =
            command.arg("-q").arg(&settings).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Pooler { child, port, _folder: folder }
    }

    async fn connect(&self, home: &Home) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port);
        let options = options.username("postgres").database(&home.address().2).disable_statement_logging();
        let begun = Instant::now();
        loop {
            match options.connect().await {
                Ok(service) => return service,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(10), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn services_behind_a_pooler_in_transaction_mode_publish_as_others_do() {
    let home = Home::new().await;
    let database = things(&home).await;
    let pooler = Pooler::start(&home);
    let services = (0..8).map(|writer| {
        let (home, pooler) = (&home, &pooler);
        async move {
            let mut service = pooler.connect(home).await;
            for turn in 0..20 {
                let key = (writer + turn) % 5;
                let end = if turn % 4 == 3 { "ROLLBACK" } else { "COMMIT" };
                let sql = format!(
                    "BEGIN; INSERT INTO thing VALUES ('{key}', 'new', 1) ON CONFLICT (thing_id) \
                     DO UPDATE SET amount = thing.amount + 1; \
                     SELECT seamline.publish('thing', 'ThingDone', '[\"{key}\"]'); {end}"
                );
                run(&mut service, &sql).await.unwrap();
            }
        }
    });
    join_all(services).await;
    let rows = database.waiting(1000).await.unwrap();
    assert_eq!(rows.len(), 8 * 15, "what was committed, and no more");
    let mut last = BTreeMap::new();
    for row in rows {
        let before = last.insert(row.key.clone(), row.sequence);
        assert!(row.previous.values().all(|previous| *previous == before), "an unbroken chain: {row:?}");
    }
}
