//! Reads environments.

use super::header::file_name;
use super::{At, Fields, One, Reader};
use crate::rule;
use crate::schema;
use seamline_contract::channel::DEFAULT_TOPICS;
use seamline_contract::environment::{Environment, Generations, LogPlace, Place, RelayBy};
use seamline_contract::finding::Finding;
use seamline_contract::id::{ContractRef, IdError};

/// Properties of librdkafka that hold a secret; what they are called by besides has none.
const SECRET_PROPERTIES: [&str; 8] = [
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
];

const RELAYS: [(&str, RelayBy); 2] = [("queue", RelayBy::Queue), ("replication", RelayBy::Replication)];

/// Reads an environment; none when its id or its log is not known.
pub(crate) fn environment<'n>(reader: &mut Reader<'n>, top: &At<'n>) -> Option<Environment> {
    let fields = reader.fields(top, &schema::estate::ENVIRONMENT)?;
    let id = reader.id(top, &file_name(reader.document));
    let systems = reader.opt(&fields, "systems", |reader, at| {
        let systems = reader.each(at, "`systems`").into_iter();
        Some(systems.filter_map(|(name, at)| place(reader, name, &at)).collect())
    });
    let variables = reader.opt(&fields, "variables", |reader, at| Some(texts(reader, at, "`variables`")));
    let log_fields = reader.opt(&fields, "log", |reader, at| reader.fields(at, &schema::estate::LOG));
    let log = log_fields.as_ref().and_then(|log_fields| log(reader, log_fields));
    let number = |reader: &mut Reader<'n>, key: &str, default: u32| {
        let fields = log_fields.as_ref()?;
        Some(reader.opt(fields, key, |reader, at| reader.number(at, 1)).unwrap_or(default))
    };
    let partitions = number(reader, "partitions", 12);
    let replicas = number(reader, "replicas", 3);
    let generations = log_fields.as_ref().and_then(|fields| {
        reader.opt(fields, "generations", |reader, at| {
            let named = reader.each_named::<ContractRef>(at, "`generations`").into_iter();
            Some(named.filter_map(|(contract, at)| generations(reader, contract, &at)).collect())
        })
    });
    let topics = log_fields.as_ref().and_then(|fields| reader.opt(fields, "topics", Reader::verbatim));
    let hub = reader.opt(&fields, "hub", |reader, at| {
        let fields = reader.fields(at, &schema::estate::HUB)?;
        let url = reader.opt(&fields, "url", Reader::verbatim);
        let token = reader.opt(&fields, "token", secret);
        Some((url?, token))
    });
    Some(Environment {
        document: reader.document.clone(),
        id: id?,
        systems: systems.unwrap_or_default(),
        variables: variables.unwrap_or_default(),
        log: log?,
        topics: topics.unwrap_or_else(|| DEFAULT_TOPICS.to_owned()),
        partitions: partitions?,
        replicas: replicas?,
        generations: generations.unwrap_or_default(),
        hub,
    })
}

fn place<'n>(reader: &mut Reader<'n>, name: &str, at: &At<'n>) -> Option<Place> {
    let ids = name
        .split_once('/')
        .and_then(|(context, system)| Some((context.parse().ok()?, system.parse().ok()?)));
    if ids.is_none() {
        let error = IdError { text: name.to_owned(), expected: "a system such as `claims/claims-db`" };
        reader.report(Finding::new(rule::VALUE, at.path.clone().the_key(), error.to_string()));
    }
    let fields = reader.fields(at, &schema::estate::PLACE)?;
    let url = reader.opt(&fields, "url", |reader, at| {
        let url = reader.verbatim(at)?;
        refuse_password_in_url(reader, at, &url);
        Some(url)
    });
    let user = reader.opt(&fields, "user", Reader::verbatim);
    let password = reader.opt(&fields, "password", secret);
    let schema = reader.opt(&fields, "schema", Reader::verbatim);
    let relay = reader.opt(&fields, "relay", |reader, at| reader.keyword(at, &RELAYS)).unwrap_or_default();
    let (context, system) = ids?;
    Some(Place { context, system, url: url?, user, password, schema, relay })
}

/// A URL such as `postgres://user:secret@host` or `postgres://host/database?password=secret` holds a literal secret.
fn refuse_password_in_url<'n>(reader: &mut Reader<'n>, at: &At<'n>, url: &str) {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters).split('&');
    let given = parameters.filter_map(|it| it.strip_prefix("password=").or(it.strip_prefix("sslpassword=")));
    let passwords = user.split_once(':').map(|(_, password)| password).into_iter().chain(given);
    if passwords.into_iter().any(|password| !is_reference(password)) {
        literal_secret(reader, at);
    }
}

