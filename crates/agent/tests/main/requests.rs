//! Requests over HTTP, asked as another context would: with a token, of a view, against what is cached, and too many at once.

use crate::fixture::{Place, connect, run};
use seamline_agent::metrics::Metrics;
use seamline_agent::requests::{Requests, serve};
use seamline_agent::site::Site;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CONTRACT: &str = "apiVersion: seamline/v1
kind: Contract
context: order
version: 1.0.0
status: active
meaning: What an order comes to.
key: orderId
classification: internal
attributes:
  orderId: { type: string, meaning: Identifies an order for ever. }
  total: { type: 'decimal(12,2)', unit: EUR, meaning: 'What it comes to.' }
  buyer: { type: string, classification: pii, purposes: [delivery], meaning: 'Who bought.' }
state: { for: [billing] }
requests: { for: [billing] }
views:
  sums: { for: [fraud], only: [total] }
guarantees:
  state: { freshness: 10s, tombstones: 14d }
  requests: { freshness: 30s }
";

const FILES: [(&str, &str); 7] = [
    (
        "seamline.yaml",
        "{ apiVersion: seamline/v1, kind: Estate, id: shop, roots: [.], purposes: { delivery: Bringing it. } }",
    ),
    (
        "laptop.environment.yaml",
        "{ apiVersion: seamline/v1, kind: Environment, id: laptop, systems: {}, log: { embedded: log.db, partitions: 2 } }",
    ),
    (
        "order/order.context.yaml",
        "{ apiVersion: seamline/v1, kind: Context, id: order, meaning: Takes orders., team: order, \
         systems: { orders: { engine: sqlite } } }",
    ),
    ("order/order.contract.yaml", CONTRACT),
    (
        "order/order.publication.yaml",
        "{ apiVersion: seamline/v1, kind: Publication, contract: order, system: orders, table: order_current }",
    ),
    (
        "fraud/fraud.context.yaml",
        "{ apiVersion: seamline/v1, kind: Context, id: fraud, meaning: Judges orders., team: risk, \
         systems: { risk: { engine: sqlite } } }",
    ),
    (
        "billing/billing.context.yaml",
        "{ apiVersion: seamline/v1, kind: Context, id: billing, meaning: Collects., team: billing, \
         systems: { books: { engine: sqlite } } }",
    ),
];

/// An owner that answers requests.
struct Owner {
    _place: Place,
    address: String,
    metrics: Arc<Metrics>,
}

