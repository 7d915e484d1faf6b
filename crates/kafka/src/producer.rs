//! One transactional producer on a thread of its own: whoever waits for it may go away, it ends what it began.

use crate::properties::{Properties, Said, renewed, say};
use crate::raw::hurry::hurry;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header as Named, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use seamline_flow::log::{Appended, Outgoing};
use seamline_flow::port::PortError;
use seamline_flow::stop;
use seamline_message::mutant::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the thread rests where no acknowledgement has come.
const MOMENT: Duration = Duration::from_micros(200);

/// How long the client is asked at once to send what it gathers.
const HURRY: Duration = Duration::from_millis(1);

/// How long one call of the client waits before it says so and is repeated.
const CALL: Duration = Duration::from_secs(10);
/// How long a fence is waited for.
const FENCE: Duration = Duration::from_secs(60);
/// How often an idle producer serves its client.
const IDLE: Duration = Duration::from_millis(500);
/// Appends that wait for the one under way.
const WAITING_MAX: usize = 16;

/// The end of each partition that an append wrote, by topic.
pub(crate) type Ends = BTreeMap<String, BTreeMap<u32, u64>>;
/// The answer to an append, and what a reader must see from now on.
pub(crate) type Answer = Result<(Appended, Ends), PortError>;

struct Append {
    records: Vec<Outgoing>,
    answer: oneshot::Sender<Answered>,
}

/// The answer to an append, with its records: memory is given back most cheaply by the thread that took it.
type Answered = (Answer, Vec<Outgoing>);

/// The way to a producer's thread. The thread ends when this is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Handle(SyncSender<Append>);

/// The producer has ended: its state was not known any more.
#[derive(Debug, thiserror::Error)]
#[error("the producer ended after an error; take its fence anew")]
struct Ended;

/// A client's error without its configuration.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}{}", said.as_ref().map_or(String::new(), |said| format!(": {said}")))]
struct Broken {
    what: &'static str,
    source: KafkaError,
    /// Why brokers do not answer.
    said: Option<String>,
}

impl Broken {
    fn new(client: &BaseProducer<Deliveries>, what: &'static str, source: KafkaError) -> Broken {
        Broken { what, source, said: client.context().said.get().map(|(_, reason)| reason) }
    }
}

impl Handle {
    /// Starts a producer; it is there once whoever had its name before is shut out.
    pub(crate) async fn start(properties: &Properties, producer: &str) -> Result<Handle, PortError> {
        let config = if mutant::is(Mutant::FenceRemoved) {
            properties.writing(&format!("{producer}/{}", std::process::id()))
        } else {
            properties.writing(producer)
        };
        let (append, appends) = sync_channel(WAITING_MAX);
        let (ready, started) = oneshot::channel();
        let run = move || {
            let client: KafkaResult<BaseProducer<Deliveries>> =
                config.create_with_context(Deliveries::default());
            let mut said = None;
            let begun = client.and_then(|client| {
                // Tokens are renewed by whoever serves the client.
                let begun = served(&client, || client.init_transactions(FENCE));
                said = client.context().said.get().map(|(_, reason)| reason);
                begun.map(|()| client)
            });
            match begun {
                Ok(client) => {
                    if ready.send(Ok(())).is_ok() {
                        serve(&client, &appends);
                    }
                }
                Err(source) => {
                    // Whoever waits may be gone; then nobody needs the answer.
                    drop(ready.send(Err(Broken { what: "take a fence", source, said })));
                }
            }
        };
        let thread = std::thread::Builder::new().name("kafka-producer".to_owned()).spawn(run);
        thread.map_err(|error| PortError::NotApplied(Box::new(error)))?;
        match started.await {
            Ok(Ok(())) => Ok(Handle(append)),
            Ok(Err(broken)) if is_denied(&broken.source) => Err(PortError::NotApplied(Box::new(broken))),
            Ok(Err(broken)) => Err(PortError::Unknown(Box::new(broken))),
            Err(_) => Err(PortError::NotApplied(Box::new(Ended))),
        }
    }

    /// Appends. When this future is dropped the thread still ends the transaction, and the next append comes after it.
    pub(crate) async fn append(&self, records: Vec<Outgoing>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let ended = || PortError::NotApplied(Box::new(Ended));
        self.0.try_send(Append { records, answer }).map_err(|_| ended())?;
        match answered.await {
            Ok((answer, _records)) => answer,
            Err(_) => Err(PortError::Unknown(Box::new(Ended))),
        }
    }
}

