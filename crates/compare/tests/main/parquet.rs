//! Parquet files that other programs wrote: pyarrow 26 and DuckDB 2.0. What they hold stands in the tests.

use crate::memory::Kept;
use seamline_compare::parquet::ParquetFile;
use seamline_compare::plan::Ask;
use seamline_compare::rowset::{Only, ReadError, RowSet};
use seamline_compare::run::compare;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/main/parquet").join(name)
}

/// Returns a column's cells as they print, one a line; or what is said of the file.
fn column(file: &Path, column: &str) -> Result<Vec<String>, ReadError> {
    let mut lines = Vec::new();
    let mut take = |cells: &[seamline_compare::cell::Cell<'_>]| {
        lines.push(format!("{:?}", cells[0]));
        Ok(())
    };
    ParquetFile::new(file).read(&[column.to_owned()], &Only::All, &mut take)?;
    Ok(lines)
}

fn kinds(name: &str) -> Vec<String> {
    let described = ParquetFile::new(&path(name)).describe().unwrap();
    let one = |it: &seamline_compare::rowset::Column| format!("{} {}", it.name, it.declared.kind);
    described.columns.iter().map(one).collect()
}

fn refusal(file: &Path, name: &str) -> String {
    let error = column(file, name).unwrap_err();
    format!("{error}; {}", error.help())
}

#[test]
fn columns_are_of_the_kind_that_their_schema_says() {
    let expected = "id integer, total decimal, wide decimal, ratio float, small float, placed timestamp, sent instant, nano instant, \
        day date, hour time, state text, raw bytes, uid uuid, list list of integer, big decimal, yes boolean, nothing text, doc json";
    assert_eq!(kinds("everything.parquet").join(", "), expected);
    assert_eq!(
        kinds("duckdb.parquet").join(", "),
        "id integer, a timestamp, b instant, d date, i interval, n decimal, h float"
    );
    assert_eq!(ParquetFile::new(&path("everything.parquet")).describe().unwrap().rows, Some(4));
}

#[test]
fn values_are_read_as_they_were_written() {
    let all = path("everything.parquet");
    let check = |name: &str, expected: [&str; 4]| assert_eq!(column(&all, name).unwrap(), expected, "{name}");
    check("id", ["Integer(1)", "Integer(2)", "Integer(3)", "Integer(4)"]);
    check("ratio", ["Float(NaN)", "Float(inf)", "Float(-0.0)", "Float(0.1)"]);
    check("small", ["Float(1.5)", "Null", "Float(-inf)", "Float(0.0)"]);
    check(
        "placed",
        [
            "Timestamp(1704103200000000, 0)",
            "Timestamp(-500000, 0)",
            "Null",
            "Timestamp(-62135596800000000, 0)",
        ],
    );
    check("sent", ["Instant(1704103200000000, 0)", "Instant(-1000, 0)", "Instant(0, 0)", "Null"]);
    check("nano", ["Instant(0, 1)", "Instant(-1, 999)", "Null", "Instant(1704103200000000, 1)"]);
    check("day", ["Date(-1)", "Null", "Date(19782)", "Date(-719162)"]);
    check("hour", ["Time(86399999999000)", "Null", "Time(0)", "Time(3600000000000)"]);
    check("state", ["Text(\"open\")", "Text(\"blank \")", "Null", "Text(\"its \\\"x\\\"\")"]);
    check("raw", ["Bytes([255, 0])", "Bytes([])", "Null", "Bytes([97])"]);
    check("list", ["List([Integer(1), Null, Integer(3)])", "List([])", "Null", "List([Integer(4)])"]);
    check("yes", ["Boolean(true)", "Boolean(false)", "Null", "Boolean(true)"]);
    check("nothing", ["Null", "Null", "Null", "Null"]);
    assert!(column(&all, "uid").unwrap()[2].starts_with("Uuid([255, 255"));
}

