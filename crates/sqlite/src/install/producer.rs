//! Publishing by key on SQLite: `INSERT INTO seamline_publish …`, inside the service's own transaction.

use super::InstallError;
use super::{set, size, source_view, table};
use crate::file::{literal, quoted};
use seamline_contract::attribute::Type;
use seamline_contract::channel::Event;
use seamline_contract::publication::{Feed, Publication};
use seamline_contract::resolve::ResolvedContract;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

/// The columns that a service may give.
const PUBLISH: &str = "CREATE VIEW seamline_publish AS SELECT \
    NULL AS contract, NULL AS change, NULL AS key, NULL AS details, NULL AS effective, NULL AS reason, \
    NULL AS correlation, NULL AS causation, NULL AS traceparent WHERE 0";

const UNKNOWN: &str =
    "CREATE TRIGGER IF NOT EXISTS seamline_publish_unknown INSTEAD OF INSERT ON seamline_publish \
WHEN NEW.contract IS NULL OR NEW.contract NOT IN (SELECT contract FROM seamline_contract) BEGIN
  SELECT RAISE(ABORT, 'seamline: `contract` is none that is published from this database');
END";

/// Returns the statements that install the publishing of a contract.
///
/// # Errors
/// When the publication is strict, an attribute is read by an expression, or the key has a part that SQLite has no canonical text for.
pub fn statements(
    contract: &ResolvedContract,
    publication: &Publication,
) -> Result<Vec<String>, InstallError> {
    let id = &contract.contract.name.contract;
    if publication.strict {
        return Err(InstallError::Strict { contract: contract.contract.name.to_string() });
    }
    for slot in &contract.key {
        let attribute = &contract.attributes[*slot];
        if matches!(attribute.shape.ty, Type::Timestamp | Type::Duration | Type::Bytes) {
            let (contract, attribute) = (contract.contract.name.to_string(), attribute.name.to_string());
            return Err(InstallError::Key { contract, attribute });
        }
    }
    let mut statements = table::statements(&[table::SHARED, table::PRODUCER]);
    if contract.seals() {
        statements.extend(table::statements(&[table::SEALING]));
    }
    statements.push(name_chains(contract));
    statements.push(format!(
        "INSERT INTO seamline_contract (contract, version, key_kinds) VALUES ({}, {}, {}) \
         ON CONFLICT (contract) DO UPDATE SET version = excluded.version, key_kinds = excluded.key_kinds",
        literal(id.as_str()),
        literal(&contract.contract.version.to_string()),
        literal(&source_view::kinds_text(&source_view::key_kinds(contract))),
    ));
    statements.push(format!("DROP TRIGGER IF EXISTS {}", trigger_name(contract)));
    statements.push(format!("DROP VIEW IF EXISTS {}", source_view::name(id)));
    statements.push(source_view::statement(contract, publication)?);
    statements.push(PUBLISH.replace("CREATE VIEW", "CREATE VIEW IF NOT EXISTS"));
    statements.push(UNKNOWN.to_owned());
    statements.push(trigger(contract, publication.feed == Feed::Projections));
    statements.extend(contract.contract.reference.as_ref().map(|_| set::statement(id)));
    Ok(statements)
}

/// Reads the source view once, without a row: a table or column that is not there is found now and not by the service.
pub(crate) async fn check(
    conn: &mut SqliteConnection,
    contract: &ResolvedContract,
) -> Result<(), InstallError> {
    let id = &contract.contract.name.contract;
    let read = format!("SELECT * FROM {} LIMIT 0", source_view::name(id));
    let wrong = |source| InstallError::Source { contract: contract.contract.name.to_string(), source };
    sqlx::query(AssertSqlSafe(read)).persistent(false).execute(conn).await.map_err(wrong)?;
    Ok(())
}

fn trigger_name(contract: &ResolvedContract) -> String {
    quoted(&format!("seamline_publish_{}", contract.contract.name.contract))
}

/// Returns the trigger that answers `INSERT INTO seamline_publish` for one contract. Of a composed one each row names the records
/// that it is made of, and none is refused for its size: who writes it is no service that could mend it, and the relay sets it
/// aside.
fn trigger(contract: &ResolvedContract, is_composed: bool) -> String {
    let id = contract.contract.name.contract.as_str();
    let view = source_view::name(&contract.contract.name.contract);
    let has_key = source_view::has_key(&source_view::key_kinds(contract), "s", "NEW.key");
    format!(
        "CREATE TRIGGER {name} INSTEAD OF INSERT ON seamline_publish WHEN NEW.contract = {contract} BEGIN\n\
         {checks}  INSERT INTO seamline_outbox (contract, version, key, change, details, effective, reason, state, moved, \
         previous, correlation, causation, traceparent, written_at)\n  \
         SELECT {contract}, {version}, NEW.key, NEW.change, NEW.details, NEW.effective, NEW.reason, \
         (SELECT s.state FROM {view} AS s WHERE {has_key} LIMIT 1), k.moved, {previous}, \
         NEW.correlation, {causation}, NEW.traceparent, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')\n  \
         FROM (SELECT 1) LEFT JOIN seamline_key AS k ON k.contract = {contract} AND k.key = NEW.key;\n\
         {refusals}  \
         INSERT INTO seamline_key (contract, key, sequence, chains, moved, written)\n  \
         SELECT o.contract, o.key, o.id, {first_chains}, {moved}, 1 FROM seamline_outbox AS o \
         WHERE o.id = last_insert_rowid()\n  \
         ON CONFLICT (contract, key) DO UPDATE SET sequence = excluded.sequence, moved = excluded.moved, \
         written = written + 1, chains = {next_chains};\nEND",
        name = trigger_name(contract),
        contract = literal(id),
        version = literal(&contract.contract.version.to_string()),
        checks = checks(contract),
        refusals = if is_composed { String::new() } else { size::refusals(contract) },
        causation = if is_composed {
            format!("(SELECT s.lineage FROM {view} AS s WHERE {has_key} LIMIT 1)")
        } else {
            "NEW.causation".to_owned()
        },
        previous = by_event(contract, "'{}'", |chains| {
            let member =
                |chain: &String| format!("{}, json_extract(k.chains, {})", literal(chain), json_path(chain));
            format!("json_object({})", chains.iter().map(member).collect::<Vec<_>>().join(", "))
        }),
        first_chains = by_event(contract, "'{}'", |chains| {
            let member = |chain: &String| format!("{}, o.id", literal(chain));
            format!("json_object({})", chains.iter().map(member).collect::<Vec<_>>().join(", "))
        }),
        next_chains = by_event(contract, "chains", |chains| {
            let member = |chain: &String| format!("{}, excluded.sequence", json_path(chain));
            format!("json_set(chains, {})", chains.iter().map(member).collect::<Vec<_>>().join(", "))
        }),
        moved = moved(contract),
    )
}