fn is_denied(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let denied = [Code::TransactionalIdAuthorizationFailed, Code::ClusterAuthorizationFailed];
    error.rdkafka_error_code().is_some_and(|code| denied.contains(&code))
}

fn serve(client: &BaseProducer<Deliveries>, appends: &Receiver<Append>) {
    loop {
        let Append { records, answer } = match appends.recv_timeout(IDLE) {
            Ok(append) => append,
            Err(RecvTimeoutError::Timeout) => {
                client.poll(Duration::ZERO);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let answered = append(client, &records);
        let usable =
            client.client().fatal_error().is_none() && !matches!(answered, Err(PortError::Unknown(_)));
        let fenced = matches!(answered, Ok((Appended::Fenced, _)));
        // Whoever waits may be gone: the state is here.
        drop(answer.send((answered, records)));
        if fenced {
            return refuse(appends);
        }
        if !usable {
            return;
        }
    }
}

/// Says `Fenced` to all that still comes.
fn refuse(appends: &Receiver<Append>) {
    for append in appends {
        drop(append.answer.send((Ok((Appended::Fenced, Ends::new())), append.records)));
    }
}

/// Why a transaction cannot be committed.
enum Failure {
    Refused { topic: String, code: RDKafkaErrorCode },
    Client(KafkaError),
}

fn append(client: &BaseProducer<Deliveries>, records: &[Outgoing]) -> Answer {
    if records.is_empty() {
        return Ok((Appended::Done, Ends::new()));
    }
    client.context().begin();
    if let Err(error) = client.begin_transaction() {
        return fenced_or(client, &error)
            .unwrap_or_else(|| not_applied(client, "begin a transaction", error));
    }
    if let Err(failure) = produce(client, records) {
        return abort(client, cause(client, records, failure));
    }
    stop::here("produced");
    commit(client)
}

/// Returns the refusal behind a failure: records of a transaction that a topic refuses are only said to be purged.
fn cause(client: &BaseProducer<Deliveries>, records: &[Outgoing], failure: Failure) -> Failure {
    let Failure::Client(_) = &failure else { return failure };
    // A transaction under way is not begun; what is told is why it can only be aborted.
    let code = client.begin_transaction().err().and_then(|error| error.rdkafka_error_code());
    let Some(code) = code.filter(|code| is_refusal(*code)) else { return failure };
    let topics: BTreeSet<&str> = records.iter().map(|record| record.topic.as_str()).collect();
    let topics: Vec<&str> = topics.into_iter().collect();
    Failure::Refused { topic: topics.join(" or "), code }
}

/// How many headers a record of ours has at most.
const HEADERS: usize = 16;

/// Hands all records to the broker, and waits until each is acknowledged.
fn produce(client: &BaseProducer<Deliveries>, records: &[Outgoing]) -> Result<(), Failure> {
    for record in records {
        let mut headers = OwnedHeaders::new_with_capacity(HEADERS);
        for (key, value) in &record.headers {
            headers = headers.insert(Named { key: &String::from_utf8_lossy(key), value });
        }
        let mut next =
            BaseRecord::to(&record.topic).partition(record.partition.cast_signed()).headers(headers);
        next.key = record.key.as_deref();
        next.payload = record.value.as_deref();
        while let Err((error, back)) = client.send(next) {
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => pump(client),
                Some(code) if is_refusal(code) => {
                    return Err(Failure::Refused { topic: record.topic.clone(), code });
                }
                _ => return Err(Failure::Client(error)),
            }
            next = back;
        }
    }
    while client.in_flight_count() > 0 {
        // The client's own flush takes what came every tenth of a second only.
        hurry(client.client(), HURRY);
        client.poll(Duration::ZERO);
        client.context().failure()?;
    }
    client.context().failure()
}

fn commit(client: &BaseProducer<Deliveries>) -> Answer {
    loop {
        let Err(error) = client.commit_transaction(CALL) else {
            stop::here("committed");
            return Ok((Appended::Done, client.context().take()));
        };
        match &error {
            KafkaError::Transaction(said) if said.is_retriable() => {
                tracing::warn!(%error, "a commit to Kafka has no answer yet; it is asked for again");
                client.poll(Duration::ZERO);
            }
            // An earlier answer may be lost, of the client's own trials too: neither a fence that came after it nor a request
            // to abort tells what the commit did.
            _ => return Err(PortError::Unknown(Box::new(Broken::new(client, "commit", error)))),
        }
    }
}

/// Ends a transaction that surely was not committed.
fn abort(client: &BaseProducer<Deliveries>, failure: Failure) -> Answer {
    loop {
        let Err(error) = served(client, || client.abort_transaction(CALL)) else { break };
        match &error {
            KafkaError::Transaction(said) if said.is_retriable() && !said.is_fatal() => {
                tracing::warn!(%error, "a transaction of Kafka is not aborted yet; it is asked for again");
            }
            // It was never asked to commit: the next fence aborts it, or the broker in time. A broker that let no
            // topic into the transaction knows of none to abort.
            _ => match fenced_or(client, &error) {
                Some(fenced) => return fenced,
                None => break,
            },
        }
    }
    match failure {
        Failure::Refused { topic, code } => {
            Ok((Appended::Refused { topic, reason: code.to_string() }, Ends::new()))
        }
        Failure::Client(error) => {
            fenced_or(client, &error).unwrap_or_else(|| not_applied(client, "append", error))
        }
    }
}

/// Takes what became of records, where something is there; else rests for a moment. The client's own waiting would keep a
/// processor busy through the last millisecond of its time.
fn pump(client: &BaseProducer<Deliveries>) {
    let before = client.in_flight_count();
    client.poll(Duration::ZERO);
    if client.in_flight_count() >= before {
        std::thread::sleep(MOMENT);
    }
}

/// Runs a call that waits until what became of each record was taken, and takes it meanwhile.
fn served<T: Send>(client: &BaseProducer<Deliveries>, call: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let call = scope.spawn(call);
        while !call.is_finished() {
            pump(client);
        }
        call.join().expect("a call of the client does not panic")
    })
}

