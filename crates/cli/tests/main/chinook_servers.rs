//! Chinook on PostgreSQL and Apache Kafka: services in three languages change it, hands break it, each break is named and
//! mended.

use crate::chinook_shop::{CONTEXTS, Running, Shop};
use crate::fixture::Ran;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

/// Changes that each service makes.
const CHANGES: &str = "60";

/// Two queries that must give the same: database and SQL of each.
type Pair = ((&'static str, &'static str), (&'static str, &'static str));

/// Projections, and what independent SQL makes of the tables behind them.
const PROJECTED: [Pair; 9] = [
    (
        ("sales", "SELECT article_no, printed_as, performer, is_long FROM article ORDER BY 1"),
        (
            "catalogue",
            "SELECT track_id, t.name, a.name, milliseconds > 600000
               FROM track t LEFT JOIN album USING (album_id) LEFT JOIN artist a USING (artist_id) ORDER BY 1",
        ),
    ),
    (
        ("sales", "SELECT customer_no, first_name, last_name, company FROM addressee ORDER BY 1"),
        ("customer-care", "SELECT customer_id, first_name, last_name, company FROM customer ORDER BY 1"),
    ),
    (
        ("sales", "SELECT article_no, share, cost_so_far, is_dear FROM royalty_cost ORDER BY 1"),
        ("royalties", "SELECT track_id, rate, owed, rate > 0.12 FROM royalty ORDER BY 1"),
    ),
    (
        ("catalogue", "SELECT track_id, unit_price, costs_a_dollar_or_more FROM listed_price ORDER BY 1"),
        ("sales", "SELECT track_id, unit_price, unit_price >= 1 FROM track ORDER BY 1"),
    ),
    (
        ("catalogue", "SELECT track_id, paid_to, amount FROM earned ORDER BY 1"),
        ("royalties", "SELECT track_id, payee, owed FROM royalty ORDER BY 1"),
    ),
    (
        ("customer-care", "SELECT invoice_no, customer_id, booked_on, amount FROM purchase ORDER BY 1"),
        ("sales", "SELECT invoice_id, customer_id, invoice_date::date, total FROM invoice ORDER BY 1"),
    ),
    (
        ("customer-care", "SELECT customer_id, city, country FROM buyer_place ORDER BY 1"),
        ("sales", "SELECT customer_id, city, country FROM customer ORDER BY 1"),
    ),
    (
        (
            "royalties",
            "SELECT work_no, performed_by, is_claimed FROM work WHERE seamline_ended IS NOT TRUE ORDER BY 1",
        ),
        (
            "catalogue",
            "SELECT track_id, a.name, a.name IS NOT NULL
               FROM track LEFT JOIN album USING (album_id) LEFT JOIN artist a USING (artist_id) ORDER BY 1",
        ),
    ),
    (
        ("royalties", "SELECT sale_no, work_no, sold_on, copies, paid_each FROM sold ORDER BY 1"),
        (
            "sales",
            "SELECT invoice_line_id, track_id, invoice_date::date, quantity, unit_price
               FROM invoice_line JOIN invoice USING (invoice_id) ORDER BY 1",
        ),
    ),
];

/// What reactions came to, and what it must be if each was worked off once.
const REACTED: [Pair; 2] = [
    (
        ("royalties", "SELECT track_id, copies_counted, round(owed / rate, 2) FROM royalty ORDER BY 1"),
        (
            "sales",
            "SELECT track_id, sum(quantity), round(sum(quantity * unit_price), 2) FROM invoice_line GROUP BY 1 ORDER BY 1",
        ),
    ),
    // Nothing keeps a customer from being thanked twice but that the reaction comes once.
    (
        ("customer-care", "SELECT invoice_no FROM thanks ORDER BY 1"),
        ("sales", "SELECT invoice_id FROM invoice WHERE invoice_id > 412 ORDER BY 1"),
    ),
];

