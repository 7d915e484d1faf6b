//! `seamline compare LEFT RIGHT`: where two tables, queries or files disagree, key by key and field by field.

mod report;
mod side;

use crate::exit::{Exit, Refusal, usage};
use anyhow::Result;
use report::{Head, Speech};
use seamline_compare::difference::{Conclusion, Outcome};
use seamline_compare::normalise::{Normal, WORDS};
use seamline_compare::plan::Ask;
use seamline_compare::rowset::ReadError;
use seamline_compare::run::{CompareError, compare};
use std::time::Duration;

/// Shows where two tables, queries or files disagree, key by key and field by field. Reads both, and writes neither.
///
/// A side is `postgres://host:port/database#schema.table`, `env:VARIABLE#schema.table` with such an address in the variable,
/// `file.sqlite#table`, `file.csv` or `file.parquet`. Behind `#` may stand a query, too: `'…#select id, state from orders'`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One side; columns are named as they are here.
    left: String,
    /// The other side.
    right: String,
    /// The columns that tell rows apart; a table's primary key by default, `*` for whole rows.
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,…")]
    key: Vec<String>,
    /// A column that has another name on the right; may be given often.
    #[arg(long, value_name = "LEFT=RIGHT")]
    map: Vec<String>,
    /// Columns of either side that are not compared.
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,…")]
    ignore: Vec<String>,
    /// What is done to a column's values on both sides before they are compared, as in `amount=decimal,round:2`; may be given often.
    #[arg(long = "as", value_name = "COLUMN=STEP,…", long_help = steps())]
    normal: Vec<String>,
    /// Rows of both sides for which this SQL condition holds.
    #[arg(long = "where", value_name = "SQL")]
    condition: Option<String>,
    /// Rows of the left for which this SQL condition holds.
    #[arg(long, value_name = "SQL", conflicts_with = "condition")]
    where_left: Option<String>,
    /// Rows of the right for which this SQL condition holds.
    #[arg(long, value_name = "SQL", conflicts_with = "condition")]
    where_right: Option<String>,
    /// Compare a share of the keys, the same on both sides, as in `1%`. What looks equal then is inconclusive.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    sample: Option<f64>,
    /// Under live writes: a difference counts once both rows stood unchanged for so long, as in `10s`.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    settle: Duration,
    /// Count the rows of both sides by the values of these columns.
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,…")]
    count_by: Vec<String>,
    /// Read all rows, also where both servers could compute digests.
    #[arg(long)]
    all_rows: bool,
    /// Show values; without it only whether there is one. Keys are always shown.
    #[arg(long)]
    show_values: bool,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    format: report::Format,
}

fn steps() -> String {
    let mut text =
        "What is done to a column's values on both sides before they are compared; may be given often:"
            .to_owned();
    for (word, what) in WORDS {
        text.push_str(&format!("\n  {word}: {what}"));
    }
    text
}

/// Reads `1%` or `0.01`.
fn share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    let wrong = || "write a share above 0 and below 1, as in `1%` or `0.01`".to_owned();
    number.ok().filter(|share: &f64| *share > 0.0 && *share < 1.0).ok_or_else(wrong)
}

/// Reads `500ms`, `10s`, `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let at = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || "write a number and its unit, as in `500ms`, `10s` or `2m`".to_owned();
    let number: u64 = text[..at].parse().map_err(|_| wrong())?;
    match &text[at..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(wrong()),
    }
}

/// Runs the command.
///
/// # Errors
/// When the call does not fit the two sides, or one of them cannot be read.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let ask = ask(args)?;
    let of = |own: &Option<String>| own.clone().or_else(|| args.condition.clone());
    let mut left = side::opened(&args.left, of(&args.where_left))?;
    let mut right = side::opened(&args.right, of(&args.where_right))?;
    let head = Head {
        left: left.name().to_owned(),
        right: right.name().to_owned(),
        settles: !args.settle.is_zero(),
        show_values: args.show_values,
    };
    let mut speech = Speech::new(args.format, head);
    let outcome = compare(&mut *left, &mut *right, &ask, &mut speech).map_err(refused)?;
    speech.end(&outcome)?;
    Ok(exit(&outcome))
}

fn exit(outcome: &Outcome) -> Exit {
    match outcome.conclusion() {
        Conclusion::Equal => Exit::Clean,
        Conclusion::Different => Exit::Drift,
        Conclusion::Inconclusive => Exit::Inconclusive,
    }
}

fn ask(args: &Args) -> Result<Ask> {
    let pair = |text: &String, option: &str, example: &str| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(usage(
            format!("`--{option} {text}` is no pair"),
            format!("write it as `--{option} {example}`"),
        )),
    };
    let mut map = Vec::new();
    for text in &args.map {
        map.push(pair(text, "map", "policyNo=policy_no")?);
    }
    let mut normal: Vec<(String, Normal)> = Vec::new();
    for text in &args.normal {
        let (name, steps) = pair(text, "as", "amount=decimal,round:2")?;
        let read = steps.parse().map_err(|error| {
            let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
            usage(format!("`--as {text}`: {error}"), format!("there are: {}", words.join(", ")))
        })?;
        if normal.iter().any(|(known, _)| *known == name) {
            let help = "write all steps of a column behind one `--as`, with commas between";
            return Err(usage(format!("`--as {name}` is given twice"), help));
        }
        normal.push((name, read));
    }
    Ok(Ask {
        key: args.key.clone(),
        map,
        ignore: args.ignore.clone(),
        normal,
        sample: args.sample,
        settle: args.settle,
        rows_only: args.all_rows,
        count_by: args.count_by.clone(),
    })
}

fn refused(error: CompareError) -> anyhow::Error {
    match error {
        CompareError::Plan(problems) => {
            // All but the last are told here: a refusal has one message.
            let Some((last, before)) = problems.split_last() else {
                return anyhow::anyhow!("a plan without problems failed");
            };
            for problem in before {
                eprintln!("error: {}\nhelp: {}", problem.message, problem.help);
            }
            usage(last.message.clone(), last.help.clone())
        }
        CompareError::Side { hand, source } => {
            let exit = match source {
                ReadError::Usage { .. } => Exit::Usage,
                ReadError::Unreachable { .. } => Exit::Unreachable,
            };
            Refusal { exit, message: format!("the {hand}: {source}"), help: source.help().to_owned() }.into()
        }
        CompareError::Report(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{share, time};
    use std::time::Duration;

    #[test]
    fn shares_and_times_are_read() {
        assert_eq!((share("1%"), share("0.5")), (Ok(0.01), Ok(0.5)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        for text in ["0", "1", "100%", "-1%", "x"] {
            assert!(share(text).is_err(), "{text}");
        }
        for text in ["10", "s", "1h", "-1s", ""] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