fn not_applied(client: &BaseProducer<Deliveries>, what: &'static str, source: KafkaError) -> Answer {
    Err(PortError::NotApplied(Box::new(Broken::new(client, what, source))))
}

/// Returns `Fenced` when that is why a producer is of no use any more.
fn fenced_or(client: &BaseProducer<Deliveries>, error: &KafkaError) -> Option<Answer> {
    use RDKafkaErrorCode as Code;
    let fatal = client.client().fatal_error().map(|(code, _)| code);
    let is_fence = |code| matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch);
    let fenced = error.rdkafka_error_code().is_some_and(is_fence) || fatal.is_some_and(is_fence);
    fenced.then(|| Ok((Appended::Fenced, Ends::new())))
}

/// Returns whether a topic says no for good.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed
            | Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidRecord
            | Code::PolicyViolation
    )
}

/// What became of the records of the transaction under way.
#[derive(Debug, Default)]
struct Deliveries {
    delivered: Mutex<Delivered>,
    said: Said,
}

#[derive(Debug, Default)]
struct Delivered {
    ends: Ends,
    failed: Option<(String, RDKafkaErrorCode)>,
}

impl Deliveries {
    fn begin(&self) {
        *self.delivered.lock().unwrap_or_else(PoisonError::into_inner) = Delivered::default();
        self.said.forget();
    }

    fn failure(&self) -> Result<(), Failure> {
        match &self.delivered.lock().unwrap_or_else(PoisonError::into_inner).failed {
            None => Ok(()),
            Some((topic, code)) if is_refusal(*code) => {
                Err(Failure::Refused { topic: topic.clone(), code: *code })
            }
            Some((_, code)) => Err(Failure::Client(KafkaError::MessageProduction(*code))),
        }
    }

    fn take(&self) -> Ends {
        std::mem::take(&mut *self.delivered.lock().unwrap_or_else(PoisonError::into_inner)).ends
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        renewed(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        say(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.said.keep(&error, reason);
        tracing::debug!(%error, reason, "the producer met an error");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                let end = u64::try_from(message.offset()).unwrap_or(0) + 1;
                let partition = message.partition().cast_unsigned();
                match delivered.ends.get_mut(message.topic()).and_then(|ends| ends.get_mut(&partition)) {
                    Some(known) => *known = end.max(*known),
                    None => {
                        let ends = delivered.ends.entry(message.topic().to_owned()).or_default();
                        ends.insert(partition, end);
                    }
                }
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                // A refusal says more than what was purged because of it.
                let told = delivered.failed.as_ref().is_some_and(|(_, told)| is_refusal(*told));
                if !told && (delivered.failed.is_none() || is_refusal(code)) {
                    delivered.failed = Some((message.topic().to_owned(), code));
                }
            }
        }
    }
}
