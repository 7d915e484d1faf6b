//! Security: who is let in, what is told to whom is not, and which rights are enough.

use crate::broker::{Broker, java, run};
use crate::fixture::{kept, record, values};
use seamline_flow::log::{Appended, Fetched, Log};
use seamline_flow::sweep::Sweep;
use seamline_kafka::access;
use seamline_kafka::log::KafkaLog;
use seamline_kafka::open::OpenError;
use seamline_kafka::properties::Properties;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PASSWORD: &str = "correct-horse";

const LISTENERS: [(&str, &str); 5] = [
    ("TLS", "SSL"),
    ("MUTUAL", "SSL"),
    ("EXPIRED", "SSL"),
    ("USERS", "SASL_SSL"),
    ("TOKEN", "SASL_PLAINTEXT"),
];

const SECURITY: &str = r#"
ssl.keystore.type=PEM
ssl.keystore.location=broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=ca.pem
listener.name.mutual.ssl.client.auth=required
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location=expired.pem
listener.name.users.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.users.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_claims="correct-horse" user_whole="correct-horse" user_nameless="correct-horse" user_writeless="correct-horse" user_readless="correct-horse";
listener.name.users.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.users.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.token.oauthbearer.connections.max.reauth.ms=3600000
listener.name.token.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker" unsecuredValidatorRequiredScope="log";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:claims;User:CN=claims
"#;

fn openssl(folder: &Path, args: &str) {
    run(Command::new("openssl").args(args.split(' ')), folder);
}

/// Makes an authority, certificates of the broker and of a client that it signed, and an authority nobody knows.
fn certificates(folder: &Path) {
    for authority in ["ca", "stranger"] {
        let args = "req -x509 -newkey rsa:2048 -nodes -days 2";
        openssl(
            folder,
            &format!("{args} -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"),
        );
    }
    for (name, days) in [("broker", 2), ("expired", -1), ("claims", 2)] {
        let args = "req -newkey rsa:2048 -nodes -addext subjectAltName=IP:127.0.0.1";
        openssl(folder, &format!("{args} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        let args = "x509 -req -CA ca.pem -CAkey ca.key -copy_extensions copy";
        openssl(folder, &format!("{args} -days {days} -in {name}.csr -out {name}.crt"));
        let read = |kind: &str| std::fs::read_to_string(folder.join(format!("{name}.{kind}"))).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), read("key") + &read("crt")).unwrap();
    }
}

fn secured() -> Broker {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let scram = |mechanism: &str| format!("{mechanism}=[name=claims,password={PASSWORD}]");
    let (short, long) = (scram("SCRAM-SHA-256"), scram("SCRAM-SHA-512"));
    Broker::start_with(folder, &LISTENERS, SECURITY, &["--add-scram", &short, "--add-scram", &long])
}

/// Returns the properties of a client in the broker's folder: files are named below it.
fn properties(broker: &Broker, listener: &str, pairs: &str) -> Properties {
    let mut all = vec![("bootstrap.servers".to_owned(), broker.at(listener))];
    for pair in pairs.split(';').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        let file = broker.folder.path().join(value).display().to_string();
        all.push((name.to_owned(), if name.ends_with("location") { file } else { value.to_owned() }));
    }
    Properties::new(&all).unwrap()
}

const TLS: &str = "security.protocol=ssl;ssl.ca.location=ca.pem";
const MUTUAL: &str = "security.protocol=ssl;ssl.ca.location=ca.pem;ssl.certificate.location=claims.crt;\
                      ssl.key.location=claims.key";

fn password(mechanism: &str, user: &str, password: &str) -> String {
    format!(
        "security.protocol=sasl_ssl;ssl.ca.location=ca.pem;sasl.mechanism={mechanism};\
         sasl.username={user};sasl.password={password}"
    )
}

fn token(claims: &str) -> String {
    format!(
        "security.protocol=sasl_plaintext;sasl.mechanism=OAUTHBEARER;\
         enable.sasl.oauthbearer.unsecure.jwt=true;sasl.oauthbearer.config={claims}"
    )
}

