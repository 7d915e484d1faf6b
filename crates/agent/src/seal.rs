//! The keys of sealed values in a process: the key-encryption key of a context, and whom a consumer asks.
//!
//! Invariant: a key of a subject is in memory while something is sealed or opened with it, and in no log, error or metric.

use crate::clock::SystemEntropy;
use crate::compiled::Compiled;
use crate::database::Database;
use crate::site::{Site, SiteError, secret};
use crate::variables::of_process;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use seamline_contract::id::{ContextId, ContractRef};
use seamline_contract::resolve::ResolvedContract;
use seamline_flow::outlet::OutletSet;
use seamline_flow::port::PortError;
use seamline_flow::seal::sealer::Sealer;
use seamline_flow::seal::{Answering, Keyholder};
use seamline_message::seal::{KeyId, Keys, Ring, Secret};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

/// What begins the name of a variable that holds the key-encryption key of a context.
const RING: &str = "SEAMLINE_KEK_";

/// What begins the name of a variable that says where a context answers requests.
const REQUESTS: &str = "SEAMLINE_REQUESTS_";

/// How long an owner has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many bytes an answer may have.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Returns a name of a variable for a context.
pub(crate) fn variable(prefix: &str, context: &ContextId) -> String {
    format!("{prefix}{}", context.as_str().to_uppercase().replace('-', "_"))
}

fn is_set(name: &str) -> bool {
    [name.to_owned(), format!("{name}_FILE")].iter().any(|name| of_process(name).is_some())
}

/// Returns what seals the events of a context; none where this process has no key-encryption key of it.
///
/// # Errors
/// When the key, or an older one, is none or cannot be read.
pub fn sealer(context: &ContextId) -> Result<Option<Sealer>, SiteError> {
    let name = variable(RING, context);
    if !is_set(&name) {
        return Ok(None);
    }
    let read = |name: &str, text: &str| {
        let none = || SiteError::Key { name: name.to_owned() };
        Secret::read(text).ok_or_else(none)
    };
    let used_in = format!("sealed events of `{context}`");
    let current = read(&name, &secret(&name, &used_in)?)?;
    let older = format!("{name}_OLD");
    let texts = if is_set(&older) { secret(&older, &used_in)? } else { String::new() };
    let texts = texts.split(',').map(str::trim).filter(|text| !text.is_empty());
    let older = texts.map(|text| read(&older, text)).collect::<Result<Vec<Secret>, SiteError>>()?;
    Ok(Some(Sealer::new(Ring::new(current, older), Arc::new(SystemEntropy))))
}

/// Says that a context seals, and this process cannot.
pub(crate) fn missing(context: &ContextId, outlets: Option<&OutletSet>) -> Option<SiteError> {
    let unsealed = outlets?.sealing().into_iter().find(|outlet| outlet.sealer.is_none())?;
    let used_in = format!("sealed events of `{}`", unsealed.contract);
    Some(SiteError::Variable { name: variable(RING, context), used_in, what: "is not set" })
}

/// Returns who is asked for the keys of a contract: its owner's database where this process has the owner's key-encryption key, else
/// its owner's agent. None where nothing is sealed, or nobody is named.
///
/// # Errors
/// When a variable cannot be read.
pub(crate) fn keyholder(
    site: &Site,
    contract: &ResolvedContract,
    asker: &ContextId,
) -> Result<Option<Arc<dyn Keyholder>>, SiteError> {
    if !contract.seals() {
        return Ok(None);
    }
    let owner = &contract.contract.name.context;
    if let Some(sealer) = sealer(owner)? {
        let databases = OnceCell::new();
        return Ok(Some(Arc::new(Vaults { site: site.clone(), owner: owner.clone(), sealer, databases })));
    }
    let at = variable(REQUESTS, owner);
    if !is_set(&at) {
        return Ok(None);
    }
    let used_in = format!("keys of sealed events of `{owner}`");
    let token = variable(crate::requests::TOKEN, asker);
    let token = secret(&token, &used_in)?;
    let at = secret(&at, &used_in)?.trim_end_matches('/').to_owned();
    Ok(Some(Arc::new(Agency { at, token })))
}

/// Why no key came.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(
        "keys are asked for over plain HTTP, and `{0}` is no `http://HOST:PORT`: let what speaks TLS stand between"
    )]
    Address(String),
    #[error("`{at}` does not answer for keys of `{contract}`: {why}")]
    NoAnswer { at: String, contract: ContractRef, why: String },
    #[error("`{at}` refuses keys of `{contract}`: {status} {problem}")]
    Refused { at: String, contract: ContractRef, status: StatusCode, problem: String },
    #[error("`{0}` answers with something else than keys")]
    Answer(String),
    #[error("`{owner}` cannot be looked into: {why}")]
    Vault { owner: ContextId, why: String },
}

impl From<AskError> for PortError {
    fn from(error: AskError) -> PortError {
        PortError::NotApplied(Box::new(error))
    }
}

/// The databases of an owner whose key-encryption key is here.
struct Vaults {
    site: Site,
    owner: ContextId,
    sealer: Sealer,
    databases: OnceCell<Vec<Database>>,
}

impl fmt::Debug for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vaults({})", self.owner)
    }
}

