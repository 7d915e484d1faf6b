//! A batch is written once and whole: beside a service's writes, against what it forbids, when the answer is lost, and as whom.

use crate::columns::{batch, epoch, projection, row};
use crate::fixture::{Home, TTL, at, key, run};
use crate::isolation::wait_for_a_waiter;
use seamline_contract::attribute::Type;
use seamline_contract::value::Value;
use seamline_flow::port::PortError;
use seamline_flow::position::Position;
use seamline_flow::store::{Batch, Committed, KeyEnd, Projection, Rehearsed, RowWrite, Store};
use seamline_postgres::database::{Database, Options};
use seamline_postgres::install::consumer::grants;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

fn numbers() -> Projection {
    projection(&[("id", Type::Integer, false), ("n", Type::Integer, false)])
}

fn number(id: i64, n: i64, sequence: u64) -> RowWrite {
    row(key(&[&id.to_string()]), vec![Value::Integer(id), Value::Integer(n)], sequence)
}

async fn installed(home: &Home) -> Database {
    let database = home.open().await;
    database.install_consumer(&[numbers()]).await.unwrap();
    database
}

async fn commit(database: &Database, batch: &Batch) -> Result<Committed, PortError> {
    database.commit(Some(&numbers()), batch, at(0), TTL).await
}

async fn there(database: &Database) -> Vec<(Value, Option<u64>)> {
    let rows = database.rows(&numbers(), None, 100).await.unwrap();
    let cell = |values: &[Result<Value, String>]| values[1].clone().unwrap();
    rows.iter().map(|row| (cell(&row.values), row.marker.as_ref().map(|at| at.sequence.0))).collect()
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_batch_overwrites_nothing_newer_and_brings_back_nothing_that_ended() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let epoch = epoch(&database, false).await;
    run(&mut home.service().await, "INSERT INTO covers (id, n) VALUES (2, 20)").await.unwrap();
    let mut first = batch(epoch, vec![number(1, 10, 5)]);
    first.ended = vec![KeyEnd { key: key(&["3"]), marker: number(3, 0, 7).marker }];
    assert_eq!(commit(&database, &first).await.unwrap(), Committed::Done);
    let rows = vec![number(1, 11, 4), number(2, 21, 1), number(3, 31, 6), number(4, 41, 1)];
    assert_eq!(commit(&database, &batch(epoch, rows)).await.unwrap(), Committed::Done);
    let n = |n, sequence| (Value::Integer(n), Some(sequence));
    assert_eq!(there(&database).await, [n(10, 5), n(21, 1), n(41, 1)]);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_row_that_a_service_adds_meanwhile_is_taken_over() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let batch = batch(epoch(&database, false).await, vec![number(1, 10, 5), number(2, 20, 5)]);
    let mut service = home.service().await;
    run(&mut service, "BEGIN; INSERT INTO covers (id, n) VALUES (2, 7)").await.unwrap();
    let meanwhile = async {
        wait_for_a_waiter(&home).await;
        run(&mut service, "COMMIT").await.unwrap();
    };
    let (done, ()) = futures_util::future::join(commit(&database, &batch), meanwhile).await;
    assert_eq!(done.unwrap(), Committed::Done);
    assert_eq!(there(&database).await, [10, 20].map(|n| (Value::Integer(n), Some(5))));
}

/// Returns rows of keys that nobody knew of, enough to be copied.
fn new_rows() -> Vec<RowWrite> {
    (1..=80).map(|id| RowWrite { is_new: true, ..number(id, 10 * id, 5) }).collect()
}

