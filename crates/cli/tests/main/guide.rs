//! The guide's pages, done as they are written: each begins in an empty folder, and prints what the page shows.
//!
//! A block `console` holds commands behind `$ ` with what they print below; a line `...` stands for any lines, and a last line
//! `exit N` for an exit code other than 0; a line that ends with ` ...` shows how one begins. A block that begins with `# FILE` as
//! its first line is written into that file. In a block `edit FILE`, lines with `-` are replaced by those with `+`. A block `sql CONTEXT`
//! is what the service does in its database.

use crate::fixture::{Place, Ran};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn page(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide")).to_owned()
}

/// Returns the blocks of a page: what stands behind the fence, and the lines.
fn blocks(page: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let mut open = false;
    for line in page.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                blocks.push((info.to_owned(), Vec::new()));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => blocks.last_mut().unwrap().1.push(line.to_owned()),
            (None, false) => {}
        }
    }
    assert!(!open, "a block is not closed");
    blocks
}

/// Runs a line as a shell does, with the program in its path.
fn shell(place: &Place, line: &str) -> Ran {
    let program = Path::new(env!("CARGO_BIN_EXE_seamline"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(place.root()).env("PATH", path).env("NO_COLOR", "1");
    Ran::of(&command.stdin(Stdio::null()).output().unwrap())
}

/// Whether lines are what is shown, where `...` stands for any.
fn matches(lines: &[&str], shown: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|skip| matches(&lines[skip..], rest)),
        Some((line, rest)) => {
            let is_shown = |first: &&str| match line.strip_suffix(" ...") {
                Some(head) => first.starts_with(head),
                None => first.trim_end() == line.trim_end(),
            };
            lines.first().is_some_and(is_shown) && matches(&lines[1..], rest)
        }
    }
}

fn console(place: &Place, name: &str, lines: &[String]) {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command, Vec::new())),
            None => commands.last_mut().expect("a block begins with a command").1.push(line),
        }
    }
    for (command, mut shown) in commands {
        let code = shown.last().and_then(|line| line.strip_prefix("exit ")).map(|code| code.parse().unwrap());
        if code.is_some() {
            shown.pop();
        }
        let ran = shell(place, command);
        let printed = format!("{}{}", ran.out, ran.err);
        assert_eq!(ran.code, Some(code.unwrap_or(0)), "{name}: {command}\n{printed}");
        let lines: Vec<&str> = printed.lines().collect();
        assert!(
            matches(&lines, &shown),
            "{name}: {command}\nprinted:\n{printed}\nshown:\n{}",
            shown.join("\n")
        );
    }
}

fn edit(place: &Place, name: &str, file: &str, lines: &[String]) {
    let path = place.root().join(file);
    let mut text = std::fs::read_to_string(&path).unwrap();
    let of = |sign: &str| -> String {
        let lines = lines.iter().filter_map(|line| line.strip_prefix(sign));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let (old, new) = (of("-"), of("+"));
    assert_eq!(text.matches(&old).count(), 1, "{name}: {file} holds\n{text}\nnot once\n{old}");
    text = text.replace(&old, &new);
    std::fs::write(path, text).unwrap();
}

fn follow(name: &str) {
    let place = Place::empty();
    let mut n_commands = 0;
    for (info, lines) in blocks(&page(name)) {
        match info.split_once(' ') {
            None if info == "console" => {
                n_commands += lines.iter().filter(|line| line.starts_with("$ ")).count();
                console(&place, name, &lines);
            }
            Some(("edit", file)) => edit(&place, name, file, &lines),
            Some(("sql", file)) if file.ends_with(".sql") => place.write(file, lines.join("\n") + "\n"),
            Some(("sql", context)) => place.sql(context, &lines.join("\n")),
            Some(("yaml" | "csv", file)) => place.write(file, lines.join("\n") + "\n"),
            _ => panic!("{name}: nobody knows what to do with a block `{info}`"),
        }
    }
    assert!(n_commands > 0, "{name}");
}

#[test]
fn the_first_contract_is_written_as_the_guide_says() {
    follow("first-contract.md");
}

#[test]
fn topics_are_made_anew_as_the_guide_says() {
    follow("repartition.md");
}

#[test]
fn a_contract_evolves_as_the_guide_says() {
    follow("evolve.md");
}

#[test]
#[cfg_attr(not(sqlite3_here), ignore = "not run: needs the program sqlite3")]
fn a_consumer_is_added_as_the_guide_says() {
    follow("add-a-consumer.md");
}

#[test]
fn a_consumer_is_operated_as_the_guide_says() {
    follow("operate.md");
}

#[test]
fn a_person_is_erased_as_the_guide_says() {
    follow("erase-a-person.md");
}

#[test]
fn what_is_personal_in_events_is_sealed_as_the_guide_says() {
    follow("sealed-events.md");
}

#[test]
fn a_major_is_retired_as_the_guide_says() {
    follow("retire-a-major.md");
}

#[test]
fn a_poisoned_message_is_mended_as_the_guide_says() {
    follow("poisoned-message.md");
}

#[test]
fn a_restored_database_begins_anew_as_the_guide_says() {
    follow("after-a-restore.md");
}

#[test]
fn an_old_estate_is_adopted_as_the_guide_says() {
    follow("brownfield.md");
}

#[test]
fn a_contract_is_sent_at_its_hour_as_the_guide_says() {
    follow("at-its-hour.md");
}

#[test]
fn two_contracts_are_composed_as_the_guide_says() {
    follow("compose.md");
}

#[test]
fn reference_data_travels_as_the_guide_says() {
    follow("reference-data.md");
}

#[test]
#[cfg_attr(not(git_here), ignore = "not run: there is no git program")]
fn two_repositories_are_joined_as_the_guide_says() {
    follow("two-repositories.md");
}

#[test]
#[cfg_attr(not(sqlite3_here), ignore = "not run: needs the program sqlite3")]
fn drifted_counts_are_mended_as_the_guide_says() {
    follow("counts-drifted.md");
}

#[test]
#[cfg_attr(not(sqlite3_here), ignore = "not run: needs the program sqlite3")]
fn sql_alone_shows_what_the_guide_says() {
    follow("sql-alone.md");
}

#[test]
#[cfg_attr(not(sqlite3_here), ignore = "not run: needs the program sqlite3")]
fn two_systems_are_compared_as_the_guide_says() {
    follow("disagree.md");
}

#[test]
#[cfg_attr(not(sqlite3_here), ignore = "not run: needs the program sqlite3")]
fn a_channel_is_written_in_avro_as_the_guide_says() {
    follow("avro.md");
}

#[test]
fn what_is_shown_is_held_against_what_is_printed() {
    assert!(matches(&["a", "b", "c"], &["a", "...", "c"]));
    assert!(matches(&["a"], &["...", "a", "..."]));
    assert!(matches(&["a b c"], &["a b ..."]));
    assert!(!matches(&["a", "b"], &["a"]));
    assert!(!matches(&["a", "b"], &["...", "c"]));
}

#[test]
fn every_page_of_the_guide_is_linked() {
    let mut n_pages = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let linked = std::fs::read_dir(folder()).unwrap().any(|other| {
            let other = other.unwrap().file_name().into_string().unwrap();
            other != name && page(&other).contains(&format!("({name})"))
        });
        assert!(linked, "{name}");
        n_pages += 1;
    }
    assert!(n_pages > 3, "{n_pages}");
}