/// Decimals have no text of their own before they are compared: so they are, with a file that spells them.
#[test]
fn values_equal_those_of_a_text_that_spells_them() {
    let folder = tempfile::tempdir().unwrap();
    let spelt = folder.path().join("spelt.csv");
    let rows = "id,total,wide,big,doc\n1,12.5,-123456789012345678901234567890123456789012345678.50,18446744073709551615,\
        \"{\"\"a\"\":2,\"\"b\"\":1}\"\n2,-.1,0,0,null\n3,,-0.10,,\n4,1e2,1,1,[ ]\n";
    std::fs::write(&spelt, rows).unwrap();
    let ignore = "ratio small placed sent nano day hour state raw uid list yes nothing";
    let ask = Ask {
        key: vec!["id".to_owned()],
        ignore: ignore.split(' ').map(ToOwned::to_owned).collect(),
        ..Ask::default()
    };
    let found = |text: &Path| {
        let mut kept = Kept::default();
        let mut right = seamline_compare::csv::CsvFile::new(text);
        compare(&mut ParquetFile::new(&path("everything.parquet")), &mut right, &ask, &mut kept).unwrap();
        kept.0.iter().map(|it| format!("{} {}", it.key[0], it.fields[0].column)).collect::<Vec<_>>()
    };
    assert_eq!(found(&spelt), Vec::<String>::new());
    std::fs::write(&spelt, rows.replace("678.50", "678.51").replace("-.1", "")).unwrap();
    assert_eq!(found(&spelt), ["1 wide", "2 total"]);
}

#[test]
fn every_compression_is_read_or_named() {
    for name in ["gzip", "zstd", "lz4", "none"] {
        let read = column(&path(&format!("{name}.parquet")), "state").unwrap();
        assert_eq!(read, ["Text(\"open\")", "Null"], "{name}");
    }
    let refused = refusal(&path("brotli.parquet"), "state");
    assert!(refused.contains("brotli") && refused.contains("snappy, gzip, zstd or lz4"), "{refused}");
}

#[test]
fn moments_without_end_and_of_the_oldest_form_are_read() {
    let duck = path("duckdb.parquet");
    let (first, last) = (format!("({}, 0)", i64::MIN), format!("({}, 0)", i64::MAX));
    assert_eq!(column(&duck, "a").unwrap(), [format!("Timestamp{last}"), format!("Timestamp{first}")]);
    assert_eq!(column(&duck, "b").unwrap(), [format!("Instant{first}"), format!("Instant{last}")]);
    assert_eq!(column(&duck, "d").unwrap(), [format!("Date({})", i32::MAX), format!("Date({})", i32::MIN)]);
    assert_eq!(column(&duck, "i").unwrap(), ["Interval(1, 2, 3000000)", "Null"]);
    let old = column(&path("int96.parquet"), "placed").unwrap();
    assert_eq!(old[..3], ["Timestamp(1704103200000000, 0)", "Timestamp(-500000, 0)", "Null"]);
}

#[test]
fn what_has_parts_is_left_out_by_name() {
    for name in ["where", "pairs", "deep"] {
        let refused = refusal(&path("nested.parquet"), name);
        assert!(
            refused.contains("has parts of its own") && refused.contains(&format!("--ignore {name}")),
            "{refused}"
        );
    }
    assert_eq!(column(&path("nested.parquet"), "id").unwrap(), ["Integer(1)"]);
}

#[test]
fn a_file_that_is_none_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let check = |bytes: &[u8], expected: &str| {
        let file = folder.path().join("x.parquet");
        std::fs::write(&file, bytes).unwrap();
        let refused = refusal(&file, "id");
        assert!(refused.contains(expected), "{refused}");
    };
    check(b"", "is no whole Parquet file");
    check(b"id,total\n1,2\n", "is no whole Parquet file");
    let whole = std::fs::read(path("everything.parquet")).unwrap();
    check(&whole[..whole.len() / 2], "still being written has no end yet");
    assert!(refusal(folder.path(), "id").contains("is a folder"));
    assert!(refusal(&folder.path().join("none.parquet"), "id").contains("cannot be opened"));
}

/// Each bit of a file turned round, and each end cut off: what comes is rows or a refusal.
#[test]
fn no_byte_makes_a_reader_fall() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.parquet");
    let mut refused = 0;
    for name in ["zstd.parquet", "none.parquet"] {
        let whole = std::fs::read(path(name)).unwrap();
        for at in 0..whole.len() {
            for bit in [0, 3, 7] {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                std::fs::write(&file, &bytes).unwrap();
                refused += u32::from(column(&file, "state").is_err());
            }
            std::fs::write(&file, &whole[..at]).unwrap();
            assert!(column(&file, "state").is_err(), "{at} bytes of {name}");
        }
    }
    assert!(refused > 100, "{refused}");
}