fn all_written() -> Vec<(Value, Option<u64>)> {
    (1..=80).map(|id| (Value::Integer(10 * id), Some(5))).collect()
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn rows_of_new_keys_are_copied_and_the_others_are_not() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let epoch = epoch(&database, false).await;
    let watch = "CREATE TABLE said (id bigint, statement text); \
        CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN INSERT INTO said VALUES (NEW.id, split_part(current_query(), ' ', 1)); RETURN NEW; END $$; \
        CREATE TRIGGER watch BEFORE INSERT ON covers FOR EACH ROW EXECUTE FUNCTION watch()";
    run(&mut home.service().await, watch).await.unwrap();
    let mut rows = new_rows();
    rows[79].is_new = false;
    assert_eq!(commit(&database, &batch(epoch, rows)).await.unwrap(), Committed::Done);
    assert_eq!(there(&database).await, all_written());
    let said = "SELECT statement, count(*), max(id) FROM said GROUP BY statement ORDER BY statement";
    let said: Vec<(String, i64, i64)> =
        sqlx::query_as(said).fetch_all(&mut home.service().await).await.unwrap();
    assert_eq!(said, [("COPY".to_owned(), 79, 79), ("WITH".to_owned(), 1, 80)]);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_row_that_is_there_after_all_is_taken_over_when_rows_are_copied() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let epoch = epoch(&database, false).await;
    run(&mut home.service().await, "INSERT INTO covers (id, n) VALUES (7, 1)").await.unwrap();
    assert_eq!(commit(&database, &batch(epoch, new_rows())).await.unwrap(), Committed::Done);
    assert_eq!(there(&database).await, all_written());
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_column_of_another_type_is_converted_and_not_copied() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let epoch = epoch(&database, false).await;
    run(&mut home.service().await, "ALTER TABLE covers ALTER n TYPE numeric(12, 2)").await.unwrap();
    assert_eq!(commit(&database, &batch(epoch, new_rows())).await.unwrap(), Committed::Done);
    let n = "SELECT n::text FROM covers WHERE id = 80";
    let n: String = sqlx::query_scalar(n).fetch_one(&mut home.service().await).await.unwrap();
    assert_eq!(n, "800.00");
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn what_a_service_forbids_is_named_without_values() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let epoch = epoch(&database, false).await;
    for (change, undo, by) in [
        (
            "ADD CONSTRAINT small CHECK (n < 9)",
            "DROP CONSTRAINT small",
            "its constraint `small` (SQLSTATE 23514)",
        ),
        ("ADD own int NOT NULL", "DROP own", "its column `own` (SQLSTATE 23502)"),
        ("ALTER n TYPE smallint", "ALTER n TYPE bigint", "the type of one of its columns (SQLSTATE 22003)"),
    ] {
        run(&mut home.service().await, &format!("ALTER TABLE covers {change}")).await.unwrap();
        let refused = commit(&database, &batch(epoch, vec![number(1, 70_000, 1)])).await.unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, PortError::NotApplied(_)), "{said}");
        assert!(said.starts_with(&format!("not applied: table `covers` refuses a row by {by}")), "{said}");
        assert!(!said.contains("70000"), "{said}");
        run(&mut home.service().await, &format!("ALTER TABLE covers {undo}")).await.unwrap();
    }
    assert_eq!(commit(&database, &batch(epoch, vec![number(1, 70_000, 1)])).await.unwrap(), Committed::Done);
}

/// Passes bytes on to a server, until a client commits: that answer is kept back, and the connection cut.
fn pass_on(client: &TcpStream, server: &TcpStream) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut part = [0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut part) {
            if to.write_all(&part[..length]).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        let mut part = [0; 1 << 16];
        while let Ok(length @ 1..) = back_from.read(&mut part) {
            let is_answer = part[..length].windows(12).any(|at| at == b"C\0\0\0\x0bCOMMIT\0");
            if is_answer || back_to.write_all(&part[..length]).is_err() {
                break;
            }
        }
        let _ = (back_to.shutdown(Shutdown::Both), back_from.shutdown(Shutdown::Both));
    });
}

/// Returns options by which every connection loses the answer to its first commit.
fn losing(home: &Home) -> Options {
    let options = home.options();
    let rest = options.url.split_once('@').unwrap().1;
    let server = rest.split_once('/').unwrap().0.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap().to_string();
    let url = options.url.replace(&server, &here);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            pass_on(&client, &TcpStream::connect(&server).unwrap());
        }
    });
    Options { url, ..options }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_commit_whose_answer_is_lost_is_unknown_and_repeating_it_changes_nothing() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let epoch = epoch(&database, false).await;
    let mut batch = batch(epoch, vec![number(1, 10, 5)]);
    batch.next.position = Some(Position {
        cluster: "c".to_owned(),
        topic_id: "t".to_owned(),
        partition: 0,
        leader_epoch: 0,
        offset: 6,
    });
    let lossy = Database::open(&losing(&home)).await.unwrap();
    let lost = commit(&lossy, &batch).await;
    assert!(matches!(lost, Err(PortError::Unknown(_))), "{lost:?}");
    assert_eq!(there(&database).await, [(Value::Integer(10), Some(5))], "it was durable");
    assert_eq!(commit(&database, &batch).await.unwrap(), Committed::Fenced, "the position moved");
    assert_eq!(there(&database).await, [(Value::Integer(10), Some(5))]);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_commit_in_which_the_server_ends_the_connection_is_unknown_and_can_be_repeated() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let batch = batch(epoch(&database, false).await, vec![number(1, 10, 5)]);
    let kill = "CREATE FUNCTION kill() RETURNS trigger LANGUAGE plpgsql AS \
                'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'; \
                CREATE CONSTRAINT TRIGGER kill AFTER INSERT ON covers DEFERRABLE INITIALLY DEFERRED \
                FOR EACH ROW EXECUTE FUNCTION kill()";
    run(&mut home.service().await, kill).await.unwrap();
    let lost = commit(&database, &batch).await;
    assert!(matches!(lost, Err(PortError::Unknown(_))), "{lost:?}");
    run(&mut home.service().await, "DROP TRIGGER kill ON covers").await.unwrap();
    assert_eq!(there(&database).await, []);
    assert_eq!(commit(&database, &batch).await.unwrap(), Committed::Done);
    assert_eq!(there(&database).await, [(Value::Integer(10), Some(5))]);
}