/// Opens, creates, appends and reads.
async fn works(broker: &Broker, listener: &str, pairs: &str, topic: &str) -> KafkaLog {
    let log = KafkaLog::open(&properties(broker, listener, pairs), 1).await.unwrap();
    let spec = kept(topic, 1);
    let identity = log.create(&spec).await.unwrap();
    assert_eq!(log.check(&spec).await.unwrap(), []);
    let fence = log.fence(topic).await.unwrap();
    assert_eq!(log.append(&fence, vec![record(topic, 0, "k", b"v")]).await.unwrap(), Appended::Done);
    assert_eq!(values(&log, &identity, 0).await, ["v"]);
    log
}

/// Returns why nobody is let in, which is told soon and tells no secret.
async fn refused(broker: &Broker, listener: &str, pairs: &str, secret: &str) -> OpenError {
    let begun = Instant::now();
    let error = KafkaLog::open(&properties(broker, listener, pairs), 1).await.unwrap_err();
    let said = format!("{error} {error:?} {}", error.help());
    eprintln!("{listener} after {:?}: {error}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(13), "{said}");
    assert!(!said.contains(secret), "{said}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(jars_here), ignore = "not run: needs Kafka's jars in SEAMLINE_KAFKA_LIBS, java and openssl")]
async fn whoever_shows_what_the_broker_asks_for_is_let_in_and_others_are_told_why() {
    let broker = secured();
    works(&broker, "TLS", TLS, "tls").await;
    works(&broker, "MUTUAL", MUTUAL, "mutual").await;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        works(&broker, "USERS", &password(mechanism, "claims", PASSWORD), mechanism).await;
        let wrong = password(mechanism, "claims", "wrong-horse");
        let error = refused(&broker, "USERS", &wrong, "wrong-horse").await;
        assert!(matches!(&error, OpenError::Denied(why) if why.contains("uthentication")), "{error}");
    }
    let stranger = TLS.replace("ca.pem", "stranger.pem");
    let mistrusted = refused(&broker, "TLS", &stranger, "PRIVATE KEY").await;
    assert!(matches!(&mistrusted, OpenError::Untrusted(why) if why.contains("verif")), "{mistrusted}");
    let expired = refused(&broker, "EXPIRED", TLS, "PRIVATE KEY").await;
    assert!(matches!(&expired, OpenError::Untrusted(why) if why.contains("verif")), "{expired}");
    assert!(expired.help().contains("dates"), "the client does not say more");
    let nobody = refused(&broker, "MUTUAL", TLS, "PRIVATE KEY").await;
    assert!(matches!(&nobody, OpenError::Untrusted(why) if why.contains("certificate")), "{nobody}");
    let plain = refused(&broker, "TLS", "", "PRIVATE KEY").await;
    assert!(plain.help().contains("security.protocol"), "{plain}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(jars_here), ignore = "not run: needs Kafka's jars in SEAMLINE_KAFKA_LIBS, java and openssl")]
async fn a_token_is_renewed_before_it_ends_and_a_wrong_one_is_told() {
    let broker = secured();
    let wrong = refused(&broker, "TOKEN", &token("principal=claims scope=other"), "eyJ").await;
    assert!(matches!(&wrong, OpenError::Denied(_)), "{wrong}");
    let life = Duration::from_secs(6);
    let claims = token(&format!("principal=claims scope=log lifeSeconds={}", life.as_secs()));
    let log = works(&broker, "TOKEN", &claims, "token").await;
    let identity = log.topic("token").await.unwrap().unwrap();
    let fence = log.fence("again").await.unwrap();
    let (begun, mut appended) = (Instant::now(), 1);
    // The broker ends a connection whose token has ended.
    while begun.elapsed() < life * 3 {
        let next = vec![record("token", 0, "k", b"v")];
        assert_eq!(log.append(&fence, next).await.unwrap(), Appended::Done);
        appended += 1;
    }
    // Another producer and another reader, as late.
    works(&broker, "TOKEN", &claims, "late").await;
    let late = log.fence("late").await.unwrap();
    assert_eq!(log.append(&late, vec![record("token", 0, "k", b"v")]).await.unwrap(), Appended::Done);
    let begun = Instant::now();
    // The mark of a transaction's end comes to its partitions a moment after the answer.
    while !log.decided(&identity, 0).await.unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the last transaction is not decided");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut sweep, mut read) = (Sweep::begin(&log, &identity, 0).await.unwrap(), 0);
    loop {
        match sweep.next(&log, 1000).await {
            Ok(Some(records)) => read += records.len(),
            Ok(None) => break,
            // A read stands still while a connection is made anew with the next token.
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error}"),
        }
    }
    assert_eq!(read, appended + 1);
}

/// Runs a line of an access list for its own principal and for more.
fn grant(broker: &Broker, line: &str, others: &[&str]) {
    let acls = java("org.apache.kafka.tools.AclCommand");
    let quoted = |word: &OsStr| format!("'{}'", word.to_str().unwrap());
    let words: Vec<_> = std::iter::once(acls.get_program()).chain(acls.get_args()).map(quoted).collect();
    let mut line = line.replacen("kafka-acls", &words.join(" "), 1).replace("SERVER", &broker.at("PLAIN"));
    for other in others {
        line.push_str(&format!(" --allow-principal User:{other}"));
    }
    run(Command::new("sh").args(["-c", &line]), broker.folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(jars_here), ignore = "not run: needs Kafka's jars in SEAMLINE_KAFKA_LIBS, java and openssl")]
async fn access_lists_are_enough_and_no_line_is_too_much() {
    let broker = secured();
    let admin = KafkaLog::open(&properties(&broker, "PLAIN", ""), 1).await.unwrap();
    let identity = admin.create(&kept("orders", 1)).await.unwrap();
    let produce = access::producer("whole", &["orders/main"], &["orders"]);
    let consume = access::consumer("whole", &["orders"]);
    let [named, write] = &produce[..] else { panic!("{produce:?}") };
    let [read] = &consume[..] else { panic!("{consume:?}") };
    grant(&broker, named, &["writeless", "readless"]);
    grant(&broker, write, &["nameless", "readless"]);
    grant(&broker, read, &["nameless", "writeless"]);
    let open = async |user: &str| {
        let pairs = password("PLAIN", user, PASSWORD);
        KafkaLog::open(&properties(&broker, "USERS", &pairs), 1).await.unwrap()
    };
    let one = || vec![record("orders", 0, "k", b"v")];

    let whole = open("whole").await;
    let fence = whole.fence("orders/main").await.unwrap();
    assert_eq!(whole.append(&fence, one()).await.unwrap(), Appended::Done);
    assert_eq!(values(&whole, &identity, 0).await, ["v"]);

    let error = open("nameless").await.fence("orders/main").await.unwrap_err().to_string();
    assert!(error.starts_with("not applied: take a fence") && error.contains("uthorization"), "{error}");

    let writeless = open("writeless").await;
    let fence = writeless.fence("orders/main").await.unwrap();
    let answer = writeless.append(&fence, one()).await.unwrap();
    let told = |topic: &str, reason: &str| topic == "orders" && reason.contains("authorization");
    assert!(matches!(&answer, Appended::Refused { topic, reason } if told(topic, reason)), "{answer:?}");
    // Of a transaction with others the broker lets none in, and which one is at fault is found out.
    admin.create(&kept("payments", 1)).await.unwrap();
    grant(&broker, &access::producer("writeless", &["orders/main"], &["payments"])[1], &[]);
    let both = vec![record("payments", 0, "k", b"v"), record("orders", 0, "k", b"v")];
    let fence = writeless.fence("orders/main").await.unwrap();
    let answer = writeless.append(&fence, both).await.unwrap();
    assert!(matches!(&answer, Appended::Refused { topic, reason } if told(topic, reason)), "{answer:?}");
    let fence = writeless.fence("orders/main").await.unwrap();
    let answer = writeless.append(&fence, vec![record("payments", 0, "k", b"v")]).await.unwrap();
    assert_eq!(answer, Appended::Done);

    let readless = open("readless").await;
    let fence = readless.fence("orders/main").await.unwrap();
    assert_eq!(readless.append(&fence, one()).await.unwrap(), Appended::Done);
    let answer = readless.fetch(&identity, 0, 0, 10).await;
    assert!(!matches!(answer, Ok(Fetched::Records(_))), "{answer:?}");
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("orders") && error.contains("authorization"), "{error}");
}
