//! The statements that read a side, and what each type of its columns is.

use super::decode::Wire;
use super::{column, is_plain};
use crate::sql::literal;
use seamline_compare::kind::Kind;
use seamline_compare::rowset::{Buckets, DigestAsk, DigestColumn, Only};
use seamline_compare::shown::Value;
use std::collections::BTreeMap;

/// A column that the server described.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Its name.
    pub(super) name: String,
    /// Its type as PostgreSQL prints it, with its length or scale where a table says them.
    pub(super) native: String,
    /// Of what kind its values are.
    pub(super) kind: Kind,
    /// How they arrive.
    pub(super) wire: Wire,
    /// The type as which it is selected; none: its own.
    cast: Option<&'static str>,
}

impl Known {
    fn selected(&self) -> String {
        let column = column(&self.name);
        self.cast.map_or(column.clone(), |cast| format!("{column}::{cast}"))
    }
}

/// A type of the database.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    /// It has labels.
    pub(super) is_enum: bool,
    /// It has elements.
    pub(super) is_array: bool,
    /// The number of its elements' type.
    pub(super) element: u32,
    /// As it is printed.
    pub(super) name: String,
}

/// Returns what a column is. Numbers of types are the same on every server (`pg_type.dat`).
pub(super) fn known(name: &str, oid: u32, types: &BTreeMap<u32, Typed>, exact: Option<&String>) -> Known {
    let typed = types.get(&oid);
    let native =
        exact.cloned().or_else(|| typed.map(|typed| typed.name.clone())).unwrap_or_else(|| oid.to_string());
    let (kind, wire, cast) = match typed {
        Some(typed) if typed.is_enum || typed.name == "citext" => (Kind::Text, Wire::Text, Some("text")),
        Some(typed) if typed.is_array => {
            let label = types.get(&typed.element).is_some_and(|element| element.is_enum);
            let element = if label { Some((Kind::Text, Wire::Text, None)) } else { simple(typed.element) };
            match element.filter(|(_, _, cast)| cast.is_none() || label) {
                Some((kind, wire, _)) => (Kind::List(Box::new(kind)), Wire::Array(Box::new(wire)), None),
                None => (Kind::Opaque(typed.name.clone()), Wire::Opaque, None),
            }
        }
        _ => simple(oid).unwrap_or_else(|| (Kind::Opaque(native.clone()), Wire::Opaque, None)),
    };
    Known { name: name.to_owned(), native, kind, wire, cast }
}

fn simple(oid: u32) -> Option<(Kind, Wire, Option<&'static str>)> {
    Some(match oid {
        16 => (Kind::Boolean, Wire::Boolean, None),
        20 | 21 | 23 => (Kind::Integer, Wire::Integer, None),
        26 => (Kind::Integer, Wire::Integer, Some("bigint")),
        700 | 701 => (Kind::Float, Wire::Float, None),
        1700 => (Kind::Decimal, Wire::Decimal, None),
        25 | 1043 => (Kind::Text, Wire::Text, None),
        // Blanks that fill up a `char(n)` are no part of the value.
        18 | 19 | 1042 => (Kind::Text, Wire::Text, Some("text")),
        17 => (Kind::Bytes, Wire::Bytes, None),
        1082 => (Kind::Date, Wire::Date, None),
        1083 => (Kind::Time, Wire::Time, None),
        1114 => (Kind::Timestamp, Wire::Timestamp, None),
        1184 => (Kind::Instant, Wire::Instant, None),
        1186 => (Kind::Interval, Wire::Interval, None),
        2950 => (Kind::Uuid, Wire::Uuid, None),
        114 => (Kind::Json, Wire::Json, None),
        3802 => (Kind::Json, Wire::Jsonb, None),
        _ => return None,
    })
}

