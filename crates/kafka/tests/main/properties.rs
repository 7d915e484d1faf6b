//! Properties: what is refused, and that secrets stay secret.

use seamline_kafka::log::KafkaLog;
use seamline_kafka::open::OpenError;
use seamline_kafka::properties::Properties;

fn read(pairs: &[(&str, &str)]) -> Result<Properties, OpenError> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Properties::new(&pairs.iter().map(own).collect::<Vec<_>>())
}

#[test]
fn what_is_wrong_is_named() {
    for (pairs, message) in [
        (vec![("bootstrap.server", "a:1")], "there is no property `bootstrap.server`"),
        (
            vec![("bootstrap.servers", "a:1"), ("acks", "1")],
            "the property `acks` cannot be set: an append is done when all replicas in sync have it",
        ),
        (
            vec![("group.id", "x")],
            "the property `group.id` cannot be set: partitions are shared out by leases in the consumer's database",
        ),
        (vec![("security.protocol", "plaintext")], "no broker is named"),
    ] {
        assert_eq!(read(&pairs).unwrap_err().to_string(), message);
    }
    let wrong = read(&[("security.protocol", "tls")]).unwrap_err();
    assert!(matches!(&wrong, OpenError::Wrong { name, .. } if name == "security.protocol"), "{wrong}");
}

#[test]
fn secrets_are_not_printed() {
    let properties =
        read(&[("bootstrap.servers", "a:1"), ("sasl.password", "hunter2"), ("sasl.username", "claims")])
            .unwrap();
    let printed = format!("{properties:?}");
    assert!(printed.contains("sasl.password") && !printed.contains("hunter2"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_told() {
    // Nothing listens on the port that the system just gave back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let properties = read(&[("bootstrap.servers", &format!("127.0.0.1:{port}"))]).unwrap();
    let error = KafkaLog::open(&properties, 1).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable(Some(_))), "{error}");
    assert!(error.help().contains("bootstrap.servers"));
}