/// What hands do: in which database, to which keys, how, and what must be found of it: subject, link, kind, key, what
/// differs, who must act. `{0}` and `{1}` stand for the keys.
const BY_HAND: [(&str, &str, &str, &[&str]); 11] = [
    (
        "sales",
        "SELECT article_no FROM article ORDER BY 1 OFFSET 10 LIMIT 1",
        "UPDATE article SET printed_as = 'by hand' WHERE article_no = {0}",
        &["sales/tracks projection corrupt [\"{0}\"] printed_as sales"],
    ),
    (
        "customer-care",
        "SELECT 5",
        "DELETE FROM purchase WHERE invoice_no = {0}",
        &["customer-care/purchases projection missing [\"{0}\"]  customer-care"],
    ),
    (
        "catalogue",
        "SELECT 99999",
        "INSERT INTO listed_price (track_id, unit_price, costs_a_dollar_or_more) VALUES ({0}, 0.99, false)",
        &["catalogue/prices projection orphan [\"{0}\"]  catalogue"],
    ),
    (
        "royalties",
        "SELECT 20",
        "UPDATE sold SET paid_each = 9.99 WHERE sale_no = {0}",
        &["royalties/sales projection corrupt [\"{0}\"] paid_each royalties"],
    ),
    // With a marker that is right, of another row.
    (
        "royalties",
        "SELECT min(work_no), max(work_no) FROM work WHERE seamline_ended IS NOT TRUE",
        "UPDATE work SET performed_by = 'nobody', seamline_written = (SELECT seamline_written FROM work WHERE work_no = {1})
          WHERE work_no = {0}",
        &["royalties/works projection corrupt [\"{0}\"] performed_by royalties"],
    ),
    (
        "sales",
        "SELECT 20",
        "UPDATE track SET unit_price = 7.77 WHERE track_id = {0}",
        &["sales/price@1 source corrupt [\"{0}\"] unitPrice sales"],
    ),
    // The line goes with its invoice; the view of royalties is a topic of its own.
    (
        "sales",
        "SELECT min(invoice_id), min(min(invoice_line_id)) OVER ()
           FROM invoice_line WHERE invoice_id > 100 GROUP BY invoice_id HAVING count(*) = 1 ORDER BY 1 LIMIT 1",
        "DELETE FROM invoice_line WHERE invoice_id = {0}; DELETE FROM invoice WHERE invoice_id = {0}",
        &[
            "sales/invoice@1 source phantom [\"{0}\"]  sales",
            "sales/sale@1 source phantom [\"{1}\"]  sales",
            "sales/sale@1 source phantom [\"{1}\"]  sales",
        ],
    ),
    // The view for invoicing does not have it: one topic of two differs.
    (
        "customer-care",
        "SELECT max(customer_id) FROM customer",
        "UPDATE customer SET email = 'unsaid@mail.example' WHERE customer_id = {0}",
        &["customer-care/customer@1 source corrupt [\"{0}\"] email customer-care"],
    ),
    (
        "customer-care",
        "SELECT 8001",
        "INSERT INTO customer VALUES ({0}, 'Un', 'Said', NULL, NULL, 'unsaid@mail.example', NULL)",
        &[
            "customer-care/customer@1 source missing [\"{0}\"]  customer-care",
            "customer-care/customer@1 source missing [\"{0}\"]  customer-care",
        ],
    ),
    (
        "royalties",
        "SELECT 6",
        "UPDATE royalty SET owed = owed + 1 WHERE track_id = {0}",
        &[
            "royalties/royalty@1 source corrupt [\"{0}\"] owed royalties",
            "royalties/royalty@1 source corrupt [\"{0}\"] owed royalties",
        ],
    ),
    // Told, and lost before it was read.
    (
        "catalogue",
        "SELECT track_id FROM track ORDER BY 1 OFFSET 20 LIMIT 1",
        "UPDATE track SET name = 'Lost on the way' WHERE track_id = {0};
         SELECT seamline.publish('track', 'TrackRetitled', '[\"{0}\"]');
         DELETE FROM seamline.outbox_0 WHERE key = '[\"{0}\"]';
         DELETE FROM seamline.outbox_1 WHERE key = '[\"{0}\"]';
         DELETE FROM seamline.outbox_2 WHERE key = '[\"{0}\"]'",
        &[
            "catalogue/track@1 source stale [\"{0}\"] title catalogue",
            "catalogue/track@1 lost committed rows that are nowhere: 1",
            "catalogue/track@1 lost event of [\"{0}\"] is in no record of `events`",
        ],
    ),
];

fn script() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/chinook");
    let folder = std::env::var_os("SEAMLINE_CHINOOK").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    folder.join("chinook_postgres.sql")
}

