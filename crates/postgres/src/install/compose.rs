//! A derived contract over projections of the same database: the view that composes it, and what publishes keys again when rows
//! of a projection changed.
//!
//! Triggers on the projections note the keys of which something changed that the contract takes, one row for each statement. As
//! the transaction commits, all that it noted is published at once: keys are locked in sorted order, contract by contract, and
//! read by a statement whose snapshot is younger than the locks.
//!
//! Invariants: of two transactions that change one derived row, the later to lock its key reads what both left; locks are taken in
//! one order by all who publish at their end; the number of statements does not depend on the number of rows.

use super::publish::{self, PRINTED};
use super::table::{self, Table};
use super::{InstallError, consumer, source_view};
use crate::sql::{literal, quoted};
use seamline_contract::attribute::{Shape, Type};
use seamline_contract::composition::{ComposedSource, Composition, SOURCES_MAX};
use seamline_contract::resolve::ResolvedContract;
use seamline_flow::store::Projection;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

/// Holds of a trigger `t` that is ours.
pub(crate) const IS_OURS: &str = "EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
    WHERE p.oid = t.tgfoid AND n.nspname = 'seamline' AND starts_with(p.proname, 'touch_'))";

/// The column of a composed view that says which records a row is made of.
pub(crate) const LINEAGE: &str = "seamline_lineage";

/// Keys of which something changed, until the transaction that changed it commits: no other ever sees a row, so that none need
/// outlive a crash.
pub(crate) const TABLE: Table = Table {
    name: "touched",
    version: 1,
    make: &[
        "CREATE UNLOGGED TABLE IF NOT EXISTS seamline.touched (
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  contract text NOT NULL,
  keys text[] NOT NULL
)",
        "CREATE INDEX IF NOT EXISTS touched_tx ON seamline.touched (tx)",
    ],
};

/// Publishes what a transaction noted. The first row that fires takes all of them, and the others find none.
const PUBLISH: &str = "CREATE OR REPLACE FUNCTION seamline.publish_touched() RETURNS trigger LANGUAGE plpgsql \
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
DECLARE
  noted record;
BEGIN
  FOR noted IN
    WITH gone AS (DELETE FROM seamline.touched t WHERE t.tx = pg_current_xact_id() RETURNING t.contract, t.keys)
    SELECT g.contract, array_agg(DISTINCT u.key) AS keys FROM gone AS g, unnest(g.keys) AS u (key)
    GROUP BY g.contract ORDER BY g.contract COLLATE \"C\"
  LOOP
    EXECUTE format('SELECT seamline.%I($1)', 'derive_' || noted.contract) USING noted.keys;
  END LOOP;
  RETURN NULL;
END $seamline$";

/// Makes the trigger that publishes, where it is not there.
const TRIGGER: &str = "DO $seamline$ BEGIN
IF NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = 'seamline.touched'::regclass AND t.tgname = 'publish_touched') THEN
  CREATE CONSTRAINT TRIGGER publish_touched AFTER INSERT ON seamline.touched DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION seamline.publish_touched();
END IF;
END $seamline$";

/// Returns the mark by which a view is known as ours.
fn mark(composition: &Composition) -> String {
    format!("seamline: composes {}", composition.contract.name)
}

/// Returns a table as SQL names it where `search_path` holds the schema of tables without one.
fn table_name(table: &str) -> String {
    table.splitn(2, '.').map(quoted).collect::<Vec<_>>().join(".")
}

/// Returns the statements that make the view. One whose columns have other types now is made anew, and who read it needs its
/// grants again.
pub fn view(composition: &Composition) -> Vec<String> {
    let name = table_name(&composition.view);
    let create = format!("CREATE OR REPLACE VIEW {name} AS SELECT\n{}", selected(composition));
    let source = source_view::name(&composition.contract.name.contract);
    let (mark, text) = (literal(&mark(composition)), literal(&name));
    let refusal = literal(&format!(
        "seamline: `{}` is there, and is not the view that composes `{}`",
        composition.view, composition.contract.name
    ));
    vec![
        format!(
            "DO $seamline$ BEGIN
IF to_regclass({text}) IS NOT NULL AND obj_description(to_regclass({text}), 'pg_class') IS DISTINCT FROM {mark} THEN
  RAISE EXCEPTION USING MESSAGE = {refusal}, ERRCODE = 'duplicate_table',
    HINT = 'name in the publication''s `table` a view that is not there yet: it is made here';
END IF;
BEGIN
{create};
EXCEPTION WHEN invalid_table_definition THEN
DROP VIEW IF EXISTS {source};
DROP VIEW {name};
{create};
END;
END $seamline$"
        ),
        format!("COMMENT ON VIEW {name} IS {mark}"),
    ]
}

