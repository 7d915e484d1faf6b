//! The access lists of a context: what its principal may do, as `kafka-acls` takes it.

/// Returns the commands that let a principal write to topics as some producers, in the order given.
pub fn producer(principal: &str, producers: &[&str], topics: &[&str]) -> Vec<String> {
    // Write includes Describe, and a transactional producer needs no right on the cluster.
    let producers = producers.iter().map(|producer| format!("--transactional-id {}", quoted(producer)));
    let topics = topics.iter().map(|topic| format!("--topic {}", quoted(topic)));
    producers.chain(topics).map(|what| line(principal, "--operation Write", &what)).collect()
}

/// Returns the commands that let a principal read exactly these topics, in the order given.
pub fn consumer(principal: &str, topics: &[&str]) -> Vec<String> {
    // Read includes Describe; there are no groups.
    let topics = topics.iter().map(|topic| format!("--topic {}", quoted(topic)));
    topics.map(|what| line(principal, "--operation Read", &what)).collect()
}

fn line(principal: &str, operations: &str, what: &str) -> String {
    let principal = quoted(&format!("User:{principal}"));
    format!(
        "kafka-acls --bootstrap-server SERVER --add --allow-principal {principal} {operations} {what} \
         --resource-pattern-type literal"
    )
}

/// Returns a word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/=,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{consumer, producer};

    #[test]
    fn a_producer_gets_its_names_and_its_topics() {
        let lines = producer("CN=policy, O=x", &["policy/main"], &["policy.state.1"]);
        let all = "kafka-acls --bootstrap-server SERVER --add --allow-principal 'User:CN=policy, O=x'";
        assert_eq!(
            lines,
            [
                format!(
                    "{all} --operation Write --transactional-id policy/main --resource-pattern-type literal"
                ),
                format!("{all} --operation Write --topic policy.state.1 --resource-pattern-type literal"),
            ]
        );
    }

    #[test]
    fn a_consumer_reads_and_no_more() {
        let lines = consumer("claims", &["a", "b"]);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.contains("--operation Read") && !line.contains("Write")));
    }
}