impl Vaults {
    async fn databases(&self) -> Result<&Vec<Database>, AskError> {
        let broken = |why: String| AskError::Vault { owner: self.owner.clone(), why };
        let open = async || {
            let mut databases = Vec::new();
            let all = Compiled::of(&self.site, &self.owner).map_err(|error| broken(error.to_string()))?;
            for compiled in all.iter().filter(|it| it.outlets.is_some()) {
                let opened = self.site.database(&compiled.place, false).await;
                databases.push(opened.map_err(|error| broken(error.to_string()))?);
            }
            Ok(databases)
        };
        self.databases.get_or_try_init(open).await
    }
}

impl Keyholder for Vaults {
    fn ask<'a>(&'a self, contract: &'a ContractRef, ids: &'a [KeyId]) -> Answering<'a> {
        Box::pin(async move {
            let mut keys = Keys::new();
            for database in self.databases().await? {
                keys.extend(self.sealer.look(database, &contract.name.contract, ids).await?);
            }
            Ok(keys)
        })
    }
}

/// The agent of an owner, over HTTP.
struct Agency {
    at: String,
    token: String,
}

impl fmt::Debug for Agency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agency({})", self.at)
    }
}

impl Keyholder for Agency {
    fn ask<'a>(&'a self, contract: &'a ContractRef, ids: &'a [KeyId]) -> Answering<'a> {
        Box::pin(async move {
            let body = Value::from(ids.iter().map(ToString::to_string).collect::<Vec<_>>()).to_string();
            let answer = tokio::time::timeout(PATIENCE, self.post(contract, body)).await;
            let no_answer =
                |why: String| AskError::NoAnswer { at: self.at.clone(), contract: contract.clone(), why };
            let (status, body) = match answer {
                Ok(answer) => answer.map_err(|error| match error {
                    Failed::Address => AskError::Address(self.at.clone()),
                    Failed::Because(why) => no_answer(why),
                })?,
                Err(_) => return Err(no_answer(format!("not within {} seconds", PATIENCE.as_secs())).into()),
            };
            if status != StatusCode::OK {
                let problem = serde_json::from_slice::<Value>(&body).ok();
                let problem = problem.as_ref().and_then(|it| it["detail"].as_str()).unwrap_or_default();
                let (at, problem) = (self.at.clone(), problem.to_owned());
                return Err(AskError::Refused { at, contract: contract.clone(), status, problem }.into());
            }
            Ok(keys(&body).ok_or_else(|| AskError::Answer(self.at.clone()))?)
        })
    }
}

enum Failed {
    Address,
    Because(String),
}

impl Agency {
    async fn post(&self, contract: &ContractRef, body: String) -> Result<(StatusCode, Bytes), Failed> {
        let because = |error: &dyn fmt::Display| Failed::Because(error.to_string());
        let uri: Uri = format!("{}/v1/{contract}/seals", self.at).parse().map_err(|_| Failed::Address)?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or(Failed::Address)?;
        let host = (authority.host().to_owned(), authority.port_u16().unwrap_or(80));
        let stream = TcpStream::connect(host).await.map_err(|error| because(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| because(&error))?;
        let asking = async {
            let request = Request::builder()
                .method(Method::POST)
                .uri(uri.path())
                .header(header::HOST, authority.as_str())
                .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body)))
                .map_err(|error| because(&error))?;
            let answer = sender.send_request(request).await.map_err(|error| because(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| because(&error))?.to_bytes()))
        };
        tokio::pin!(connection);
        tokio::pin!(asking);
        tokio::select! {
            biased;
            answer = &mut asking => answer,
            ended = &mut connection => match ended {
                // The answer is in the channel already, or never comes.
                Ok(()) => asking.await,
                Err(error) => Err(because(&error)),
            },
        }
    }
}

/// Reads `{"keys":{ID: "…"|null}}`.
fn keys(body: &[u8]) -> Option<Keys> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let one = |(id, key): (&String, &Value)| {
        let key = match key {
            Value::Null => None,
            key => Some(Secret::read(key.as_str()?)?),
        };
        Some((id.parse().ok()?, key))
    };
    answer.get("keys")?.as_object()?.iter().map(one).collect()
}

/// Writes keys as they are answered.
pub(crate) fn written(keys: &Keys) -> Vec<u8> {
    let keys: serde_json::Map<String, Value> =
        keys.iter().map(|(id, key)| (id.to_string(), key.as_ref().map(Secret::digits).into())).collect();
    serde_json::json!({ "keys": keys }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{keys, written};
    use seamline_message::seal::{KeyId, Keys, Secret};

    #[test]
    fn keys_are_read_as_they_are_answered() {
        let (one, two) = (KeyId::of([1; 32]), KeyId::of([2; 32]));
        let answered = Keys::from([(one, Some(Secret::of([3; 32]))), (two, None)]);
        assert_eq!(keys(&written(&answered)), Some(answered));
        for other in [
            "",
            "{}",
            "{\"keys\":[]}",
            "{\"keys\":{\"x\":null}}",
            "{\"keys\":{\"01010101010101010101010101010101\":7}}",
        ] {
            assert_eq!(keys(other.as_bytes()), None, "{other}");
        }
    }
}
