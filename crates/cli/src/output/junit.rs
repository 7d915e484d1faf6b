//! JUnit XML: a suite for each document, a case for each finding; one that fails the command is a failure, one that is put up with is skipped.

use super::visible::visible;
use super::{Report, Told};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Returns the document.
pub(super) fn document(report: &Report<'_>) -> String {
    let told = report.told();
    let suppressed = report.suppressed();
    let cases = told.iter().map(|it| (it, None));
    let cases = cases.chain(suppressed.iter().map(|(it, why)| (*it, Some(why.as_str()))));
    let mut suites: BTreeMap<&str, Vec<(&Told, Option<&str>)>> = BTreeMap::new();
    for (it, why) in cases {
        suites.entry(&it.at.file).or_default().push((it, why));
    }
    let n_failures = told.iter().filter(|it| report.fails(it)).count();
    let n_skipped = suppressed.len();
    // Without any case a report of tests counts as lost.
    let n_tests = (told.len() + n_skipped).max(1);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuites name=\"seamline\" tests=\"{n_tests}\" failures=\"{n_failures}\" errors=\"0\" skipped=\"{n_skipped}\">"
    );
    for (file, cases) in &suites {
        let failures = cases.iter().filter(|(it, why)| why.is_none() && report.fails(it)).count();
        let skipped = cases.iter().filter(|(_, why)| why.is_some()).count();
        let file = escaped(file);
        let _ = writeln!(
            text,
            "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
            cases.len()
        );
        for (it, why) in cases {
            case(&mut text, report, (it, *why), &file);
        }
        text.push_str("  </testsuite>\n");
    }
    if suites.is_empty() {
        text.push_str(
            "  <testsuite name=\"seamline\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\">\n    \
             <testcase name=\"nothing found\" classname=\"seamline\"/>\n  </testsuite>\n",
        );
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, report: &Report<'_>, (told, skipped): (&Told, Option<&str>), file: &str) {
    let (finding, at) = (&told.finding, &told.at);
    let message = escaped(&finding.message);
    let _ = writeln!(
        text,
        "    <testcase name=\"{} at {}:{}\" classname=\"{file}\" file=\"{file}\" line=\"{}\">",
        finding.rule, at.line, at.column, at.line
    );
    let help = finding.help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {}", escaped(help)));
    let body = format!("{file}:{}:{}: {message}{help}", at.line, at.column);
    let _ = match (skipped, report.fails(told)) {
        (Some(why), _) => {
            let why = escaped(why).replace('\n', "&#10;");
            writeln!(
                text,
                "      <skipped message=\"{why}\"/>\n      <system-out>{}: {body}</system-out>",
                finding.level
            )
        }
        (None, true) => writeln!(
            text,
            "      <failure type=\"{}\" message=\"{}\">{body}</failure>",
            finding.rule,
            message.replace('\n', "&#10;")
        ),
        (None, false) => writeln!(text, "      <system-out>{}: {body}</system-out>", finding.level),
    };
    text.push_str("    </testcase>\n");
}

/// Returns a text as it may stand in an attribute or between tags. `>` is escaped too: `]]>` may not stand there.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in visible(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}
