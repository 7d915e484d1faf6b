//! Why a broker cannot be reached or refuses us, and what to do next.

use std::time::Duration;

/// How long the broker may take for an answer about topics.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Why Apache Kafka cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// librdkafka has no such property.
    #[error("there is no property `{0}`")]
    Unknown(String),
    /// The value is wrong.
    #[error("the property `{name}` is wrong: {why}")]
    Wrong {
        /// The property.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The property is not the user's.
    #[error("the property `{name}` cannot be set: {why}")]
    Refused {
        /// The property.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// No broker is named.
    #[error("no broker is named")]
    NoServers,
    /// The properties do not fit together, or a file is not there.
    #[error("the client cannot be made: {0}")]
    Client(String),
    /// A broker answers, and lets nobody in with these properties.
    #[error("the broker lets nobody in with this name and password, or token: {0}")]
    Denied(String),
    /// One of both sides does not trust the other.
    #[error("no secure connection to the broker comes about: {0}")]
    Untrusted(String),
    /// No broker answers.
    #[error("no broker answers within {} seconds{}", PATIENCE.as_secs(), told(.0))]
    Unreachable(Option<String>),
}

fn told(why: &Option<String>) -> String {
    why.as_ref().map_or(String::new(), |why| format!(": {why}"))
}

impl OpenError {
    /// Returns what to do next.
    pub fn help(&self) -> &'static str {
        match self {
            OpenError::Unknown(_) => "properties have librdkafka's names: see its CONFIGURATION.md",
            OpenError::Wrong { .. } => "see librdkafka's CONFIGURATION.md for what it takes",
            OpenError::Refused { .. } => "remove it",
            OpenError::NoServers => "set `bootstrap.servers` to `host:port,host:port`",
            OpenError::Client(_) => "see what it says: files must be there and readable, passwords must fit",
            OpenError::Denied(_) => {
                "check `sasl.mechanism`, `sasl.username` and `sasl.password`, or the token, against the broker's users"
            }
            OpenError::Untrusted(_) => {
                "check `ssl.ca.location`, the host's name in the broker's certificate, both certificates' dates, \
                 and `ssl.certificate.location` with `ssl.key.location` where the broker asks for ours"
            }
            OpenError::Unreachable(_) => {
                "check `bootstrap.servers` and `security.protocol`; the client's own lines are in the log"
            }
        }
    }
}