/// Does all that an agent does with a projection.
async fn work(agent: &Database) {
    let (projection, batch_epoch) = (numbers(), epoch(agent, false).await);
    assert_eq!(commit(agent, &batch(batch_epoch, vec![number(1, 10, 5)])).await.unwrap(), Committed::Done);
    let mut batch = batch(batch_epoch, vec![number(1, 11, 6), number(2, 20, 6)]);
    batch.chains = vec![(key(&["1"]), number(1, 0, 6).marker.sequence)];
    assert_eq!(commit(agent, &batch).await.unwrap(), Committed::Done);
    batch.rows.clear();
    batch.ended = vec![KeyEnd { key: key(&["2"]), marker: number(2, 0, 7).marker }];
    assert_eq!(commit(agent, &batch).await.unwrap(), Committed::Done);
    for _ in 0..2 {
        agent.rehearsal_begin(&projection).await.unwrap();
        let row = number(1, 12, 6);
        let rehearsed = Rehearsed { key: row.key, values: Some(row.values), marker: row.marker, left: false };
        agent.rehearsal_put(&projection, &[rehearsed]).await.unwrap();
        assert_eq!(agent.rehearsal_diff(&projection, None, 10).await.unwrap().len(), 1);
    }
    agent.rehearsal_end(&projection).await.unwrap();
    assert_eq!(agent.markers(&projection, &[key(&["1"])]).await.unwrap().len(), 1);
    assert_eq!(agent.aside(&projection.subscription, None, 10).await.unwrap(), []);
    assert_eq!(agent.received_aside(&projection, None, 10).await.unwrap(), []);
    assert_eq!(agent.lanes(&projection.subscription).await.unwrap().len(), 1);
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn the_printed_grants_let_an_agent_do_its_work_and_a_service_no_more_than_take_its_own() {
    let home = Home::new().await;
    let database = installed(&home).await;
    let [agent, service] = ["agent", "reader"].map(|of| format!("seamline_test_{of}_{}", std::process::id()));
    let mut owner = home.service().await;
    run(&mut owner, &format!("CREATE ROLE {agent} LOGIN; CREATE ROLE {service}")).await.unwrap();
    run(&mut owner, &grants(&[numbers()], &service, &agent).join("; ")).await.unwrap();
    drop(database);
    let options = Options { user: Some(agent.clone()), ..home.options() };
    let database = Database::open(&options).await.unwrap();
    work(&database).await;
    let inbox = "INSERT INTO seamline.inbox (subscription, id, key, event, sequence, payload, projection_behind, \
                 received_at) VALUES ('claims/covers', 'i', 'k', 'e', 1, '{}', false, now())";
    run(&mut database.pool().acquire().await.unwrap(), inbox).await.unwrap();
    database.pool().close().await;
    run(&mut owner, &format!("SET ROLE {service}")).await.unwrap();
    for allowed in [
        "SELECT * FROM covers",
        "SELECT * FROM seamline.inbox FOR UPDATE SKIP LOCKED",
        "UPDATE seamline.inbox SET state = 'done', attempts = attempts + 1",
    ] {
        assert_eq!(run(&mut owner, allowed).await, Ok(()), "{allowed}");
    }
    for forbidden in [
        "UPDATE covers SET n = 1",
        "DELETE FROM covers",
        "INSERT INTO covers (id) VALUES (9)",
        "UPDATE seamline.inbox SET payload = ''",
        "DELETE FROM seamline.inbox",
        "SELECT * FROM seamline.lane",
        "UPDATE seamline.lane SET epoch = 0",
        "SELECT * FROM seamline.aside",
        "DELETE FROM seamline.tombstone",
        "CREATE TABLE seamline.own (id int)",
    ] {
        let told = run(&mut owner, forbidden).await.unwrap_err();
        assert!(told.starts_with("42501 "), "{forbidden}: {told}");
    }
    let end = [&agent, &service].map(|role| format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    run(&mut owner, &format!("RESET ROLE; {}", end.join("; "))).await.unwrap();
}
