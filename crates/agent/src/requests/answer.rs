//! The answers to requests: a body with how long it stays fresh, or a problem (RFC 9457). One list decides status, retry and words.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seamline_flow::port::PortError;
use seamline_message::digest::{DigestKey, Domain, digest};
use serde_json::json;
use std::time::Duration;

/// Bodies are digested to be told apart, not to hide anything.
const KEY: DigestKey = DigestKey([0; 32]);

/// What was found.
pub(super) struct Answered {
    /// Canonical JSON.
    pub(super) body: Vec<u8>,
    /// How old it may be when it is used; none: not promised.
    pub(super) fresh: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing is here.
    NoRoute,
    /// Who asks is not known.
    NoToken,
    /// It may not read that; what it may, by name.
    NotEntitled(String),
    /// The contract is not offered; what is, by name.
    NoContract(String),
    /// It is no key of the contract, and why.
    Key(String),
    /// The limit is none.
    Limit,
    /// They are no ids of keys, or too many.
    Ids,
    /// There is no such key.
    NoKey,
    /// Too many are asking.
    Busy,
    /// The database gives no answer.
    NoAnswer,
    /// What is there breaks the contract.
    Broken,
}

impl Fault {
    /// The database's own words are for the log alone.
    pub(super) fn no_answer(error: PortError) -> Fault {
        tracing::warn!(error = %error, "a request could not be answered");
        Fault::NoAnswer
    }

    /// Returns status, code, what it means, and after how many seconds to come back.
    fn facts(&self) -> (StatusCode, &'static str, String, Option<u32>) {
        let named = |names: &str, some: &str, none: &str| match names {
            "" => none.to_owned(),
            names => format!("{some}: {names}"),
        };
        match self {
            Fault::NoRoute => {
                let help = "ask for /v1/CONTEXT/CONTRACT@MAJOR/keys/KEY, or leave KEY out for a page";
                (StatusCode::NOT_FOUND, "no-route", help.to_owned(), None)
            }
            Fault::NoToken => {
                let help = "send the token of your context as `Authorization: Bearer …`";
                (StatusCode::UNAUTHORIZED, "no-token", help.to_owned(), None)
            }
            Fault::NotEntitled(views) => {
                let text = named(
                    views,
                    "ask for a view that is for you with `?view=`",
                    "no view is for your context",
                );
                (StatusCode::FORBIDDEN, "not-entitled", text, None)
            }
            Fault::NoContract(offered) => {
                let text = named(offered, "these are offered here", "nothing is offered here");
                (StatusCode::NOT_FOUND, "no-contract", text, None)
            }
            Fault::Key(why) => {
                let text = format!("the key is {why}; write it as a JSON array of texts, percent-encoded");
                (StatusCode::BAD_REQUEST, "bad-key", text, None)
            }
            Fault::Limit => {
                let text = format!("`limit` is a number from 1 to {}", super::PAGE_MAX);
                (StatusCode::BAD_REQUEST, "bad-limit", text, None)
            }
            Fault::Ids => {
                let text = format!(
                    "send a JSON array of ids of keys, 32 digits each, at most {}",
                    seamline_flow::seal::KEYS_MAX
                );
                (StatusCode::BAD_REQUEST, "bad-ids", text, None)
            }
            Fault::NoKey => (StatusCode::NOT_FOUND, "no-key", "there is no such key".to_owned(), None),
            Fault::Busy => {
                let text = "more are asking than are answered at once".to_owned();
                (StatusCode::TOO_MANY_REQUESTS, "busy", text, Some(1))
            }
            Fault::NoAnswer => {
                let text = "the owner's database gives no answer".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "no-answer", text, Some(5))
            }
            Fault::Broken => {
                let text = "what the owner holds breaks its contract, and is not told".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "broken-state", text, None)
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, code, detail, retry) = self.facts();
        let problem = json!({
            "type": format!("urn:seamline:problem:{code}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
        });
        let headers =
            [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (status, headers, problem.to_string()).into_response();
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Returns what was found, or that it is what the asker has already.
pub(super) fn answered(answer: Answered, known: Option<&HeaderValue>) -> Response {
    let tag = format!("\"{:032x}\"", digest(&KEY, Domain::Raw, &[], &answer.body).0);
    // Two contexts get two answers at one address.
    let cached = match answer.fresh.map(|span| span.as_secs()) {
        Some(seconds) if seconds > 0 => format!("private, max-age={seconds}"),
        _ => "private, no-cache".to_owned(),
    };
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, cached),
        (header::VARY, "authorization".to_owned()),
        (header::ETAG, tag.clone()),
    ];
    let known = known.and_then(|known| known.to_str().ok()).unwrap_or_default();
    if known.split(',').map(str::trim).any(|known| known == tag || known == "*") {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, answer.body).into_response()
}
