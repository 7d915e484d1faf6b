//! Which columns of two sides belong together, which are the key, and as what each is compared.

use crate::encode::Rule;
use crate::kind::{Declared, Kind, agreed};
use crate::normalise::Normal;
use crate::rowset::{Column, Described, DigestColumn};
use std::time::Duration;

/// The key that stands for all columns: rows are compared as a whole.
pub const WHOLE_ROW: &str = "*";

/// What is asked for. Columns are named as they are on the left.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The columns that tell rows apart; empty: those that a side guarantees to be unique.
    pub key: Vec<String>,
    /// Columns with their names on the right.
    pub map: Vec<(String, String)>,
    /// Columns of either side that are not compared.
    pub ignore: Vec<String>,
    /// What is done to the values of columns on both sides before they are compared.
    pub normal: Vec<(String, Normal)>,
    /// The share of keys that are compared, above 0 and below 1; none: all.
    pub sample: Option<f64>,
    /// A difference counts once both rows stood unchanged for so long; zero: at once.
    pub settle: Duration,
    /// Read all rows, even where digests could be computed.
    pub rows_only: bool,
    /// Columns by whose values rows are counted on both sides.
    pub count_by: Vec<String>,
}

/// What keeps two sides from being compared, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub help: String,
}

/// A column that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Its name on the left.
    pub left: String,
    /// Its name on the right.
    pub right: String,
    /// Its type has the same name on both sides.
    is_same: bool,
    rule: Rule,
}

impl Pair {
    /// Returns as what it is compared.
    pub fn kind(&self) -> &Kind {
        &self.rule.kind
    }
}

/// How two sides are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The columns, those of the key first.
    pub columns: Vec<Pair>,
    /// How many of them are the key.
    pub n_key: usize,
}

/// Left or right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hand {
    Left,
    Right,
}