impl Shop {
    /// Lets everything travel, and every reaction be worked off and travel in turn.
    fn settle(&self) {
        for _ in 0..2 {
            self.run(&["agent", "--all", "--until-idle"]).exits(0);
            self.served("royalties", &["--until-idle"]);
            self.served("customer-care", &["0"]);
        }
    }

    fn backfill(&self, contracts: &[&str]) {
        for contract in contracts {
            self.run(&["backfill", contract, "--yes"]).exits(0);
        }
        self.run(&["agent", "--all", "--until-idle"]).exits(0);
    }

    fn assert_same(&self, pairs: &[Pair]) {
        for ((context, projection), (owner, tables)) in pairs {
            let (projected, expected) = (self.rows(context, projection), self.rows(owner, tables));
            assert!(!expected.is_empty(), "{tables}");
            let different = projected.iter().zip(&expected).find(|(one, other)| one != other);
            assert_eq!(different, None, "{context}: {projection}");
            assert_eq!(projected.len(), expected.len(), "{context}: {projection}");
        }
    }

    fn number(&self, context: &str, query: &str) -> usize {
        let rows = self.rows(context, query);
        rows[0].trim_matches(['(', ')']).parse().unwrap()
    }

    /// Fails unless all that was committed and handed over is accounted for.
    fn assert_balanced(&self) {
        let status = self.run(&["status", "--format", "json"]).exits(0).json();
        assert_eq!(status["balanced"], true, "{status}");
    }
}

/// Returns what was found, a line for each drift and each loss, sorted.
fn found(ran: &Ran) -> Vec<String> {
    let document = ran.json();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for subject in list(&document["subjects"]) {
        let name = text(&subject["subject"]);
        for link in list(&subject["links"]) {
            assert_ne!(link["outcome"], "inconclusive", "{subject}");
            for drift in list(&link["drifts"]) {
                let differing: Vec<String> = list(&drift["differing"]).iter().map(text).collect();
                let [kind, key, owed_by] = ["kind", "key", "owedBy"].map(|name| text(&drift[name]));
                let link = text(&link["link"]);
                found.push(format!("{name} {link} {kind} {key} {} {owed_by}", differing.join(",")));
            }
        }
        // The sequence of a lost event is one number of many.
        let unnumbered =
            |lost: &str| lost.split(' ').filter(|word| word.len() != 19).collect::<Vec<_>>().join(" ");
        let lost = list(&subject["lost"]);
        found.extend(lost.iter().map(|lost| format!("{name} lost {}", unnumbered(&text(lost)))));
        // Sums are counted anew with each repair: what else was not seen is a fault.
        let broken = list(&subject["links"]).iter().any(|link| link["outcome"] == "drift");
        assert!(broken || subject["unseen"].is_null(), "{subject}");
    }
    found.sort();
    found
}

#[test]
#[cfg_attr(
    not(all(servers_here, chinook_here, chinook_programs_here, feature = "kafka")),
    ignore = "not run: needs PostgreSQL, Apache Kafka, Chinook's script, Python, Node, Java and Maven"
)]
fn a_shop_of_three_languages_is_true_to_its_contracts_and_each_break_is_named_and_mended() {
    let shop = Shop::open(&script());
    open_for_business(&shop);
    work(&shop);
    shop.settle();
    shop.assert_same(&PROJECTED);
    shop.assert_same(&REACTED);
    shop.assert_balanced();
    assert_eq!(found(&shop.run(&["reconcile", "--format", "json"]).exits(0)), Vec::<String>::new());
    what_travels_is_standard_and_entitled(&shop);
    break_and_mend(&shop);
}

/// Installs, tells what was there before, and opens the books of royalties over it.
fn open_for_business(shop: &Shop) {
    for context in CONTEXTS {
        shop.run(&["install", context, "--yes"]).exits(0);
    }
    shop.backfill(&[
        "catalogue/track",
        "sales/price",
        "sales/invoice",
        "sales/sale",
        "sales/buyer",
        "customer-care/customer",
    ]);
    shop.script("royalties", "opening.postgres.sql");
    shop.backfill(&["royalties/royalty"]);
    shop.assert_same(&PROJECTED);
    assert_eq!(
        shop.number("royalties", "SELECT count(*) FROM seamline.inbox"),
        0,
        "what was there is no news"
    );
}

