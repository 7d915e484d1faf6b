//! Requests over HTTP: the state of a key, or a page of keys, cut to what the asking context may read. It reads the source view of
//! the owner's database, and writes nothing.

mod answer;
mod seals;

use crate::agent::AgentError;
use crate::compiled::Compiled;
use crate::database::Database;
use crate::metrics::Metrics;
use crate::requests::answer::{Answered, Fault, answered};
use crate::requests::seals::Seals;
use crate::site::Site;
use crate::variables::of_process;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use percent_encoding::percent_decode_str;
use seamline_contract::id::{ContextId, ContractRef, ViewId};
use seamline_flow::source::{Source, SourceRow};
use seamline_message::codec::Codec;
use seamline_message::key::RecordKey;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many requests are answered at once: more are told to come back, so that the service's own load goes first.
const AT_ONCE: usize = 16;

/// How many keys a page has at most, and where nothing is said.
const PAGE_MAX: usize = 500;
const PAGE: usize = 100;

/// What begins the name of a variable that holds the token of a context.
pub(crate) const TOKEN: &str = "SEAMLINE_TOKEN_";

/// What one contract offers to who asks.
#[derive(Debug)]
struct Offer {
    contract: ContractRef,
    codec: Codec,
    /// How old an answer may be when it is used.
    fresh: Option<Duration>,
    /// Connections of its own: who asks takes none from relays and lanes.
    database: Arc<Database>,
}

/// All that is offered, and who may ask.
#[derive(Debug)]
pub struct Requests {
    offers: Vec<Offer>,
    seals: Vec<Seals>,
    /// Contexts with their tokens. Never print it.
    askers: Vec<(ContextId, Token)>,
    gate: Semaphore,
    metrics: Arc<Metrics>,
}

/// A secret that is compared and never shown.
struct Token(Vec<u8>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Compares in a time that does not tell where they differ.
    fn is(&self, given: &[u8]) -> bool {
        let differs = self.0.iter().zip(given).fold(0, |differs, (one, other)| differs | (one ^ other));
        self.0.len() == given.len() && differs == 0
    }
}

/// Returns a variable of this process, or the content of the file that NAME_FILE names, without the end of its line.
pub fn of_this_process(name: &str) -> Option<String> {
    let path = || of_process(&format!("{name}_FILE"));
    of_process(name).or_else(|| Some(std::fs::read_to_string(path()?).ok()?.trim_end().to_owned()))
}

