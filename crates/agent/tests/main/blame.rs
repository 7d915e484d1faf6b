//! The gate of blame: hundreds of divergences made by raw SQL, each found with its link, kind, key, attributes and team, and mended.
//! What makes them shares no code with what finds them, and holds the answer key.

use crate::fixture::{connect, expire, number, rows, run, settle};
use crate::insurer::{Insurer, in_transaction, key, policy};
use seamline_agent::agent::Agent;
use seamline_agent::custody::{Compared, key_text};
use seamline_flow::drift::{Conclusion, Link};
use sqlx::sqlite::SqliteConnection;
use std::collections::BTreeSet;
use std::ops::Range;

/// How many policies there are; the first and the last are among those that are broken.
const POLICIES: u32 = 400;

/// A divergence: link, kind, key, differing attributes, and who must act.
type Answer = (String, String, String, String, String);

fn answer(link: &str, kind: &str, key: String, differing: &[&str], team: &str) -> Answer {
    (link.to_owned(), kind.to_owned(), key, differing.join(" "), team.to_owned())
}

/// A table that copies policies.
struct Copy {
    context: &'static str,
    subscription: &'static str,
    table: &'static str,
    key: &'static str,
    /// Columns that a renewal changes.
    renewed: &'static [&'static str],
    /// A column with another value that it could hold.
    edit: (&'static str, &'static str),
}

const COPIES: [Copy; 3] = [
    Copy {
        context: "claims",
        subscription: "claims/policy-eligibility",
        table: "policy_eligibility",
        key: "policy_ref",
        renewed: &["cover_to"],
        edit: ("may_open_claim", "0"),
    },
    Copy {
        context: "crm",
        subscription: "crm/policies",
        table: "policy_copy",
        key: "policy_id",
        renewed: &["annual_premium", "cover_to"],
        edit: ("holder_name", "'Somebody Else'"),
    },
    Copy {
        context: "billing",
        subscription: "billing/policy-terms",
        table: "policy_terms",
        key: "contract_ref",
        renewed: &["bill_to", "yearly_premium"],
        edit: ("yearly_premium", "'91.10'"),
    },
];

/// Policies in an order that a seed gives, each handed out once.
struct Deck(Vec<u32>);

impl Deck {
    fn new(numbers: Range<u32>, mut seed: u64) -> Deck {
        let mut deck: Vec<u32> = numbers.collect();
        for at in (1..deck.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            deck.swap(at, (seed >> 33) as usize % (at + 1));
        }
        Deck(deck)
    }

    fn take(&mut self, count: usize) -> Vec<u32> {
        self.0.split_off(self.0.len() - count)
    }
}

fn ended(number: u32) -> String {
    format!("DELETE FROM policy_current WHERE policy_no = '{}'; {}", policy(number), published(number))
}

fn published(number: u32) -> String {
    format!("INSERT INTO seamline_publish (contract, key) VALUES ('policy', '{}')", key(number))
}

fn renewed(number: u32) -> String {
    format!(
        "UPDATE policy_current SET cover_to = '2027-12-31', annual_premium = '100.00' WHERE policy_no = '{}'; {}",
        policy(number),
        published(number)
    )
}

async fn at_the_source(insurer: &mut Insurer, statements: &[String]) {
    run(&mut insurer.core, &in_transaction(&statements.join(";"))).await;
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(|number| format!("'{}'", policy(*number))).collect::<Vec<_>>().join(", ")
}

/// What a hand does to one table, and the answers to it.
struct Hand<'a> {
    copy: &'a Copy,
    conn: SqliteConnection,
    answers: BTreeSet<Answer>,
}

