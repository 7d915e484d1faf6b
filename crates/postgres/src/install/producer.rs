//! Publishing by key on PostgreSQL: `SELECT seamline.publish(…)`, inside the service's own transaction.

use super::consumer::NAME_BYTES;
use super::{InstallError, claim, publish, set, size, source_view, table, table_consumer, value};
use crate::sql::{literal, quoted};
use seamline_contract::publication::{Feed, Publication};
use seamline_contract::resolve::ResolvedContract;
use sqlx::postgres::PgConnection;

/// What a service calls, and with what; the last argument types of `publish`, after its keys.
const CALLS: [&str; 3] = [
    "publish(text, text, text, text, text, text, text, text, text, text)",
    "publish(text, text, text[], text, text, text, text, text, text)",
    "lock(text, text[])",
];

/// The longest prefix of what is named for a contract.
const PREFIX: &str = "publish_";

/// Returns the statements that install the publishing of a contract. Each is complete; run them in one transaction.
///
/// # Errors
/// When an attribute is read by an expression.
pub fn statements(
    contract: &ResolvedContract,
    publication: &Publication,
) -> Result<Vec<String>, InstallError> {
    let name = &contract.contract.name;
    if name.contract.as_str().len() > NAME_BYTES - PREFIX.len() {
        let what = format!(
            "its id has more than {} bytes, so that PostgreSQL would cut the name of its function",
            NAME_BYTES - PREFIX.len()
        );
        return Err(InstallError::Source { contract: name.to_string(), what });
    }
    let view = source_view::source_view(contract, publication)?;
    let mut statements = table::statements(&[table_consumer::SHARED, table::PRODUCER]);
    statements.insert(3, claim(&name.context));
    statements.extend(value::FUNCTIONS.iter().map(|function| (*function).to_owned()));
    if contract.seals() {
        statements.extend(table::statements(&[table::SEALING]));
    }
    statements.push(name_chains(contract));
    statements.push(format!(
        "INSERT INTO seamline.contract (contract, version) VALUES ({}, {}) \
         ON CONFLICT (contract) DO UPDATE SET version = excluded.version",
        literal(name.contract.as_str()),
        literal(&contract.contract.version.to_string()),
    ));
    statements.push(view_statement(contract, &view.statement));
    statements.extend(publish::CHECKS.iter().map(|check| (*check).to_owned()));
    statements.push(size::CHECK.to_owned());
    statements.push(publish::state_function(contract));
    statements.push(publish::function(contract, publication.feed == Feed::Projections));
    statements.extend(publish::strict(contract, publication.strict));
    statements.push(publish::LOCK.to_owned());
    statements.push(publish::DISPATCH.to_owned());
    statements.push(publish::MANY.to_owned());
    statements.extend(contract.contract.reference.as_ref().map(|_| set::statement(&name.contract)));
    statements.push("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA seamline FROM PUBLIC".to_owned());
    statements.push("REVOKE ALL ON SCHEMA seamline FROM PUBLIC".to_owned());
    Ok(statements)
}

/// Puts its major before the name of each chain that an older program stored without.
fn name_chains(contract: &ResolvedContract) -> String {
    let id = literal(contract.contract.name.contract.as_str());
    format!(
        "UPDATE seamline.key k SET chains = (SELECT jsonb_object_agg(split_part(c.version, '.', 1) || '/' || e.key, e.value) \
         FROM jsonb_each(k.chains) e) FROM seamline.contract c \
         WHERE k.contract = {id} AND c.contract = {id} AND strpos(k.chains::text, '/') = 0 AND k.chains <> '{{}}'"
    )
}

/// A view whose key columns have other types now cannot be replaced: it is made anew, and who read it needs its grants again.
fn view_statement(contract: &ResolvedContract, statement: &str) -> String {
    format!(
        "DO $seamline$ BEGIN\n{statement};\nEXCEPTION WHEN invalid_table_definition THEN\nDROP VIEW {};\n{statement};\nEND $seamline$",
        source_view::name(&contract.contract.name.contract),
    )
}

/// Returns the statements that give a service's role the right to publish, and an agent's role what its relay needs.
pub fn grants(service_role: &str, agent_role: &str) -> Vec<String> {
    let (service, agent) = (quoted(service_role), quoted(agent_role));
    let mut grants = vec![format!("GRANT USAGE ON SCHEMA seamline TO {service}, {agent}")];
    for call in CALLS {
        grants.push(format!("GRANT EXECUTE ON FUNCTION seamline.{call} TO {service}"));
    }
    grants.push(format!("GRANT EXECUTE ON FUNCTION seamline.{} TO {service}", set::CALL));
    grants.extend([
        format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA seamline TO {agent}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA seamline TO {agent}"),
        format!("GRANT TRUNCATE ON seamline.outbox_0, seamline.outbox_1, seamline.outbox_2 TO {agent}"),
        format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA seamline TO {agent}"),
        format!("REVOKE INSERT, UPDATE, DELETE ON seamline.format, seamline.context FROM {agent}"),
    ]);
    grants
}

/// Looks for the table and the columns that a publication names, before anything is changed.
pub(crate) async fn check(
    conn: &mut PgConnection,
    contract: &ResolvedContract,
    publication: &Publication,
) -> Result<(), InstallError> {
    let wrong = |what: String| InstallError::Source { contract: contract.contract.name.to_string(), what };
    let view = source_view::source_view(contract, publication)?;
    let there: Option<i64> = sqlx::query_scalar("SELECT to_regclass($1)::oid::bigint")
        .bind(source_view::table_name(publication))
        .fetch_one(&mut *conn)
        .await?;
    let Some(there) = there else {
        return Err(wrong(format!("there is no table or view `{}`", publication.table)));
    };
    let columns =
        "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped";
    let columns: Vec<String> = sqlx::query_scalar(columns).bind(there).fetch_all(conn).await?;
    match view.columns.iter().find(|column| !columns.contains(column)) {
        Some(missing) => Err(wrong(format!("`{}` has no column `{missing}`", publication.table))),
        None => Ok(()),
    }
}