/// Returns what the view selects, from where.
fn selected(composition: &Composition) -> String {
    let (mut columns, mut lineage) = (Vec::new(), Vec::new());
    let mut joined = String::new();
    for (idx, source) in composition.sources.iter().enumerate() {
        let of_it = |column: &str| format!("s{idx}.{}", quoted(column));
        for it in &source.columns {
            columns.push(format!("  {} AS {}", value(&it.shape, &of_it(&it.column)), quoted(&it.name)));
        }
        let record = literal(&format!("{}/", source.contract));
        lineage.push(format!("{record} || lpad(s{idx}.seamline_sequence::text, 19, '0')"));
        let table = table_name(&source.table);
        if idx == 0 {
            joined.push_str(&format!("{table} AS s0"));
            continue;
        }
        let same = source.key.iter().zip(&composition.sources[0].key);
        let same: Vec<String> =
            same.map(|(here, first)| format!("{} = s0.{}", of_it(here), quoted(first))).collect();
        joined.push_str(&format!(
            "\nLEFT JOIN {table} AS s{idx} ON {} AND s{idx}.seamline_ended IS NOT TRUE",
            same.join(" AND ")
        ));
    }
    columns.push(format!("  nullif(concat_ws(' ', {}), '') AS {LINEAGE}", lineage.join(", ")));
    format!("{}\nFROM {joined}\nWHERE s0.seamline_ended IS NOT TRUE", columns.join(",\n"))
}

/// Returns an expression for what a column of a projection holds, as a source may have it.
fn value(shape: &Shape, column: &str) -> String {
    match shape.ty {
        Type::Duration => format!(
            "CASE WHEN {column} < 0 THEN '-' ELSE '' END || 'PT' || div(abs({column}::numeric), 1000000) || '.' \
             || lpad(mod(abs({column}::numeric), 1000000)::text, 6, '0') || 'S'"
        ),
        _ => column.to_owned(),
    }
}

/// Returns the statements that publish the contract when projections change: run them once what publishes it is there.
pub fn triggers(contract: &ResolvedContract, composition: &Composition) -> Vec<String> {
    let mut statements = table::statements(&[&[TABLE]]);
    statements.push(derive(contract));
    statements.push(PUBLISH.to_owned());
    statements.push(TRIGGER.to_owned());
    for (idx, source) in composition.sources.iter().enumerate() {
        statements.push(note(contract, source, idx));
        let table = table_name(&source.table);
        for (when, given) in GIVEN {
            let name = quoted(&trigger(composition, when));
            statements.push(format!("DROP TRIGGER IF EXISTS {name} ON {table}"));
            statements.push(format!(
                "CREATE TRIGGER {name} AFTER {when} ON {table} REFERENCING {given} FOR EACH STATEMENT \
                 EXECUTE FUNCTION {}()",
                note_name(contract, idx),
            ));
        }
    }
    statements.push("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA seamline FROM PUBLIC".to_owned());
    statements
}

/// What happens to rows, and what a trigger is given of them.
const GIVEN: [(&str, &str); 3] = [
    ("INSERT", "NEW TABLE AS seamline_new"),
    ("UPDATE", "NEW TABLE AS seamline_new OLD TABLE AS seamline_old"),
    ("DELETE", "OLD TABLE AS seamline_old"),
];

/// The name has room for the longest id of a contract.
fn trigger(composition: &Composition, when: &str) -> String {
    let letter = when.chars().next().unwrap_or_default().to_ascii_lowercase();
    format!("touch_{}_{letter}", composition.contract.name.contract)
}

/// The name has room for the longest id of a contract: one digit says which of its sources.
fn note_name(contract: &ResolvedContract, idx: usize) -> String {
    let digit = u32::try_from(idx).ok().and_then(|idx| char::from_digit(idx, SOURCES_MAX));
    let digit = digit.expect("a contract has no more sources");
    format!("seamline.{}", quoted(&format!("touch_{}_{digit}", contract.contract.name.contract)))
}

