//! The properties of the connection, by librdkafka's names: which are refused, and which are ours.

use crate::open::OpenError;
use crate::token;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// What this adapter decides itself, and why.
const REFUSED: [(&str, &str); 22] = [
    ("transactional.id", "it is the name of the producer, and its fence"),
    ("enable.idempotence", "appends are transactions, which need it"),
    ("acks", "an append is done when all replicas in sync have it"),
    ("request.required.acks", "an append is done when all replicas in sync have it"),
    ("isolation.level", "only committed records are read"),
    ("auto.offset.reset", "a position that is gone is told, never moved"),
    ("enable.auto.commit", "positions are in the consumer's database"),
    ("enable.auto.offset.store", "positions are in the consumer's database"),
    ("auto.commit.interval.ms", "positions are in the consumer's database"),
    ("enable.partition.eof", "the end of a partition must be told"),
    ("partitioner", "the partition is chosen from the record key"),
    ("max.in.flight", "order is kept by at most five requests under way"),
    ("max.in.flight.requests.per.connection", "order is kept by at most five requests under way"),
    ("message.timeout.ms", "a message must not be given up while later ones pass"),
    ("delivery.timeout.ms", "a message must not be given up while later ones pass"),
    ("retries", "a message must not be given up while later ones pass"),
    ("message.send.max.retries", "a message must not be given up while later ones pass"),
    ("allow.auto.create.topics", "topics are made from the contracts"),
    ("check.crcs", "what is read is checked"),
    ("plugin.library.paths", "no foreign code is loaded"),
    ("queuing.strategy", "order is kept"),
    ("enable.gapless.guarantee", "a gap ends the transaction, not the producer"),
];

/// Words in the names of properties whose values are secret.
const SECRET: [&str; 6] = ["password", "secret", "key", "token", "assertion", "oauthbearer.config"];

/// The properties of a connection. What they hold is never printed.
#[derive(Clone)]
pub struct Properties(Vec<(String, String)>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Properties {
    /// Reads properties by librdkafka's names.
    ///
    /// # Errors
    /// The first that is unknown, has a wrong value or is not the user's to set; and when `bootstrap.servers` is not there.
    pub fn new(pairs: &[(String, String)]) -> Result<Properties, OpenError> {
        for (name, value) in pairs {
            let refused = REFUSED.iter().find(|(refused, _)| refused == name).map(|(_, why)| *why);
            let group = (name.starts_with("group.") || name == "client.rack.group")
                .then_some("partitions are shared out by leases in the consumer's database");
            if let Some(why) = refused.or(group) {
                return Err(OpenError::Refused { name: name.clone(), why });
            }
            let mut one = ClientConfig::new();
            if let Err(error) = one.set(name, value).create_native_config() {
                return Err(wrong(name, value, error));
            }
        }
        if !pairs.iter().any(|(name, _)| name == "bootstrap.servers" || name == "metadata.broker.list") {
            return Err(OpenError::NoServers);
        }
        Ok(Properties(pairs.to_vec()))
    }

    /// Returns a text in which no secret of these properties stands.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        let secrets = self.0.iter().filter(|(name, value)| is_secret(name) && !value.is_empty());
        secrets.fold(text.to_owned(), |text, (_, secret)| text.replace(secret, "…"))
    }

    fn over(&self, config: &mut ClientConfig) {
        // A broker that is back, or takes a new token, is found again in seconds.
        config.set("reconnect.backoff.max.ms", "2000");
        config.set("client.id", "seamline").set("log.connection.close", "false");
        for (name, value) in &self.0 {
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
    }

    /// Returns the configuration of a client that reads: committed records, no group, little memory for each partition.
    pub(crate) fn reading(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // With a queue for each partition these bound each partition. What is fetched is compressed; the queue is not.
        config.set("queued.max.messages.kbytes", "512").set("fetch.message.max.bytes", "65536");
        config
            .set("fetch.max.bytes", "4194304")
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.wait.max.ms", "100");
        self.over(&mut config);
        config.set("isolation.level", "read_committed").set("auto.offset.reset", "error");
        config.set("enable.partition.eof", "true").set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false").set("check.crcs", "true");
        config
    }

    /// Returns the configuration of a producer of that name.
    pub(crate) fn writing(&self, producer: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Who reads unpacks a batch as a whole: its size is what every partition of every reader holds.
        config.set("compression.type", "lz4").set("linger.ms", "5").set("batch.size", "250000");
        config.set("queue.buffering.max.kbytes", "32768").set("transaction.timeout.ms", "30000");
        // How large a message may be is a setting of its topic.
        config.set("message.max.bytes", "1000000000");
        // A topic that went away is told in seconds.
        config.set("topic.metadata.propagation.max.ms", "5000");
        self.over(&mut config);
        config.set("transactional.id", producer).set("enable.idempotence", "true").set("acks", "all");
        config.set("max.in.flight.requests.per.connection", "5");
        config
    }
}

fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|word| name.contains(word)) && !name.ends_with(".location")
}

