//! Which tables that are there already may be projections, and what is said of the others.

use crate::fixture::{Home, run};
use seamline_contract::attribute::Type;
use seamline_flow::store::{Column, Projection, RehearsedBy};

fn projection(table: &str) -> Projection {
    let column = |name: &str, ty: Type, optional: bool| Column {
        name: name.to_owned(),
        ty,
        optional,
        approximate: false,
    };
    Projection {
        subscription: "claims/covers".parse().unwrap(),
        table: table.to_owned(),
        columns: vec![
            column("id", Type::String, false),
            column("amount", Type::Decimal { precision: 12, scale: 2 }, true),
        ],
        key: vec![0],
        keep_ended: false,
        rehearsal: RehearsedBy::Comparison,
    }
}

const MARKERS: &str = "seamline_sequence bigint, seamline_offset bigint, seamline_received bytea, \
                       seamline_written bytea, seamline_ended boolean";

/// Makes a table, and returns what installing says of it.
async fn said(before: &str, projection: &Projection) -> Result<(), String> {
    let home = Home::new().await;
    let mut service = home.service().await;
    run(&mut service, before).await.unwrap();
    let database = home.open().await;
    let installed = database.install_consumer(std::slice::from_ref(projection)).await;
    if installed.is_err() {
        let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'seamline'";
        let schemas: i64 = sqlx::query_scalar(schemas).fetch_one(database.pool()).await.unwrap();
        assert_eq!(schemas, 0, "nothing is changed");
    }
    installed.map_err(|error| error.to_string())
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_table_that_does_not_return_what_was_written_is_refused() {
    let plain = format!("id text PRIMARY KEY, amount numeric(12,2), {MARKERS}");
    let table = |columns: &str| format!("CREATE TABLE covers ({columns})");
    for (before, why) in [
        (
            table(&plain.replace("numeric(12,2)", "numeric(12,1)")),
            "has the column `amount` as `numeric(12,1)`, not `numeric(12,2)`",
        ),
        (
            table(&plain.replace("id text", "id varchar(5)")),
            "has the column `id` as `character varying(5)`, not `text`",
        ),
        (table(&plain.replace(" PRIMARY KEY", "")), "has another primary key: none, not 'id'"),
        (
            table(&plain.replace("seamline_offset bigint, ", "")),
            "lacks the column `seamline_offset`, of type `bigint`",
        ),
        (
            table(&plain.replace("numeric(12,2)", "numeric(12,2) GENERATED ALWAYS AS (1) STORED")),
            "computes the column `amount`",
        ),
        (
            table(&plain.replace("numeric(12,2)", "numeric(12,2) NOT NULL")),
            "has the column `amount` as NOT NULL, and it may have no value",
        ),
        (
            table(&format!("{plain}, own text NOT NULL")),
            "has the column `own` as NOT NULL without a default, which the subscription does not write",
        ),
        (
            format!(
                "{}; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
                 CREATE TRIGGER swallow BEFORE INSERT ON covers FOR EACH ROW EXECUTE FUNCTION f()",
                table(&plain)
            ),
            "has the trigger `swallow`, so that a row may not be what was written",
        ),
        (
            // debezium 7801: rows of one batch collide on a second unique key.
            format!("{}; CREATE UNIQUE INDEX one ON covers (amount)", table(&plain)),
            "has the unique index `one` beside its key, so that rows that pass a value on may block each other for ever; make it an \
             index that is not unique",
        ),
        ("CREATE VIEW covers AS SELECT 1 AS id".to_owned(), "is no table"),
    ] {
        let refused = said(&before, &projection("covers")).await;
        assert_eq!(refused, Err(format!("table `covers` exists, and {why}")), "{before}");
    }
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn columns_of_the_service_and_other_schemas_are_welcome() {
    let before = format!(
        "CREATE SCHEMA \"Own\"; CREATE TABLE \"Own\".covers (id text PRIMARY KEY, note text, \
         seen integer NOT NULL DEFAULT 0, amount numeric(12,2), {MARKERS})"
    );
    assert_eq!(said(&before, &projection("Own.covers")).await, Ok(()));
    let with_key = format!("{before}; CREATE UNIQUE INDEX ON \"Own\".covers (amount, id)");
    assert_eq!(said(&with_key, &projection("Own.covers")).await, Ok(()), "no two keys collide on it");
    let older = before.replace("amount numeric(12,2), ", "");
    assert_eq!(said(&older, &projection("Own.covers")).await, Ok(()), "a column declared since is added");
}

#[tokio::test]
#[cfg_attr(not(servers_here), ignore = "not run: needs PostgreSQL; `cargo x test` starts one")]
async fn a_name_that_would_be_cut_is_refused() {
    let name = "c".repeat(64);
    let refused = said("SELECT 1", &projection(&name)).await.unwrap_err();
    assert_eq!(
        refused,
        format!("projection `{name}` needs the name `{name}`: PostgreSQL keeps 1 to 63 bytes of one")
    );
}