/// Returns conditions as a WHERE clause.
pub(super) fn filter(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

/// Returns a column as it is hashed: as one type on both sides, where one is known. Two types of one value hash to two digests, which cost
/// a reading and are no difference.
fn hashed(asked: &DigestColumn, known: &Known) -> Option<String> {
    let column = known.selected();
    if asked.is_same {
        return Some(column);
    }
    Some(match &asked.kind {
        Kind::Integer => format!("{column}::bigint"),
        Kind::Decimal => format!("trim_scale({column}::numeric)"),
        Kind::Float => format!("{column}::double precision"),
        Kind::Text => format!("{column}::text"),
        // Only the length of what they keep may differ, as that of a `timestamp(3)`.
        Kind::Boolean
        | Kind::Bytes
        | Kind::Date
        | Kind::Time
        | Kind::Timestamp
        | Kind::Instant
        | Kind::Uuid => column,
        Kind::Interval | Kind::Json | Kind::List(_) | Kind::Opaque(_) => return None,
    })
}

/// Returns the expression of a row's bucket, which is the same for equal keys.
fn bucket(keys: &[String], ask: &DigestAsk) -> String {
    match ask.by {
        Buckets::Hashed => {
            format!("(hash_record_extended(ROW({}), {}) & {})", keys.join(", "), ask.seed, ask.buckets - 1)
        }
        Buckets::Ranges { first, width } => {
            let key = keys.join(", ");
            format!("least(greatest(({key} - ({first})::bigint) / {width}::bigint, 0), {})", ask.buckets - 1)
        }
    }
}

/// Returns the statement that computes digests; none when it cannot be done with these columns.
///
/// Hashed is a row's binary form as a whole. The server's own hash of a row will not do: it forgets the sign of a numeric, folds 64 bits to
/// 32, and adds up the hashes of its columns, so that values swapped between two rows would cancel in a sum.
pub(super) fn digests(
    source: &str,
    condition: &[String],
    known: &[&Known],
    ask: &DigestAsk,
) -> Option<String> {
    if !ask.columns[..ask.n_key].iter().all(|column| is_plain(&column.kind)) {
        return None;
    }
    let columns = ask.columns.iter().zip(known).map(|(asked, known)| hashed(asked, known));
    let columns: Vec<String> = columns.collect::<Option<_>>()?;
    let bucket = bucket(&columns[..ask.n_key], ask);
    let mut conditions = condition.to_vec();
    if ask.below < ask.buckets {
        conditions.push(format!("{bucket} < {}", ask.below));
    }
    Some(format!(
        "SELECT {bucket}, count(*), sum(hash_record_extended(ROW(record_send(ROW({}))), {}))::text FROM {source}{} GROUP BY 1",
        columns.join(", "),
        ask.seed,
        filter(&conditions),
    ))
}

/// Returns the statement that hands over rows in binary form.
pub(super) fn copy(source: &str, mut conditions: Vec<String>, columns: &[&Known], only: &Only) -> String {
    let mut source = source.to_owned();
    match only {
        Only::All => {}
        Only::Buckets(ask, buckets) => match ask.by {
            Buckets::Hashed => conditions.extend(within(columns, ask, buckets)),
            Buckets::Ranges { first, width } => {
                if let Some(ranges) = ranges(columns[0], ask, buckets, first, width) {
                    source = format!(
                        "{ranges} JOIN {source} ON {} BETWEEN w.range_low AND w.range_high",
                        column(&columns[0].name)
                    );
                }
            }
        },
        Only::Keys(kinds, keys) => conditions.extend(keyed(columns, kinds, keys)),
    }
    let selected: Vec<String> = columns.iter().map(|column| column.selected()).collect();
    format!(
        "COPY (SELECT {} FROM {source}{}) TO STDOUT (FORMAT binary)",
        selected.join(", "),
        filter(&conditions)
    )
}

/// Returns whether so many buckets are asked for that all rows may as well be read.
fn are_most(ask: &DigestAsk, buckets: &[u32]) -> bool {
    buckets.len() as u64 * 2 > u64::from(ask.below)
}

/// Returns the ranges of buckets as a relation with columns `range_low` and `range_high`, of the key's type so that its index finds them; none when they are
/// most of all.
fn ranges(key: &Known, ask: &DigestAsk, buckets: &[u32], first: i64, width: i64) -> Option<String> {
    if are_most(ask, buckets) {
        return None;
    }
    // A key beyond its type is beyond every row.
    let (least, greatest) = match key.native.as_str() {
        "smallint" => (i16::MIN.into(), i16::MAX.into()),
        "integer" => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    };
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for run in buckets.chunk_by(|one, two| one + 1 == *two) {
        let (begin, end) = (run[0], run[run.len() - 1]);
        let at = |bucket: u32| first.saturating_add(i64::from(bucket).saturating_mul(width));
        low.push(if begin == 0 { least } else { at(begin).clamp(least, greatest) }.to_string());
        high.push(
            if end + 1 == ask.buckets { greatest } else { (at(end + 1) - 1).clamp(least, greatest) }
                .to_string(),
        );
    }
    let array = |numbers: &[String]| format!("'{{{}}}'::{}[]", numbers.join(","), key.native);
    Some(format!("unnest({}, {}) AS w(range_low, range_high)", array(&low), array(&high)))
}

/// Returns the condition that a row is in one of the hashed buckets; none where they are most of all.
fn within(columns: &[&Known], ask: &DigestAsk, buckets: &[u32]) -> Option<String> {
    // The ask may name the columns of the other side; their order is the same.
    let own = ask.columns[..ask.n_key].iter().zip(columns).map(|(asked, known)| hashed(asked, known));
    let bucket = bucket(&own.collect::<Option<Vec<_>>>()?, ask);
    if are_most(ask, buckets) {
        return (ask.below < ask.buckets).then(|| format!("{bucket} < {}", ask.below));
    }
    let texts: Vec<String> = buckets.iter().map(ToString::to_string).collect();
    Some(format!("{bucket} = ANY ('{{{}}}'::bigint[])", texts.join(",")))
}

/// Returns the condition that a row has one of the keys; none when they cannot be named.
fn keyed(columns: &[&Known], kinds: &[Kind], keys: &[Vec<Value>]) -> Option<String> {
    let own = &columns[..kinds.len()];
    let can = own.iter().zip(kinds).all(|(column, kind)| column.kind == *kind && is_plain(kind));
    let are_whole = keys.iter().flatten().all(|value| !matches!(value, Value::Null | Value::Unread(_)));
    if !can || !are_whole {
        return None;
    }
    let mut arrays = Vec::new();
    for (at, column) in own.iter().enumerate() {
        let texts: Vec<String> = keys.iter().map(|key| literal(&key[at].to_string())).collect();
        let element = if column.kind == Kind::Text {
            "text"
        } else {
            column.native.split('(').next().unwrap_or("text")
        };
        // `timestamp(3) with time zone` has its length in the middle.
        let element = match column.kind {
            Kind::Instant => "timestamptz",
            Kind::Timestamp => "timestamp",
            Kind::Time => "time",
            _ => element,
        };
        arrays.push(format!("ARRAY[{}]::text[]::{element}[]", texts.join(",")));
    }
    let selected: Vec<String> = own.iter().map(|column| column.selected()).collect();
    Some(format!("({}) IN (SELECT * FROM unnest({}))", selected.join(", "), arrays.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{Known, copy, digests, known};
    use seamline_compare::kind::Kind;
    use seamline_compare::rowset::{Buckets, DigestAsk, DigestColumn, Only};
    use std::collections::BTreeMap;

    /// Columns `c0`, `c1`, … of kinds, with whether their types are the same on both sides.
    fn statement(kinds: &[(Kind, u32, bool)]) -> Option<String> {
        let types = BTreeMap::new();
        let known: Vec<Known> = kinds
            .iter()
            .enumerate()
            .map(|(at, (_, oid, _))| known(&format!("c{at}"), *oid, &types, None))
            .collect();
        let columns = kinds.iter().zip(&known).map(|((kind, _, is_same), known)| DigestColumn {
            name: known.name.clone(),
            kind: kind.clone(),
            is_same: *is_same,
        });
        let ask = DigestAsk {
            columns: columns.collect(),
            n_key: 1,
            by: Buckets::Hashed,
            buckets: 1024,
            below: 1024,
            seed: 7,
        };
        digests("x AS t", &["(a > 1)".to_owned()], &known.iter().collect::<Vec<_>>(), &ask)
    }

    #[test]
    fn columns_of_other_types_are_hashed_as_one() {
        let columns = [
            (Kind::Integer, 23, false),
            (Kind::Decimal, 1700, false),
            (Kind::Text, 25, true),
            (Kind::Text, 1042, true),
        ];
        let text = statement(&columns).unwrap();
        let row =
            "record_send(ROW(t.\"c0\"::bigint, trim_scale(t.\"c1\"::numeric), t.\"c2\", t.\"c3\"::text))";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("& 1023"), "{text}");
        assert!(text.ends_with("FROM x AS t WHERE (a > 1) GROUP BY 1"), "{text}");
    }

    #[test]
    fn what_has_no_common_type_is_not_hashed() {
        assert!(statement(&[(Kind::Json, 3802, true)]).is_none(), "as a key");
        assert!(statement(&[(Kind::Integer, 20, true), (Kind::Json, 114, false)]).is_none());
    }

    #[test]
    fn buckets_that_are_ranges_are_read_by_the_index_and_have_no_gaps() {
        let id = known("id", 23, &BTreeMap::new(), Some(&"integer".to_owned()));
        let by = Buckets::Ranges { first: 10, width: 5 };
        let ask = DigestAsk { columns: Vec::new(), n_key: 1, by, buckets: 1024, below: 1024, seed: 7 };
        let text = copy("x AS t", Vec::new(), &[&id], &Only::Buckets(ask, vec![0, 1, 4, 1023]));
        let expected = "FROM unnest('{-2147483648,30,5125}'::integer[], '{19,34,2147483647}'::integer[]) AS w(range_low, range_high) JOIN x AS t ON t.\"id\" \
            BETWEEN w.range_low AND w.range_high)";
        assert!(text.contains(expected), "{text}");
    }
}
