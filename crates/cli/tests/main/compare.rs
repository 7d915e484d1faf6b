//! `compare` on files: an SQLite table against a CSV file that another program wrote, its formats and its exit codes.

use crate::fixture::Place;

const ORDERS: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, total DECIMAL(10,2), placed TIMESTAMP, state TEXT, note TEXT);
    INSERT INTO orders VALUES (1, 12.5, '2024-01-01 10:00:00', 'open', NULL), (2, 0.1, '1969-12-31 23:59:59.5', 'paid', 'blank '),
      (3, 7, '2024-03-01 00:00:00', 'paid', 'x'), (4, 100, '2024-03-02 00:00:00', 'open', 'y')";

const EQUAL: &str = "id,total,placed,state,note\n4,100.00,2024-03-02T00:00:00,open,y\n1,12.50,2024-01-01T10:00:00,open,\n\
    2,0.10,1969-12-31T23:59:59.500,paid,\"blank \"\n3,7,2024-03-01,paid,x\n";

/// Four orders in SQLite, and a CSV file of them.
fn place(csv: &str) -> Place {
    let place = Place::empty();
    place.sql("shop", ORDERS);
    place.write("orders.csv", csv);
    place
}

const LEFT: &str = ".seamline/shop.db#orders";

#[test]
fn two_files_are_equal_by_what_their_values_are() {
    let place = place(EQUAL);
    let call = ["compare", LEFT, "orders.csv", "--as", "placed=timestamp"];
    place.run(&call).exits(0).says("no key differs").says("conclusion: equal");
}

#[test]
fn each_difference_is_classified_and_values_are_hidden_until_asked_for() {
    let csv = EQUAL.replace("100.00", "100.01").replace("blank ", "blank").replace("3,7,", "5,7,");
    let place = place(&csv);
    let call = ["compare", LEFT, "orders.csv", "--as", "placed=timestamp"];
    let ran =
        place.run(&call).exits(3).says("4 keys differ: 1 only on the left, 1 only on the right, 2 different");
    ran.says("total: *** ≠ *** (digits after the point)").says("`--as note=trim`");
    place.run(&[&call[..], &["--show-values"]].concat()).exits(3).says("total: 100 ≠ 100.01");
    let document = place.run(&[&call[..], &["--format", "json"]].concat()).exits(3).json();
    assert_eq!(document["schema"], "seamline/compare/v1");
    assert_eq!(document["conclusion"], "different");
    assert_eq!(document["found"]["different"], 2);
    assert_eq!(document["differences"][0]["fields"][0]["left"], "***");
    let csv = place.run(&[&call[..], &["--format", "csv"]].concat()).exits(3).out;
    assert_eq!(csv.lines().next(), Some("what,id,column,left,right,looks"));
    assert_eq!(csv.lines().count(), 5, "{csv}");
    place
        .run(&[&call[..], &["--format", "markdown"]].concat())
        .exits(3)
        .says("| column | differs in | looks like |");
    let counted = [&call[..], &["--count-by", "state"]].concat();
    place.run(&counted).exits(3).says("open").says("paid");
}

#[test]
fn a_sample_is_inconclusive_and_what_is_wrong_says_what_to_do() {
    let place = place(EQUAL);
    place.write("other.csv", "id,sum,placed,state\n1,1,2024-01-01,open\n");
    place.write("twice.csv", "id,id\n1,1\n");
    place.write("latin.csv", b"id,state\n1,\xe4\n");
    place.write("ragged.csv", "id,state\n1\n");
    let help = |arguments: &[&str], exit: i32, text: &str| {
        place.run(&[&["compare"], arguments].concat()).exits(exit).says(text);
    };
    help(&[LEFT, "orders.csv", "--as", "placed=timestamp", "--sample", "50%"], 6, "only 50 % of the keys");
    help(&["orders.csv", "orders.csv"], 2, "`--key id`");
    help(&[LEFT, "other.csv"], 2, "`--map total=sum`");
    help(&[LEFT, "other.csv", "--map", "total=amount"], 2, "there is no column `amount`");
    help(&["twice.csv", "orders.csv", "--key", "id"], 2, "two columns `id`");
    help(&["latin.csv", "latin.csv", "--key", "id"], 2, "iconv");
    help(&["ragged.csv", "ragged.csv", "--key", "id"], 2, "is no CSV");
    help(&["nothing.csv", "orders.csv", "--key", "id"], 4, "cannot be opened");
    help(&[".seamline/shop.db#order", "orders.csv"], 2, "there are: orders");
    help(&["nothing.db#orders", "orders.csv"], 4, "there is no file");
    help(&["orders.csv#x", LEFT], 2, "has no tables");
    help(&[LEFT, "orders.csv", "--where", "id > 1"], 2, "`--where-left`");
    help(&[LEFT, "orders.csv", "--as", "placed=zone:Paris"], 2, "`zone:+02:00`");
    help(&["postgres://nobody:secret@127.0.0.1:9/x#t", "orders.csv"], 4, "postgres://127.0.0.1:9/x#t");
    let ran = place.run(&["compare", "postgres://nobody:secret@127.0.0.1:9/x#t", "orders.csv"]);
    assert!(!ran.err.contains("secret"), "{}", ran.err);
}

#[test]
fn parquet_is_compared_by_its_types_and_a_broken_file_is_no_clean_exit() {
    let place = Place::empty();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../compare/tests/main/parquet");
    let whole = std::fs::read(folder.join("zstd.parquet")).unwrap();
    place.write("rows.parquet", &whole);
    place.write("half.parquet", &whole[..whole.len() / 2]);
    place.write("brotli.parquet", std::fs::read(folder.join("brotli.parquet")).unwrap());
    place.write("rows.csv", "id,state\n2,\n1,open\n");
    let with = |left: &str, more: &[&str]| {
        place.run(&[&["compare", left, "rows.csv", "--key", "id"], more].concat())
    };
    with("rows.parquet", &[]).exits(0).says("conclusion: equal");
    with("half.parquet", &[]).exits(2).says("is no whole Parquet file");
    with("brotli.parquet", &[]).exits(2).says("snappy, gzip, zstd or lz4");
    with("rows.parquet", &["--where-left", "id > 1"]).exits(2).says("understands no SQL");
    with("none.parquet", &[]).exits(4).says("cannot be opened");
    place.run(&["compare", "rows.parquet", "rows.csv"]).exits(2).says("`--key id`");
    place.write("rows.csv", "id,state\n2,\n1,shut\n");
    with("rows.parquet", &["--show-values"]).exits(3).says("state: \"open\" ≠ \"shut\"");
}
