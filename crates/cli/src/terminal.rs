//! The terminal: plain columns, questions, and where colour is wanted.

use crate::exit::usage;
use anyhow::Result;
use std::io::{BufRead, IsTerminal, Write};

/// How a command speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Returns whether standard output takes colour.
pub(crate) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Returns rows as text with each column as wide as its widest cell; the last one is not padded.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |at: usize| rows.iter().filter_map(|row| Some(row.get(at)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if at + 1 < row.len() {
                let padding = widths[at] - cell.chars().count() + 2;
                line.push_str(&" ".repeat(padding));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns a count with its noun, which takes an `s` for more than one and for none.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Asks before something is written. `--yes` answers for a person; without either it refuses.
///
/// # Errors
/// When nobody can be asked.
pub(crate) fn confirmed(question: &str, yes: bool) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(usage(
            "this writes, and nobody is there to ask",
            "read the plan, then run it again with `--yes`",
        ));
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Whether and how a command may write.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Writing {
    /// Write without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Show the plan, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to speak.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
}

impl Writing {
    /// Returns whether to go on after the plan was shown.
    ///
    /// # Errors
    /// When nobody can be asked: input is no terminal, or the answer is for a program.
    pub(crate) fn agreed(&self, question: &str) -> Result<bool> {
        if self.dry_run {
            return Ok(false);
        }
        if self.format == Format::Json && !self.yes {
            return Err(usage(
                "this writes, and a program cannot be asked",
                "add `--yes`, or `--dry-run` to see the plan",
            ));
        }
        confirmed(question, self.yes)
    }

    /// Returns whether people read along.
    pub(crate) fn is_text(&self) -> bool {
        self.format == Format::Text
    }
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["äöü".to_owned(), "c".to_owned()]];
        assert_eq!(columns(&rows), "a    bb\näöü  c\n");
    }
}