/// Returns the function that notes keys of which something changed that the contract takes.
fn note(contract: &ResolvedContract, source: &ComposedSource, idx: usize) -> String {
    let key = |row: &str| {
        let text = |(slot, column): (&usize, &String)| {
            let column = format!("{row}.{}", quoted(column));
            let text = source_view::key_text(&contract.attributes[*slot].shape.ty, &column);
            format!("to_json({text})::text")
        };
        let texts: Vec<String> = contract.key.iter().zip(&source.key).map(text).collect();
        format!("'[' || {} || ']'", texts.join(" || ',' || "))
    };
    let columns = |row: &str| {
        let taken = source.columns.iter().map(|it| format!("{row}.{}", quoted(&it.column)));
        taken.chain([format!("{row}.seamline_ended")]).collect::<Vec<_>>().join(", ")
    };
    let same: Vec<String> =
        source.key.iter().map(|column| format!("n.{0} = o.{0}", quoted(column))).collect();
    let (id, first) = (literal(contract.contract.name.contract.as_str()), quoted(&source.key[0]));
    format!(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql \
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $seamline$
DECLARE
  changed text[];
BEGIN
  IF TG_OP = 'INSERT' THEN
    SELECT array_agg({new}) INTO changed FROM seamline_new AS n;
  ELSIF TG_OP = 'DELETE' THEN
    SELECT array_agg({old}) INTO changed FROM seamline_old AS o;
  ELSE
    SELECT array_agg(CASE WHEN n.{first} IS NULL THEN {old} ELSE {new} END) INTO changed
      FROM seamline_new AS n FULL JOIN seamline_old AS o ON {same}
      WHERE n.{first} IS NULL OR o.{first} IS NULL OR ROW({is}) IS DISTINCT FROM ROW({was});
  END IF;
  IF changed IS NOT NULL THEN
    INSERT INTO seamline.touched (contract, keys) VALUES ({id}, changed);
  END IF;
  RETURN NULL;
END $seamline$",
        name = note_name(contract, idx),
        new = key("n"),
        old = key("o"),
        same = same.join(" AND "),
        is = columns("n"),
        was = columns("o"),
    )
}

/// Returns the function that publishes the state of keys as it is once they are locked. A key that has no row, and had none when
/// it was published last, is passed over. No row is refused for its size: who writes it is no service that could mend it, and the
/// relay sets it aside.
fn derive(contract: &ResolvedContract) -> String {
    let name = &contract.contract.name.contract;
    let id = literal(name.as_str());
    let has_key = contract.key.iter().enumerate().map(|(idx, slot)| {
        let ty = match contract.attributes[*slot].shape.ty {
            Type::Integer => "bigint",
            Type::Decimal { .. } => "numeric",
            Type::Date => "date",
            Type::Timestamp => "timestamp with time zone",
            Type::Uuid => "uuid",
            _ => "text",
        };
        format!("s.{} = (k.key::json ->> {idx})::{ty}", source_view::key_column(idx))
    });
    let has_key: Vec<String> = has_key.chain(["s.key = k.key".to_owned()]).collect();
    let insert = |table: usize| {
        format!(
            "    WITH g AS MATERIALIZED (SELECT k.key, k.moved, s.state, s.moves, s.lineage, \
nextval('seamline.sequence') AS drawn
      FROM seamline.key AS k LEFT JOIN {view} AS s ON {has_key}
      WHERE k.contract = {id} AND k.key = ANY (p_keys) AND (s.key IS NOT NULL OR k.moved IS NOT NULL)),
    u AS (UPDATE seamline.key AS k SET sequence = g.drawn, written = k.written + 1, previous = '{{}}', moved = g.moves
      FROM g WHERE k.contract = {id} AND k.key = g.key)
    INSERT INTO seamline.outbox_{table} (id, contract, version, key, state, moved, previous, causation)
      SELECT g.drawn, {id}, {version}, g.key, g.state, g.moved, '{{}}', g.lineage FROM g;
",
            view = source_view::name(name),
            has_key = has_key.join(" AND "),
            version = literal(&contract.contract.version.to_string()),
        )
    };
    format!(
        "CREATE OR REPLACE FUNCTION seamline.{}(p_keys text[]) RETURNS void LANGUAGE plpgsql{} AS $seamline$
BEGIN
  PERFORM seamline.lock({id}, p_keys);
{}{}END $seamline$",
        quoted(&format!("derive_{name}")),
        if source_view::is_printed(contract) { PRINTED } else { "" },
        publish::by_minute(insert),
        publish::bell(),
    )
}

/// Returns what a service's role needs to read the view.
pub fn grants(composition: &Composition, service_role: &str) -> Vec<String> {
    vec![format!("GRANT SELECT ON {} TO {}", table_name(&composition.view), quoted(service_role))]
}

/// Drops the triggers on projections by which nothing is composed any more.
pub(crate) async fn forget(
    conn: &mut PgConnection,
    projections: &[Projection],
    compositions: &[Composition],
    schema: &str,
) -> Result<(), InstallError> {
    for projection in projections {
        let table = consumer::table_name(schema, &projection.table);
        let feeds = compositions.iter().filter(|it| it.sources.iter().any(|it| it.table == projection.table));
        let wanted: Vec<String> =
            feeds.flat_map(|composition| GIVEN.map(|(when, _)| trigger(composition, when))).collect();
        let there = format!(
            "SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = to_regclass($1) AND NOT t.tgisinternal \
             AND {IS_OURS} AND t.tgname::text <> ALL ($2)"
        );
        let there: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(there)).bind(&table).bind(wanted).fetch_all(&mut *conn).await?;
        for name in there {
            let drop = format!("DROP TRIGGER {} ON {table}", quoted(&name));
            sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *conn).await?;
        }
    }
    Ok(())
}