impl Hand<'_> {
    async fn on(insurer: &Insurer, copy: &'static Copy) -> Hand<'static> {
        Hand { copy, conn: insurer.service(copy.context).await, answers: BTreeSet::new() }
    }

    fn expect(&mut self, link: &str, kind: &str, number: u32, differing: &[&str]) {
        self.answers.insert(answer(link, kind, key(number), differing, self.copy.context));
    }

    async fn sql(&mut self, sql: &str) {
        run(&mut self.conn, sql).await;
    }

    /// Keeps the rows of some policies as they are now.
    async fn keep(&mut self, numbers: &[u32]) {
        let Copy { table, key, .. } = self.copy;
        self.sql(&format!("CREATE TABLE kept AS SELECT * FROM {table} WHERE {key} IN ({})", list(numbers)))
            .await;
    }

    /// Puts kept rows, with their markers, where they were.
    async fn put_back(&mut self, kind: &str, numbers: &[u32]) {
        let Copy { table, key, renewed, .. } = self.copy;
        let of = format!("{key} IN ({})", list(numbers));
        let back =
            format!("DELETE FROM {table} WHERE {of}; INSERT INTO {table} SELECT * FROM kept WHERE {of}");
        self.sql(&in_transaction(&back)).await;
        for number in numbers {
            let differing = if kind == "stale" { *renewed } else { &[] };
            self.expect("projection", kind, *number, differing);
        }
    }

    async fn set(&mut self, set: &str, numbers: &[u32], kind: &str, differing: &[&str]) {
        let Copy { table, key, .. } = self.copy;
        self.sql(&format!("UPDATE {table} SET {set} WHERE {key} IN ({})", list(numbers))).await;
        numbers.iter().for_each(|number| self.expect("projection", kind, *number, differing));
    }

    async fn delete(&mut self, numbers: &[u32]) {
        let Copy { table, key, .. } = self.copy;
        self.sql(&format!("DELETE FROM {table} WHERE {key} IN ({})", list(numbers))).await;
        numbers.iter().for_each(|number| self.expect("projection", "missing", *number, &[]));
    }

    async fn insert(&mut self, like: u32, numbers: Range<u32>) {
        let Copy { table, key, .. } = self.copy;
        for number in numbers {
            let columns: Vec<String> = rows(
                &mut self.conn,
                &format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> '{key}' AND name NOT LIKE 'seamline%'"),
            )
            .await
            .concat();
            let (columns, number_text) = (columns.join(", "), policy(number));
            let insert = format!(
                "INSERT INTO {table} ({key}, {columns}) SELECT '{number_text}', {columns} FROM {table} WHERE {key} = '{}'",
                policy(like)
            );
            self.sql(&insert).await;
            self.expect("projection", "orphan", number, &[]);
        }
    }

    /// Swaps what a renewal changes between a renewed row and one that is not: the sum and the xor of both stay the same.
    async fn swap(&mut self, one: u32, other: u32) {
        let Copy { table, key, renewed, .. } = self.copy;
        // A statement that reads the table it writes may see its own first row: the two are read beforehand.
        let two = list(&[one, other]);
        self.sql(&format!("CREATE TABLE two AS SELECT * FROM {table} WHERE {key} IN ({two})")).await;
        let set: Vec<String> = renewed
            .iter()
            .map(|column| {
                format!("{column} = (SELECT two.{column} FROM two WHERE two.{key} <> {table}.{key})")
            })
            .collect();
        self.set(&set.join(", "), &[one, other], "corrupt", renewed).await;
        self.sql("DROP TABLE two").await;
    }

    /// Flips the same bits in the digests of what two rows received: an xor over them would cancel.
    async fn flip(&mut self, two: &[u32]) {
        let Copy { table, key, .. } = self.copy;
        for number in two {
            let of = format!("{key} = '{}'", policy(*number));
            let hex = format!("SELECT hex(seamline_received) FROM {table} WHERE {of}");
            let hex = rows(&mut self.conn, &hex).await.concat().concat();
            let first = u8::from_str_radix(&hex[..2], 16).unwrap() ^ 0x5a;
            self.sql(&format!(
                "UPDATE {table} SET seamline_received = x'{first:02X}{}' WHERE {of}",
                &hex[2..]
            ))
            .await;
            self.expect("projection", "corrupt", *number, &[]);
        }
    }

    /// Moves the lanes past all that they have not read, as a reader does that drops what it got.
    async fn read_over(&mut self, log: &mut SqliteConnection) {
        let lanes =
            "SELECT topic, partition FROM seamline_lane WHERE topic LIKE '%.state' AND topic LIKE 'policy-%'";
        for lane in rows(&mut self.conn, lanes).await {
            let [topic, partition] = &lane[..] else { panic!("{lane:?}") };
            let end = format!(
                "SELECT next FROM log_partition JOIN log_topic ON number = topic WHERE name = '{topic}' AND partition = {partition}"
            );
            let end = number(log, &end).await;
            self.sql(&format!(
                "UPDATE seamline_lane SET absent = absent + {end} - offset, counted_to = {end}, offset = {end}
                 WHERE topic = '{topic}' AND partition = {partition}"
            ))
            .await;
        }
    }
}