fn wrong(name: &str, value: &str, error: KafkaError) -> OpenError {
    let why = match error {
        KafkaError::ClientConfig(_, why, _, _) => why,
        error => error.to_string(),
    };
    let name = name.to_owned();
    if why.starts_with("No such configuration property") {
        return OpenError::Unknown(name);
    }
    let why = if is_secret(&name) && !value.is_empty() { why.replace(value, "…") } else { why };
    OpenError::Wrong { name, why }
}

/// Takes what a client has to say into our own log, and keeps why its brokers do not answer.
#[derive(Debug, Default)]
pub(crate) struct Quiet(Said);

/// The last error that tells why brokers do not answer.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl Said {
    /// Keeps an error, unless one that tells more is there.
    pub(crate) fn keep(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rank = |code| match code {
            RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::SSL => 2,
            RDKafkaErrorCode::AllBrokersDown => 0,
            _ => 1,
        };
        if said.as_ref().is_none_or(|(before, _)| rank(code) >= rank(*before)) {
            *said = Some((code, reason.to_owned()));
        }
    }

    /// Forgets it: what comes after is another matter.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the error kept.
    pub(crate) fn get(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Quiet {
    /// Returns why brokers do not answer.
    pub(crate) fn said(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.0.get()
    }
}

/// Returns why nobody answers, by what the client met so far.
pub(crate) fn why(said: Option<(RDKafkaErrorCode, String)>, properties: &Properties) -> OpenError {
    let Some((code, reason)) = said else { return OpenError::Unreachable(None) };
    let reason = properties.without_secrets(&reason);
    match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            OpenError::Denied(reason)
        }
        RDKafkaErrorCode::SSL => OpenError::Untrusted(reason),
        // By TLS 1.3 a broker that wants our certificate says so only after the handshake: what it sent is an alert.
        _ if reason.contains("SSL routines") => OpenError::Untrusted(reason),
        _ => OpenError::Unreachable(Some(reason)),
    }
}

/// A client that reads.
pub(crate) type Reading = BaseConsumer<Quiet>;

/// Makes a client that reads.
pub(crate) fn reading(properties: &Properties) -> KafkaResult<Reading> {
    properties.reading().create_with_context(Quiet::default())
}

/// Serves what waits in the client's own queue: log lines, errors, tokens. Never blocks.
pub(crate) fn serve(client: &Reading) {
    // Records come by queues of their own; an error is said by the context.
    drop(client.poll(std::time::Duration::ZERO));
}

/// Returns a token in place of one that ends.
pub(crate) fn renewed(config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
    Ok(token::unsecured(config, jiff::Timestamp::now())?)
}

impl ClientContext for Quiet {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        renewed(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        say(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.keep(&error, reason);
        tracing::debug!(%error, reason, "the client met an error");
    }
}

impl ConsumerContext for Quiet {}

/// Writes a line of the client's log into ours.
pub(crate) fn say(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, text, "the client reports an error");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(facility, text, "the client reports")
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, text, "the client reports")
        }
    }
}