impl Hand {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Hand::Left => "left",
            Hand::Right => "right",
        }
    }
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// With everything that is in the way, at once.
    pub fn new(left: &Described, right: &Described, ask: &Ask) -> Result<Plan, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut pairs = paired(left, right, ask, &mut problems);
        let key = key(left, right, ask, &pairs, &mut problems);
        for name in ask.normal.iter().map(|(name, _)| name).chain(&ask.count_by) {
            if !pairs.iter().any(|pair| pair.left == *name) {
                problems.push(unknown(name, &left.columns, &right.columns));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let n_key = key.len();
        // Those of the key first, in its order.
        pairs.sort_by_key(|pair| key.iter().position(|name| *name == pair.left).unwrap_or(n_key));
        Ok(Plan { columns: pairs, n_key })
    }

    /// Returns whether the values of keys are compared as they are stored, so that a side can find them by themselves.
    pub(crate) fn is_key_as_stored(&self) -> bool {
        self.columns[..self.n_key].iter().all(|pair| pair.rule.normal == Normal::default())
    }

    /// Returns whether keys are of one type on both sides besides, so that both hash them alike.
    pub(crate) fn is_key_the_same(&self) -> bool {
        self.is_key_as_stored() && self.columns[..self.n_key].iter().all(|pair| pair.is_same)
    }

    pub(crate) fn names(&self, hand: Hand) -> Vec<String> {
        let name = |pair: &Pair| match hand {
            Hand::Left => pair.left.clone(),
            Hand::Right => pair.right.clone(),
        };
        self.columns.iter().map(name).collect()
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> + Clone {
        self.columns.iter().map(|pair| &pair.rule)
    }

    pub(crate) fn digest_columns(&self, hand: Hand) -> Vec<DigestColumn> {
        let names = self.names(hand).into_iter().zip(&self.columns);
        let column = |(name, pair): (String, &Pair)| DigestColumn {
            name,
            kind: pair.rule.kind.clone(),
            is_same: pair.is_same,
        };
        names.map(column).collect()
    }
}

fn paired(left: &Described, right: &Described, ask: &Ask, problems: &mut Vec<Problem>) -> Vec<Pair> {
    let is_ignored = |column: &&Column| !ask.ignore.contains(&column.name);
    let mut rest: Vec<&Column> = right.columns.iter().filter(is_ignored).collect();
    for name in &ask.ignore {
        if !left.columns.iter().chain(&right.columns).any(|column| column.name == *name) {
            problems.push(unknown(name, &left.columns, &right.columns));
        }
    }
    for (from, to) in &ask.map {
        for (name, side) in [(from, left), (to, right)] {
            if !side.columns.iter().any(|column| column.name == *name) {
                problems.push(unknown(name, &side.columns, &[]));
            }
        }
    }
    let mapped = |name: &str| ask.map.iter().find(|(from, _)| from == name).map(|(_, to)| to.as_str());
    let is_taken = |column: &Column| ask.map.iter().any(|(_, to)| *to == column.name);
    let mut pairs = Vec::new();
    let mut alone = Vec::new();
    for column in left.columns.iter().filter(is_ignored) {
        let found = match mapped(&column.name) {
            Some(to) => rest.iter().position(|other| other.name == to),
            None => {
                let exact = rest.iter().position(|other| other.name == column.name && !is_taken(other));
                let like =
                    |other: &&Column| other.name.eq_ignore_ascii_case(&column.name) && !is_taken(other);
                exact.or_else(|| rest.iter().position(like))
            }
        };
        match found {
            Some(at) => pairs.extend(pair(column, rest.remove(at), ask, problems)),
            None if mapped(&column.name).is_none() => alone.push(column),
            None => {}
        }
    }
    problems.extend(unpaired(&alone, &rest));
    if pairs.is_empty() && problems.is_empty() {
        let help = "leave out fewer of them with `--ignore`".to_owned();
        problems.push(Problem { message: "no column is left to compare".to_owned(), help });
    }
    pairs
}

fn pair(left: &Column, right: &Column, ask: &Ask, problems: &mut Vec<Problem>) -> Option<Pair> {
    let normal = ask.normal.iter().find(|(name, _)| *name == left.name).map(|(_, normal)| normal.clone());
    let normal = normal.unwrap_or_default();
    let zoned = |declared: &Declared| match declared.kind {
        Kind::Timestamp if normal.zone_seconds.is_some() => Declared::strict(Kind::Instant),
        _ => declared.clone(),
    };
    let (one, two) = (zoned(&left.declared), zoned(&right.declared));
    let kind = match &normal.kind {
        Some(kind) => Some(kind.clone()),
        None => agreed(&one, &two),
    };
    // What is rounded is a decimal, and what has a zone is a moment, also where both sides say less.
    let kind = match kind {
        Some(Kind::Float | Kind::Integer) if normal.round.is_some() => Some(Kind::Decimal),
        Some(Kind::Text) if normal.zone_seconds.is_some() => Some(Kind::Instant),
        other => other,
    };
    let Some(kind) = kind else {
        let name = &left.name;
        let message = format!(
            "`{name}` does not compare: it is {} ({}) on the left and {} ({}) on the right",
            left.native, one.kind, right.native, two.kind
        );
        problems.push(Problem { message, help: suggestion(name, &one.kind, &two.kind) });
        return None;
    };
    let is_same = left.native == right.native;
    Some(Pair { left: left.name.clone(), right: right.name.clone(), is_same, rule: Rule { kind, normal } })
}

/// Returns what to write so that two kinds compare.
fn suggestion(name: &str, left: &Kind, right: &Kind) -> String {
    let leave = format!("or leave it out with `--ignore {name}`");
    let is = |one: &Kind, two: &Kind| (left == one && right == two) || (left == two && right == one);
    if is(&Kind::Timestamp, &Kind::Instant) {
        return format!("say of which zone the times are, as in `--as {name}=zone:UTC`, {leave}");
    }
    if matches!(left, Kind::Opaque(_) | Kind::List(_)) || matches!(right, Kind::Opaque(_) | Kind::List(_)) {
        return format!("name the column that belongs to it with `--map {name}=COLUMN`, {leave}");
    }
    let kind = if *left == Kind::Text { right } else { left };
    format!(
        "if values can be read as one kind, name it, as in `--as {name}={kind}`; name another column with `--map {name}=COLUMN`; {leave}"
    )
}

/// Returns what to say of columns that stand on one side alone.
fn unpaired(left: &[&Column], right: &[&Column]) -> Vec<Problem> {
    let sides = [(left, right, Hand::Left), (right, left, Hand::Right)];
    let mut problems = Vec::new();
    for (columns, others, hand) in sides {
        for column in columns {
            let name = &column.name;
            let near =
                others.iter().max_by(|a, b| likeness(name, &a.name).total_cmp(&likeness(name, &b.name)));
            let help = match near {
                Some(near) => {
                    let (from, to) = if hand == Hand::Left { (name, &near.name) } else { (&near.name, name) };
                    format!(
                        "if it is the same, write `--map {from}={to}`; else leave it out with `--ignore {name}`"
                    )
                }
                None => format!("leave it out with `--ignore {name}`"),
            };
            problems.push(Problem {
                message: format!("the column `{name}` is on the {} only", hand.word()),
                help,
            });
        }
    }
    problems
}

/// Returns how like two names are, whatever their letters and lines.
fn likeness(one: &str, two: &str) -> f64 {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-', ' '], "");
    strsim::jaro_winkler(&plain(one), &plain(two))
}

fn unknown(name: &str, left: &[Column], right: &[Column]) -> Problem {
    let names = left.iter().chain(right).map(|column| column.name.as_str());
    let near = names.max_by(|a, b| likeness(name, a).total_cmp(&likeness(name, b)));
    let help = near.map_or_else(|| "it has no columns".to_owned(), |near| format!("is `{near}` meant?"));
    Problem { message: format!("there is no column `{name}` to compare"), help }
}

fn key(
    left: &Described,
    right: &Described,
    ask: &Ask,
    pairs: &[Pair],
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    if ask.key == [WHOLE_ROW] {
        return pairs.iter().map(|pair| pair.left.clone()).collect();
    }
    let on_left = |name: &String| pairs.iter().find(|pair| pair.right == *name).map(|pair| pair.left.clone());
    let key: Vec<String> = if !ask.key.is_empty() {
        ask.key.clone()
    } else if !left.key.is_empty() {
        left.key.clone()
    } else {
        right.key.iter().filter_map(on_left).collect()
    };
    if key.is_empty() {
        let guess = left.columns.iter().map(|column| column.name.as_str());
        let guess =
            guess.clone().find(|name| name.ends_with("id")).or_else(|| guess.clone().next()).unwrap_or("id");
        problems.push(Problem {
            message: "neither side says which columns tell its rows apart".to_owned(),
            help: format!(
                "name them, as in `--key {guess}`; without any, compare whole rows with `--key '*'`"
            ),
        });
    }
    for name in &key {
        if !pairs.iter().any(|pair| pair.left == *name)
            && !problems.iter().any(|it| it.message.contains(name))
        {
            problems.push(unknown(name, &left.columns, &right.columns));
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::{Ask, Plan};
    use crate::kind::{Declared, Kind};
    use crate::rowset::{Column, Described};

    fn side(columns: &[(&str, Kind)], key: &[&str]) -> Described {
        let column = |(name, kind): &(&str, Kind)| Column {
            name: (*name).to_owned(),
            declared: Declared::strict(kind.clone()),
            native: kind.to_string(),
        };
        let key = key.iter().map(|name| (*name).to_owned()).collect();
        Described {
            columns: columns.iter().map(column).collect(),
            key,
            rows: None,
            engine: None,
            bounds: None,
        }
    }

    fn problems(left: &Described, right: &Described, ask: &Ask) -> Vec<String> {
        let found = Plan::new(left, right, ask).err().unwrap_or_default();
        found.into_iter().map(|it| format!("{}; {}", it.message, it.help)).collect()
    }

    #[test]
    fn columns_belong_together_by_name_and_the_key_comes_first() {
        let left = side(&[("name", Kind::Text), ("id", Kind::Integer)], &["id"]);
        let right = side(&[("ID", Kind::Integer), ("label", Kind::Text)], &[]);
        let ask = Ask { map: vec![("name".into(), "label".into())], ..Ask::default() };
        let plan = Plan::new(&left, &right, &ask).unwrap();
        let names: Vec<(&str, &str)> =
            plan.columns.iter().map(|it| (it.left.as_str(), it.right.as_str())).collect();
        assert_eq!((names, plan.n_key), (vec![("id", "ID"), ("name", "label")], 1));
    }

    #[test]
    fn everything_in_the_way_is_told_at_once_with_what_to_write() {
        let left = side(&[("id", Kind::Integer), ("policyNo", Kind::Text), ("at", Kind::Timestamp)], &["id"]);
        let right = side(&[("id", Kind::Integer), ("policy_no", Kind::Text), ("at", Kind::Instant)], &[]);
        let found = problems(&left, &right, &Ask::default());
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("--as at=zone:UTC"), "{found:?}");
        assert!(found[1].contains("--map policyNo=policy_no"), "{found:?}");
        let ask = Ask { key: vec!["idd".into()], ignore: vec!["x".into()], ..Ask::default() };
        let same = side(&[("id", Kind::Integer)], &[]);
        assert_eq!(problems(&same, &same, &ask).len(), 2);
        assert!(problems(&same, &same, &Ask::default())[0].contains("`--key id`"));
    }
}