/// Reads a secret, which is named and never written.
fn secret<'n>(reader: &mut Reader<'n>, at: &At<'n>) -> Option<String> {
    let text = reader.verbatim(at)?;
    if !is_reference(&text) {
        literal_secret(reader, at);
    }
    Some(text)
}

fn is_reference(text: &str) -> bool {
    text.starts_with("${") && text.ends_with('}')
}

fn literal_secret<'n>(reader: &mut Reader<'n>, at: &At<'n>) {
    let finding = Finding::new(rule::VALUE, at.path.clone(), "a secret is written here");
    reader.report(
        finding.help("name it, `${NAME}`: the variable NAME or the file that NAME_FILE names holds it"),
    );
}

/// The highest number of a generation: one that is higher is a slip of the hand.
const GENERATION_MAX: u32 = 999;

/// Reads the generations of a contract's topics. Numbers are never given twice, and the one that is read is written.
fn generations<'n>(reader: &mut Reader<'n>, contract: ContractRef, at: &At<'n>) -> Option<Generations> {
    let fields = reader.fields(at, &schema::estate::GENERATIONS)?;
    let mut alive: Vec<(u32, u32)> = Vec::new();
    for (number, at) in fields.get("alive").map(|at| reader.each(&at, "`alive`")).unwrap_or_default() {
        let parsed = number.parse().ok().filter(|it| (1..=GENERATION_MAX).contains(it));
        let Some(parsed) = parsed.filter(|it: &u32| it.to_string() == number) else {
            let message = format!("`{number}` is no number of a generation, from 1 to {GENERATION_MAX}");
            reader.report(Finding::new(rule::VALUE, at.path.the_key(), message));
            continue;
        };
        alive.extend(reader.number(&at, 1).map(|partitions| (parsed, partitions)));
    }
    alive.sort_unstable();
    let read = reader.opt(&fields, "read", |reader, at| reader.number(at, 1))?;
    let ended = reader
        .opt(&fields, "ended", |reader, at| reader.list(at, One::May, |reader, at| reader.number(at, 1)));
    let mut ended: Vec<u32> = ended.unwrap_or_default();
    ended.sort_unstable();
    if let Some(both) = ended.iter().find(|it| alive.iter().any(|(number, _)| number == *it)) {
        let message = format!("generation {both} is both alive and ended");
        let finding = Finding::new(rule::VALUE, at.path.clone().key("ended"), message);
        reader.report(finding.help("a generation that ended never comes back: begin the next one"));
        return None;
    }
    if !alive.iter().any(|(number, _)| *number == read) {
        let message =
            format!("generation {read} is read and not alive: nothing would be written to what is read");
        let finding = Finding::new(rule::VALUE, at.path.clone().key("read"), message);
        reader.report(finding.help("name it under `alive` with its partitions, or read one that is there"));
        return None;
    }
    Some(Generations { contract, read, alive, ended })
}

fn texts<'n>(reader: &mut Reader<'n>, at: &At<'n>, what: &str) -> Vec<(String, String)> {
    let entries = reader.each(at, what).into_iter();
    entries.filter_map(|(name, at)| Some((name.to_owned(), reader.verbatim(&at)?))).collect()
}

fn log<'n>(reader: &mut Reader<'n>, fields: &Fields<'n>) -> Option<LogPlace> {
    match (fields.get("embedded"), fields.get("kafka")) {
        (Some(embedded), None) => reader.verbatim(&embedded).map(|path| LogPlace::Embedded { path }),
        (None, Some(kafka)) => {
            for (property, at) in reader.each(&kafka, "`kafka`") {
                if SECRET_PROPERTIES.contains(&property) {
                    secret(reader, &at);
                }
            }
            Some(LogPlace::Kafka { properties: texts(reader, &kafka, "`kafka`") })
        }
        (both, _) => {
            let message = if both.is_some() {
                "a log is embedded or Kafka, not both"
            } else {
                "a log is embedded or Kafka"
            };
            let finding = Finding::new(rule::REQUIRED, fields.at.path.clone().the_key(), message);
            reader.report(finding.help("write `embedded:` with a path, or `kafka:` with properties"));
            None
        }
    }
}
