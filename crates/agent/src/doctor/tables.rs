//! What the doctor says of the tables of a context's own: those that are published from, and those that are kept.

use super::{Checks, server};
use crate::compiled::Compiled;
use crate::database::Database;
use seamline_contract::publication::Publication;
use seamline_flow::port::PortError;
use seamline_flow::source::Source;
use seamline_flow::store::{Projection, Store};

/// Reads each source view and each projection as the workers do: a column that is gone is found here, and so is what forbids a
/// row.
pub(super) async fn examine(database: &Database, compiled: &Compiled, install: &str, checks: &mut Checks) {
    for outlet in compiled.outlets.iter().flat_map(|outlets| outlets.iter()) {
        let subject = outlet.contract.to_string();
        match database.scan(&outlet.contract.name.contract, None, 1).await {
            Ok(_) => checks.well("source", &subject, "can be read"),
            Err(error) => checks.ill(
                "source",
                &subject,
                format!("cannot be read: {error}"),
                format!("let table and publication agree, then {install}"),
            ),
        }
    }
    for publication in compiled.published.iter().map(|published| &published.publication) {
        moved(database, publication, install, checks).await;
    }
    for intake in &compiled.intakes {
        let Some(state) = &intake.state else { continue };
        let subject = intake.subscription.to_string();
        let seen = checks.len();
        if let Err(error) = forbidden(database, &state.projection, &subject, checks).await {
            checks.unreachable("projection", &subject, error.to_string(), "see what it says");
        }
        if checks.len() > seen {
            continue;
        }
        match database.rows(&state.projection, None, 1).await {
            Ok(_) => checks.well("projection", &subject, "can be read"),
            Err(error) => checks.ill(
                "projection",
                &subject,
                format!("`{}` cannot be read: {error}", state.projection.table),
                format!("put its columns back, then {install}"),
            ),
        }
    }
}

/// Says where another table is published from than the publication names.
async fn moved(database: &Database, publication: &Publication, install: &str, checks: &mut Checks) {
    let Some(server) = database.server() else { return };
    let subject = publication.contract.to_string();
    match server.source_elsewhere(publication).await {
        Ok(None) => {}
        Ok(Some(read)) => checks.ill(
            "source",
            &subject,
            format!("is read from `{read}`, and the publication names `{}`", publication.table),
            format!("name the table in the publication that holds the rows, then {install}"),
        ),
        Err(error) => checks.unreachable("source", &subject, error.to_string(), "see what it says"),
    }
}

/// Says which rights on a projection are missing, and what of its table forbids rows.
async fn forbidden(
    database: &Database,
    projection: &Projection,
    subject: &str,
    checks: &mut Checks,
) -> Result<(), PortError> {
    let Some(server) = database.server() else { return Ok(()) };
    let missing = server.projection_rights_missing(projection).await?;
    if !missing.is_empty() {
        let role = server::quoted(&server.facts().await?.role);
        let grants: Vec<String> = missing.iter().map(|right| format!("GRANT {right} TO {role}")).collect();
        let says = format!("{role} lacks {}: the lane waits", missing.join(", "));
        checks.ill("rights", subject, says, grants.join("; "));
    }
    if let Some(differs) = server.projection_differs(projection).await? {
        let mend = "put the table back to what was installed: the lane then goes on by itself";
        checks.ill("projection", subject, differs, mend);
    }
    Ok(())
}