impl Requests {
    /// Opens what some contexts offer; none where they offer nothing. `variable` returns a variable of the process, or the content of
    /// the file that NAME_FILE names.
    ///
    /// # Errors
    /// When a contract, a place or a database cannot be used.
    pub async fn open(
        site: &Site,
        contexts: &[ContextId],
        metrics: Arc<Metrics>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Requests>, AgentError> {
        let (mut offers, mut seals) = (Vec::new(), Vec::new());
        for context in contexts {
            for compiled in Compiled::of(site, context)? {
                seals.extend(Seals::of(site, context, &compiled).await?);
                // Which of several databases has a key is not known: such contracts are not offered.
                let offered = compiled
                    .published
                    .iter()
                    .filter(|it| it.whole && it.contract.contract.requests.is_some());
                let codecs: Vec<Codec> = offered
                    .filter_map(|it| {
                        let of = |outlet: &&seamline_flow::outlet::Outlet| {
                            outlet.contract == it.contract.contract.reference()
                        };
                        compiled.outlets.iter().flat_map(|all| all.iter()).find(of)
                    })
                    .map(|outlet| outlet.codec.clone())
                    .collect();
                if codecs.is_empty() {
                    continue;
                }
                let database = Arc::new(site.database(&compiled.place, false).await?);
                offers.extend(codecs.into_iter().map(|codec| offer(codec, &database)));
            }
        }
        if offers.is_empty() && seals.is_empty() {
            return Ok(None);
        }
        let askers: Vec<(ContextId, Token)> = site
            .estate
            .contexts
            .iter()
            .filter_map(|context| {
                let token =
                    variable(&crate::seal::variable(TOKEN, &context.id)).filter(|token| !token.is_empty())?;
                Some((context.id.clone(), Token(token.into_bytes())))
            })
            .collect();
        if askers.is_empty() {
            tracing::warn!(
                "requests are offered, and no context has a token: set `{TOKEN}CONTEXT` for who asks"
            );
        }
        Ok(Some(Requests { offers, seals, askers, gate: Semaphore::new(AT_ONCE), metrics }))
    }

    /// Returns the contracts that are offered.
    pub fn offered(&self) -> Vec<String> {
        let offers = self.offers.iter().map(|offer| offer.contract.to_string());
        offers.chain(self.seals.iter().map(|it| format!("{} (keys)", it.contract()))).collect()
    }

    fn asker(&self, headers: &HeaderMap) -> Result<&ContextId, Fault> {
        let given = headers.get(header::AUTHORIZATION).ok_or(Fault::NoToken)?;
        let given = given.as_bytes().strip_prefix(b"Bearer ").ok_or(Fault::NoToken)?;
        // All are looked at, so that the time does not tell which of them it was.
        let found = self.askers.iter().rfold(
            None,
            |found, (context, token)| {
                if token.is(given) { Some(context) } else { found }
            },
        );
        found.ok_or(Fault::NoToken)
    }

    fn offer(&self, context: &str, contract: &str) -> Result<&Offer, Fault> {
        let wanted = format!("{context}/{contract}");
        let found = self.offers.iter().find(|offer| offer.contract.to_string() == wanted);
        found.ok_or_else(|| Fault::NoContract(self.offered().join(", ")))
    }
}

fn offer(codec: Codec, database: &Arc<Database>) -> Offer {
    let contract = &codec.contract().contract;
    let fresh = contract.guarantees.requests_freshness.map(|promise| promise.span.0);
    Offer { contract: contract.reference(), fresh, database: Arc::clone(database), codec }
}

/// Returns what a context may read of a contract: one of its views, or all of it.
fn entitled<'o>(
    offer: &'o Offer,
    asker: &ContextId,
    asked: Option<&str>,
) -> Result<Option<&'o ViewId>, Fault> {
    let contract = offer.codec.contract();
    let views: Vec<&ViewId> = contract
        .contract
        .views
        .iter()
        .filter(|view| view.readers.contains(asker))
        .map(|view| &view.id)
        .collect();
    let names = || views.iter().map(|view| view.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(asked) = asked {
        let found = views.iter().find(|view| view.as_str() == asked);
        return found.map(|view| Some(*view)).ok_or_else(|| Fault::NotEntitled(names()));
    }
    let is_owner = *asker == contract.contract.name.context;
    let whole = contract.contract.requests.as_ref().is_some_and(|terms| contract.entitles(asker, terms));
    match (is_owner || whole, views.as_slice()) {
        (true, _) => Ok(None),
        (false, [view]) => Ok(Some(*view)),
        (false, _) => Err(Fault::NotEntitled(names())),
    }
}

/// Answers on a listener until the process ends.
pub async fn serve(listener: TcpListener, requests: Arc<Requests>) {
    let routes = Router::new()
        .route("/v1/{context}/{contract}/keys", get(page))
        .route("/v1/{context}/{contract}/keys/{key}", get(one))
        .route("/v1/{context}/{contract}/seals", post(seals::asked))
        .fallback(async || Fault::NoRoute.into_response())
        .with_state(requests);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(error = %error, "requests are not answered any more");
    }
}

async fn one(
    State(requests): State<Arc<Requests>>,
    Path((context, contract, key)): Path<(String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let begun = Instant::now();
    let found = async {
        let Admitted { offer, view, _permit } = admit(&requests, (&context, &contract), &uri, &headers)?;
        let key = key_of(offer, &key)?;
        let contract = &offer.contract.name.contract;
        let state = offer.database.state(contract, &key).await.map_err(Fault::no_answer)?;
        let row = SourceRow { key, state: state.ok_or(Fault::NoKey)? };
        Ok(Answered { body: state_of(offer, view, &row)?, fresh: offer.fresh })
    };
    let found = found.await;
    respond(&requests, (&context, &contract), found, &headers, begun)
}

async fn page(
    State(requests): State<Arc<Requests>>,
    Path((context, contract)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let begun = Instant::now();
    let found = async {
        let Admitted { offer, view, _permit } = admit(&requests, (&context, &contract), &uri, &headers)?;
        let limit = match parameter(&uri, "limit") {
            None => PAGE,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or(Fault::Limit)?
            }
        };
        let after = parameter(&uri, "after").map(|text| key_of(offer, &text)).transpose()?;
        let contract = &offer.contract.name.contract;
        let rows = offer.database.scan(contract, after.as_ref(), limit).await.map_err(Fault::no_answer)?;
        Ok(Answered { body: whole_page(offer, view, &rows, limit)?, fresh: offer.fresh })
    };
    let found = found.await;
    respond(&requests, (&context, &contract), found, &headers, begun)
}

/// Who was let in, to what.
struct Admitted<'r> {
    offer: &'r Offer,
    view: Option<&'r ViewId>,
    /// One of those that may be answered at once.
    _permit: SemaphorePermit<'r>,
}