/// Returns what a comparison found, each key once a link.
fn found(compared: &Compared) -> BTreeSet<Answer> {
    let drifts = compared.reports().flat_map(|report| &report.drifts);
    drifts
        .map(|drift| {
            let mut differing = drift.differing.clone();
            // A contract's topics carry different attributes: they are held against the answer together.
            differing.sort();
            let differing = if drift.link == Link::Source { String::new() } else { differing.join(" ") };
            let link = drift.link.to_string();
            (link, drift.kind.to_string(), key_text(drift).to_owned(), differing, drift.owed_by.to_string())
        })
        .collect()
}

async fn dump(conn: &mut SqliteConnection, table: &str, key: &str) -> Vec<Vec<String>> {
    let columns: Vec<String> =
        rows(conn, &format!("SELECT 'hex(' || name || ')' FROM pragma_table_info('{table}')")).await.concat();
    rows(conn, &format!("SELECT {} FROM {table} ORDER BY {key}", columns.join(", "))).await
}

/// Holds what an agent finds against the answers, mends it, and proves that nothing is left and that a second repair does nothing.
async fn judged(agent: &Agent, agents: &[Agent], answers: &BTreeSet<Answer>, wanted: &str) {
    let compared = agent.compare(|name| name == wanted).await.unwrap();
    let found = found(&compared);
    let missed: Vec<_> = answers.difference(&found).collect();
    let false_alarms: Vec<_> = found.difference(answers).collect();
    assert!(missed.is_empty() && false_alarms.is_empty(), "missed {missed:#?}\nfalse {false_alarms:#?}");
    agent.mend(&compared).await.unwrap();
    settle(agents).await;
    let again = agent.compare(|name| name == wanted).await.unwrap();
    assert_eq!(again.conclusion(), Conclusion::Clean, "{again:#?}");
    assert_eq!(again.source_plans(), []);
    assert_eq!(again.consumer_plans().count(), 0);
}

/// Breaks a table in every way that a hand can.
async fn break_table(
    hand: &mut Hand<'_>,
    deck: &mut Deck,
    gone: &[u32],
    old: &[u32],
    new: &[u32],
    edge: &[u32],
) {
    hand.put_back("phantom", gone).await;
    hand.put_back("stale", old).await;
    let (column, value) = hand.copy.edit;
    let mut edited = deck.take(8);
    edited.push(edge[0]);
    hand.set(&format!("{column} = {value}"), &edited, "corrupt", &[column]).await;
    let mut deleted = deck.take(7);
    deleted.push(edge[1]);
    hand.delete(&deleted).await;
    for one in new {
        let other = deck.take(1)[0];
        hand.swap(*one, other).await;
    }
    for _ in 0..3 {
        hand.flip(&deck.take(2)).await;
    }
    hand.set("seamline_written = zeroblob(16)", &deck.take(4), "corrupt", &[]).await;
    let unmarked =
        "seamline_sequence = NULL, seamline_offset = NULL, seamline_received = NULL, seamline_written = NULL";
    hand.set(unmarked, &deck.take(4), "corrupt", &[]).await;
    let like = deck.take(1)[0];
    hand.insert(like, 90_000_001..90_000_009).await;
}

#[tokio::test]
async fn every_divergence_of_three_hundred_is_blamed_and_mended() {
    let mut insurer = Insurer::new().await;
    insurer.bind(1..POLICIES + 1).await;
    settle(&insurer.agents).await;
    let mut log = connect(&insurer.place.directory.path().join(".seamline/log.db")).await;
    let mut all = Deck::new(2..POLICIES, 7);
    let edge = [1, POLICIES];
    let (gone, old, new) = (all.take(8), all.take(8), all.take(4));
    let mut hands = Vec::new();
    for copy in &COPIES {
        let mut hand = Hand::on(&insurer, copy).await;
        hand.keep(&[gone.clone(), old.clone()].concat()).await;
        hands.push(hand);
    }
    let acts = gone.iter().map(|it| ended(*it)).chain(old.iter().chain(&new).map(|it| renewed(*it)));
    at_the_source(&mut insurer, &acts.collect::<Vec<_>>()).await;
    settle(&insurer.agents).await;
    let mut n_answers = 0;

    // Link 3: hands in the tables, once just after the lanes went to another replica.
    for (hand, seed) in hands.iter_mut().zip(1..) {
        let copy = hand.copy;
        let mut deck = Deck::new(2..POLICIES, seed);
        deck.0.retain(|it| !gone.contains(it) && !old.contains(it) && !new.contains(it));
        break_table(hand, &mut deck, &gone, &old, &new, &edge).await;
        let replica = insurer.place.agent(copy.context).await;
        expire(&mut hand.conn).await;
        settle(std::slice::from_ref(&replica)).await;
        n_answers += hand.answers.len();
        judged(&replica, &[], &hand.answers, copy.subscription).await;
        let before = dump(&mut hand.conn, copy.table, copy.key).await;
        let compared = replica.compare(|name| name == copy.subscription).await.unwrap();
        replica.mend(&compared).await.unwrap();
        assert_eq!(
            dump(&mut hand.conn, copy.table, copy.key).await,
            before,
            "a second repair changes nothing"
        );
        replica.release().await.unwrap();
        hand.answers.clear();
    }

    let mut deck = Deck::new(2..POLICIES, 11);
    deck.0.retain(|it| !gone.contains(it) && !old.contains(it) && !new.contains(it));
    n_answers += read_over(&mut insurer, &mut hands, &mut log, &mut deck).await;

    // Link 1: what a producer changed, removed, lost or forgot beside its outbox.
    let answers = break_source(&mut insurer, &mut deck).await;
    n_answers += answers.len();
    let core = insurer.agent("policy-administration");
    judged(core, &insurer.agents, &answers, "policy-administration/policy@2").await;
    for hand in &hands {
        let agent = insurer.agent(hand.copy.context);
        let compared = agent.compare(|name| name == hand.copy.subscription).await.unwrap();
        assert_eq!(compared.conclusion(), Conclusion::Clean, "{compared:#?}");
    }
    assert!(n_answers >= 300, "{n_answers}");
}