/// What came back.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Owner {
    async fn new() -> Owner {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in FILES {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let reading = seamline_estate::open::open(directory.path()).unwrap().reading;
        assert!(reading.findings.is_empty(), "{:?}", reading.findings);
        let environment = reading.estate.environments[0].clone();
        let site = Site { root: directory.path().to_owned(), estate: reading.estate, environment };
        let log = Arc::new(site.log(true).await.unwrap());
        let place = Place { directory, site, log };
        let mut order = connect(&place.file("order")).await;
        let table = "CREATE TABLE order_current (order_id text PRIMARY KEY, total numeric NOT NULL, buyer text NOT NULL); \
                     INSERT INTO order_current VALUES ('7', '12.50', 'Harbour Logistics'), ('8', '3.00', 'Quay Foods'), \
                     ('9/a', '1.00', 'Quay Foods'), ('no sum', 'a lot', 'Quay Foods')";
        run(&mut order, table).await;
        place.installed(&["order"]).await;
        let metrics = Arc::new(Metrics::new());
        let token = |name: &str| match name {
            "SEAMLINE_TOKEN_FRAUD" => Some("f-secret".to_owned()),
            "SEAMLINE_TOKEN_BILLING" => Some("b-secret".to_owned()),
            _ => None,
        };
        let contexts = ["order".parse().unwrap()];
        let requests =
            Requests::open(&place.site, &contexts, Arc::clone(&metrics), &token).await.unwrap().unwrap();
        assert_eq!(requests.offered(), ["order/order@1"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(listener, Arc::new(requests)));
        Owner { _place: place, address, metrics }
    }

    async fn ask(&self, path: &str, token: &str, more: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: owner\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

const SEVEN: &str = "/v1/order/order@1/keys/%5B%227%22%5D";

#[tokio::test]
async fn each_context_gets_what_it_is_entitled_to_and_no_more() {
    let owner = Owner::new().await;
    let whole = owner.ask(SEVEN, "b-secret", "").await;
    assert_eq!(
        (whole.status, whole.body.as_str()),
        (200, r#"{"key":["7"],"state":{"buyer":"Harbour Logistics","total":"12.50"}}"#)
    );
    let cut = owner.ask(SEVEN, "f-secret", "").await;
    assert_eq!((cut.status, cut.body.as_str()), (200, r#"{"key":["7"],"state":{"total":"12.50"}}"#));
    assert_eq!(cut.header("cache-control"), Some("private, max-age=30"));
    assert_eq!(cut.header("vary"), Some("authorization"));
    let named = owner.ask(&format!("{SEVEN}?view=sums"), "f-secret", "").await;
    assert_eq!(named.body, cut.body);
    for (path, token, status, code) in [
        (SEVEN.to_owned(), "x-secret", 401, "no-token"),
        (format!("{SEVEN}?view=sums"), "b-secret", 403, "not-entitled"),
        (SEVEN.replace("@1", "@2"), "f-secret", 404, "no-contract"),
        (SEVEN.replace('7', "77"), "f-secret", 404, "no-key"),
        (SEVEN.replace("%22", ""), "f-secret", 400, "bad-key"),
        (SEVEN.replace('7', "no%20sum"), "b-secret", 500, "broken-state"),
        ("/v1/order/order@1/keys?limit=0".to_owned(), "f-secret", 400, "bad-limit"),
        ("/v2".to_owned(), "f-secret", 404, "no-route"),
    ] {
        let fault = owner.ask(&path, token, "").await;
        assert_eq!(fault.status, status, "{path}: {}", fault.body);
        assert_eq!(fault.header("content-type"), Some("application/problem+json"));
        assert!(fault.body.contains(&format!("urn:seamline:problem:{code}")), "{path}: {}", fault.body);
        assert!(!fault.body.contains("Quay"), "no value is told");
    }
    let text = owner.metrics.text();
    let counted = r#"seamline_request_seconds_count{contract="order/order@1",status="200"} 3"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn what_the_asker_has_already_is_not_sent_again() {
    let owner = Owner::new().await;
    let first = owner.ask(SEVEN, "f-secret", "").await;
    let tag = first.header("etag").unwrap().to_owned();
    let again = owner.ask(SEVEN, "f-secret", &format!("If-None-Match: \"other\", {tag}\r\n")).await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", Some(tag.as_str())));
    let other = owner.ask(SEVEN, "b-secret", &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!(other.status, 200, "another context has another answer");
}

#[tokio::test]
async fn pages_lead_through_all_keys() {
    let owner = Owner::new().await;
    let mut conn = connect(&owner._place.file("order")).await;
    run(&mut conn, "DELETE FROM order_current WHERE order_id = 'no sum'").await;
    let (mut path, mut keys) = ("/v1/order/order@1/keys?limit=2".to_owned(), Vec::new());
    loop {
        let page = owner.ask(&path, "f-secret", "").await;
        assert_eq!(page.status, 200, "{}", page.body);
        let page: serde_json::Value = serde_json::from_str(&page.body).unwrap();
        keys.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["key"][0].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        let next = next.replace('[', "%5B").replace(']', "%5D").replace('"', "%22").replace('/', "%2F");
        path = format!("/v1/order/order@1/keys?limit=2&after={next}");
    }
    assert_eq!(keys, ["7", "8", "9/a"]);
    let slash = owner.ask(&SEVEN.replace('7', "9%2Fa"), "f-secret", "").await;
    assert_eq!(slash.status, 200, "{}", slash.body);
}