/// Finds out who asks, of what, and what of it: all before anything is read.
fn admit<'r>(
    requests: &'r Requests,
    (context, contract): (&str, &str),
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Admitted<'r>, Fault> {
    let asker = requests.asker(headers)?;
    let offer = requests.offer(context, contract)?;
    let view = entitled(offer, asker, parameter(uri, "view").as_deref())?;
    let permit = requests.gate.try_acquire().map_err(|_| Fault::Busy)?;
    Ok(Admitted { offer, view, _permit: permit })
}

/// Answers, and counts. What is not offered is counted under no name: who asks could make up as many as it likes.
fn respond(
    requests: &Requests,
    (context, contract): (&str, &str),
    found: Result<Answered, Fault>,
    headers: &HeaderMap,
    begun: Instant,
) -> Response {
    let response = match found {
        Ok(found) => answered(found, headers.get(header::IF_NONE_MATCH)),
        Err(fault) => fault.into_response(),
    };
    let name = requests.offer(context, contract).map(|offer| offer.contract.to_string()).unwrap_or_default();
    requests.metrics.requested(&name, response.status().as_u16(), begun.elapsed());
    response
}

fn key_of(offer: &Offer, text: &str) -> Result<RecordKey, Fault> {
    offer.codec.decode_key(Some(text.as_bytes())).map_err(|violation| Fault::Key(violation.message))
}

/// Returns a parameter of the query, decoded.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(given, _)| *given == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// Returns a row as it travels on a state channel, cut to the view.
fn state_of(offer: &Offer, view: Option<&ViewId>, row: &SourceRow) -> Result<Vec<u8>, Fault> {
    let broken = |_| Fault::Broken;
    let values = offer.codec.read_source(&row.state).map_err(broken)?;
    match offer.codec.judge_state(&values).is_empty() {
        true => Ok(offer.codec.encode_state(view, &values, None)),
        // What may not be published is not told either.
        false => Err(Fault::Broken),
    }
}

/// Returns a page, `{"items":[…],"next":"…"}`; `next` is there while there may be more.
fn whole_page(
    offer: &Offer,
    view: Option<&ViewId>,
    rows: &[SourceRow],
    limit: usize,
) -> Result<Vec<u8>, Fault> {
    let mut out = b"{\"items\":[".to_vec();
    for (idx, row) in rows.iter().enumerate() {
        if idx > 0 {
            out.push(b',');
        }
        out.extend(state_of(offer, view, row)?);
    }
    out.push(b']');
    if let (true, Some(last)) = (rows.len() == limit, rows.last()) {
        let next: &RecordKey = &last.key;
        out.extend_from_slice(b",\"next\":");
        out.extend_from_slice(serde_json::Value::from(next.as_str()).to_string().as_bytes());
    }
    out.push(b'}');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{Token, parameter};

    #[test]
    fn a_token_is_the_same_or_another() {
        let token = Token(b"secret".to_vec());
        assert!(token.is(b"secret"));
        for other in [&b"secre"[..], b"secret1", b"Secret", b""] {
            assert!(!token.is(other));
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn a_parameter_is_decoded() {
        let uri = "/v1/order/order@1/keys?after=%5B%227%22%5D&limit=3".parse().unwrap();
        assert_eq!(parameter(&uri, "after").as_deref(), Some("[\"7\"]"));
        assert_eq!(parameter(&uri, "limit").as_deref(), Some("3"));
        assert_eq!(parameter(&uri, "view"), None);
    }
}