/// Breaks link 2: lets records be read over, while hands delete other rows of the same tables. Returns how many were blamed.
async fn read_over(
    insurer: &mut Insurer,
    hands: &mut [Hand<'_>],
    log: &mut SqliteConnection,
    deck: &mut Deck,
) -> usize {
    let mut n_answers = 0;
    let (changed, removed, fresh) = (deck.take(10), deck.take(8), 1_001..1_013);
    let acts = changed.iter().map(|it| renewed(*it)).chain(removed.iter().map(|it| ended(*it)));
    at_the_source(insurer, &acts.collect::<Vec<_>>()).await;
    insurer.bind(fresh.clone()).await;
    settle(&insurer.agents[..1]).await;
    for hand in hands.iter_mut() {
        hand.read_over(log).await;
        hand.delete(&deck.take(5)).await;
        let renewed = hand.copy.renewed;
        changed.iter().for_each(|it| hand.expect("stream", "stale", *it, renewed));
        removed.iter().for_each(|it| hand.expect("stream", "phantom", *it, &[]));
        fresh.clone().for_each(|it| hand.expect("stream", "missing", it, &[]));
        n_answers += hand.answers.len();
    }
    for hand in hands {
        judged(insurer.agent(hand.copy.context), &insurer.agents, &hand.answers, hand.copy.subscription)
            .await;
    }
    settle(&insurer.agents).await;
    n_answers
}

/// Breaks the link between a producer's tables and the log in every way that a hand can.
async fn break_source(insurer: &mut Insurer, deck: &mut Deck) -> BTreeSet<Answer> {
    let mut answers = BTreeSet::new();
    let mut expect = |kind: &str, numbers: &[u32]| {
        answers
            .extend(numbers.iter().map(|it| answer("source", kind, key(*it), &[], "policy-administration")));
    };
    let edited = deck.take(10);
    let sql =
        format!("UPDATE policy_current SET cover_from = '2026-02-02' WHERE policy_no IN ({})", list(&edited));
    run(&mut insurer.core, &sql).await;
    expect("corrupt", &edited);
    let removed = deck.take(8);
    run(&mut insurer.core, &format!("DELETE FROM policy_current WHERE policy_no IN ({})", list(&removed)))
        .await;
    expect("phantom", &removed);
    let unpublished: Vec<u32> = (2_001..2_009).collect();
    for number in &unpublished {
        let bound = crate::insurer::bound(*number);
        let (insert, _) = bound.split_once(';').unwrap();
        run(&mut insurer.core, insert).await;
    }
    expect("missing", &unpublished);
    let lost = deck.take(8);
    let acts: Vec<String> = lost.iter().map(|it| renewed(*it)).collect();
    at_the_source(insurer, &acts).await;
    run(&mut insurer.core, "DELETE FROM seamline_outbox").await;
    expect("stale", &lost);
    let forgotten = deck.take(6);
    let keys = forgotten.iter().map(|it| format!("'{}'", key(*it))).collect::<Vec<_>>().join(", ");
    run(&mut insurer.core, &format!("DELETE FROM seamline_key WHERE key IN ({keys})")).await;
    expect("orphan", &forgotten);
    answers
}