/// Returns the statements that refuse what is no change of a key of the contract.
fn checks(contract: &ResolvedContract) -> String {
    let id = contract.contract.name.contract.as_str();
    let refuse = |when: &str, why: &str| {
        format!("  SELECT RAISE(ABORT, {}) WHERE {when};\n", literal(&format!("seamline: `{id}`: {why}")))
    };
    let events: Vec<String> = events(contract).iter().map(|event| literal(event.name.as_str())).collect();
    let texts: Vec<String> =
        (0..contract.key.len()).map(|idx| format!("json_extract(NEW.key, '$[{idx}]')")).collect();
    [
        refuse(
            &format!("NEW.change IS NOT NULL AND NEW.change NOT IN ({})", events.join(", ")),
            "`change` is no event of the contract; leave it out to publish the state alone",
        ),
        refuse(
            "NEW.key IS NULL OR NOT json_valid(NEW.key)",
            "`key` is not JSON; write the key's values as texts, such as [\"P-00000001\"]",
        ),
        refuse(
            &format!(
                "json_type(NEW.key) <> 'array' OR json_array_length(NEW.key) <> {} \
                 OR EXISTS (SELECT 1 FROM json_each(NEW.key) WHERE type <> 'text')",
                texts.len()
            ),
            "`key` must be a JSON array with one text for each attribute of the key",
        ),
        refuse(
            &format!("NEW.key <> json_array({})", texts.join(", ")),
            "`key` is not canonical: no spaces, no escapes that JSON does not need",
        ),
        refuse(
            "NEW.details IS NOT NULL AND (NOT json_valid(NEW.details) OR json_type(NEW.details) <> 'object')",
            "`details` is not a JSON object",
        ),
    ]
    .concat()
}

fn events(contract: &ResolvedContract) -> &[Event] {
    contract.contract.events.as_ref().map_or(&[], |events| &events.events)
}

/// Returns an expression that depends on the event, by the chains that it links into.
fn by_event(contract: &ResolvedContract, otherwise: &str, then: impl Fn(&[String]) -> String) -> String {
    let mut cases = String::new();
    for event in events(contract) {
        let chains = contract.chains(&event.name);
        if !chains.is_empty() {
            cases.push_str(&format!(" WHEN {} THEN {}", literal(event.name.as_str()), then(&chains)));
        }
    }
    if cases.is_empty() {
        otherwise.to_owned()
    } else {
        format!("CASE NEW.change{cases} ELSE {otherwise} END")
    }
}

/// Returns the path of a chain in an object by chain, as an SQL text.
fn json_path(chain: &str) -> String {
    literal(&format!("$.\"{chain}\""))
}

/// Returns the statement that puts its major before the name of each chain that an older program stored without.
fn name_chains(contract: &ResolvedContract) -> String {
    let id = literal(contract.contract.name.contract.as_str());
    format!(
        "UPDATE seamline_key SET chains = (SELECT json_group_object(\
         (SELECT substr(c.version, 1, instr(c.version, '.') - 1) FROM seamline_contract c WHERE c.contract = {id}) \
         || '/' || e.key, e.value) FROM json_each(chains) e) \
         WHERE contract = {id} AND instr(chains, '/') = 0 AND chains <> '{{}}'"
    )
}

/// Returns an expression for what the next row of a key finds as published before: the values of attributes with moves, and
/// nothing once the key ended.
fn moved(contract: &ResolvedContract) -> String {
    let moving = contract.attributes.iter().filter(|attribute| attribute.shape.moves.is_some());
    let members: Vec<String> = moving
        .map(|attribute| {
            let name = attribute.name.as_str();
            format!("{}, json_extract(o.state, {})", literal(name), literal(&format!("$.\"{name}\"")))
        })
        .collect();
    let ends: Vec<String> = events(contract)
        .iter()
        .filter(|event| event.ends)
        .map(|event| literal(event.name.as_str()))
        .collect();
    let ended =
        if ends.is_empty() { String::new() } else { format!(" OR NEW.change IN ({})", ends.join(", ")) };
    format!("CASE WHEN o.state IS NULL{ended} THEN NULL ELSE json_object({}) END", members.join(", "))
}