/// Runs agents and services at once, two of each service, with other dice.
fn work(shop: &Shop) {
    let agents: Vec<Running> = CONTEXTS.iter().map(|context| shop.agent(context)).collect();
    let reactors = [shop.service("royalties", &[]), shop.service("royalties", &["again"])];
    let endless =
        ["catalogue", "sales", "customer-care"].map(|context| shop.service(context, &["1000000", "7"]));
    for seed in ["11", "12"] {
        let services =
            ["catalogue", "sales", "customer-care"].map(|context| shop.service(context, &[CHANGES, seed]));
        for service in services {
            let (code, last) = service.ended();
            assert_eq!(code, Some(0), "{last}");
            assert!(last.contains(&format!(": {CHANGES} changes")), "{last}");
        }
    }
    shop.run(&["doctor"]).exits(0);
    for agent in &agents {
        assert_health(&agent.noted());
    }
    let noted: Vec<String> = agents.iter().map(Running::noted).collect();
    for service in endless.into_iter().chain(reactors).chain(agents) {
        service.terminate();
        let (code, last) = service.ended();
        // Java's exit code tells the signal even where it ended by itself.
        assert!([Some(0), Some(128 + 15)].contains(&code), "{code:?}: {last}");
    }
    // Logs are JSON, and no value of a row is in one.
    for log in noted {
        for line in log.lines().filter(|line| !line.starts_with("health and metrics on")) {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
            assert!(
                !["@mail.example", "Lost on the way", "unitPrice"].iter().any(|it| line.contains(it)),
                "{line}"
            );
        }
    }
}

/// Asks an agent where it says that it tells its health.
fn assert_health(noted: &str) {
    let address = noted.lines().find_map(|line| line.strip_prefix("health and metrics on http://")).unwrap();
    let asked = |path: &str| {
        let mut connection = TcpStream::connect(address).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        answer
    };
    asked("/livez");
    asked("/readyz");
    let metrics = asked("/metrics");
    assert!(metrics.contains("seamline_relay_rows_total") && metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(!metrics.contains("@mail.example"));
}

fn what_travels_is_standard_and_entitled(shop: &Shop) {
    let sold = shop.number("sales", "SELECT count(*) FROM invoice_line WHERE invoice_line_id > 2240");
    let (out, counted) = shop.consumed(&["sales.sale.v1.royalties.events", "sales.sale.v1.royalties.state"]);
    assert_eq!(counted["sales.sale.CopiesSold"], sold);
    assert!(counted["sales.sale.state"] > 2240 && out.contains("paidEach") && !out.contains("invoiceId"));
    let (out, counted) = shop.consumed(&["royalties.royalty.v1.events"]);
    assert_eq!(counted["royalties.royalty.RoyaltyEarned"], sold);
    assert!(out.contains("copiesCounted"));
    let (out, _) = shop.consumed(&["royalties.royalty.v1.costs.state"]);
    assert!(out.contains("owed") && !out.contains("payee"));
    let (out, counted) = shop.consumed(&[
        "customer-care.customer.v1.invoicing.state",
        "customer-care.customer.v1.invoicing.events",
    ]);
    assert!(counted["customer-care.customer.state"] >= 59);
    assert!(out.contains("lastName") && !out.contains("@mail.example") && !out.contains("phone"));
}

fn break_and_mend(shop: &Shop) {
    let mut expected = Vec::new();
    for (context, keys, statements, drifts) in BY_HAND {
        let row = shop.rows(context, keys).concat();
        let keys: Vec<&str> = row.trim_matches(['(', ')']).split(',').collect();
        let filled = |text: &str| {
            let mut text = text.to_owned();
            keys.iter().enumerate().for_each(|(at, key)| text = text.replace(&format!("{{{at}}}"), key));
            text
        };
        shop.sql(context, &filled(statements));
        expected.extend(drifts.iter().map(|drift| filled(drift)));
    }
    expected.sort();
    let reconciled = shop.run(&["reconcile", "--format", "json"]).exits(3);
    assert_eq!(found(&reconciled), expected);
    shop.run(&["reconcile", "--repair", "--yes", "--format", "json"]).exits(0);
    shop.settle();
    assert_eq!(found(&shop.run(&["reconcile", "--format", "json"]).exits(0)), Vec::<String>::new());
    shop.assert_same(&PROJECTED);
    shop.assert_balanced();
}
