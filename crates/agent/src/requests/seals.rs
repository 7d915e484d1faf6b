//! Keys of sealed values for who may read them: whoever is entitled to the events that they open, in full or through a view.

use super::Requests;
use super::answer::Fault;
use crate::agent::AgentError;
use crate::compiled::Compiled;
use crate::database::Database;
use crate::seal::{missing, sealer, written};
use crate::site::Site;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use seamline_contract::id::{ContextId, ContractRef};
use seamline_contract::resolve::ResolvedContract;
use seamline_flow::outlet::Outlet;
use seamline_flow::seal::KEYS_MAX;
use seamline_flow::seal::sealer::Sealer;
use seamline_message::seal::{KeyId, Keys};
use std::sync::Arc;
use std::time::Instant;

/// The keys of one contract that a database keeps.
#[derive(Debug)]
pub(super) struct Seals {
    contract: ResolvedContract,
    sealer: Sealer,
    database: Arc<Database>,
}

impl Seals {
    /// Returns those of what a database publishes; none where nothing is sealed.
    pub(super) async fn of(
        site: &Site,
        context: &ContextId,
        compiled: &Compiled,
    ) -> Result<Vec<Seals>, AgentError> {
        let Some(outlets) = compiled.outlets.as_ref().filter(|it| !it.sealing().is_empty()) else {
            return Ok(Vec::new());
        };
        let Some(sealer) = sealer(context)? else {
            return Err(missing(context, Some(outlets)).expect("it seals, and has no key").into());
        };
        let database = Arc::new(site.database(&compiled.place, false).await?);
        // Who reads a major that seals nothing may read the history of one that does.
        let sealing = outlets.sealing().into_iter().flat_map(Outlet::all);
        let one = |outlet: &Outlet| Seals {
            contract: outlet.codec.contract().clone(),
            sealer: sealer.clone(),
            database: Arc::clone(&database),
        };
        Ok(sealing.map(one).collect())
    }

    pub(super) fn contract(&self) -> ContractRef {
        self.contract.contract.reference()
    }
}

/// Returns whether a context may read some of what is sealed in a contract.
fn is_entitled(contract: &ResolvedContract, asker: &ContextId) -> bool {
    let its = &contract.contract;
    let whole = its.events.as_ref().is_some_and(|events| contract.entitles(asker, &events.terms));
    let through = its.views.iter().any(|view| view.readers.contains(asker) && !view.events.is_empty());
    *asker == its.name.context || whole || through
}

/// Answers `POST /v1/CONTEXT/CONTRACT@MAJOR/seals`, whose body is an array of ids of keys.
pub(super) async fn asked(
    State(requests): State<Arc<Requests>>,
    Path((context, contract)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let begun = Instant::now();
    let name = format!("{context}/{contract}");
    let here: Vec<&Seals> = requests.seals.iter().filter(|it| it.contract().to_string() == name).collect();
    let response = match look(&requests, &here, &headers, &body).await {
        Ok(keys) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, written(&keys)).into_response()
        }
        Err(fault) => fault.into_response(),
    };
    let known = if here.is_empty() { String::new() } else { name };
    requests.metrics.requested(&known, response.status().as_u16(), begun.elapsed());
    response
}

async fn look(requests: &Requests, here: &[&Seals], headers: &HeaderMap, body: &[u8]) -> Result<Keys, Fault> {
    let asker = requests.asker(headers)?;
    if here.is_empty() {
        return Err(Fault::NoContract(requests.offered().join(", ")));
    }
    if !here.iter().any(|it| is_entitled(&it.contract, asker)) {
        return Err(Fault::NotEntitled(String::new()));
    }
    let _permit = requests.gate.try_acquire().map_err(|_| Fault::Busy)?;
    let ids: Vec<String> = serde_json::from_slice(body).map_err(|_| Fault::Ids)?;
    let ids = ids.iter().map(|id| id.parse()).collect::<Result<Vec<KeyId>, _>>().map_err(|_| Fault::Ids)?;
    if ids.len() > KEYS_MAX {
        return Err(Fault::Ids);
    }
    let mut keys = Keys::new();
    for it in here {
        let name = &it.contract.contract.name.contract;
        keys.extend(it.sealer.look(it.database.as_ref(), name, &ids).await.map_err(Fault::no_answer)?);
    }
    Ok(keys)
}
