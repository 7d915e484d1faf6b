//! Texts that match a pattern.

use crate::trial::dice::Dice;
use regex_syntax::hir::{Class, Hir, HirKind};

/// How often more than the least a repetition is taken.
const MORE_MAX: u32 = 4;

/// Draws a text that a pattern describes; none where the pattern cannot be read, or describes no text. Assertions inside the
/// pattern are passed over: whoever draws holds the text against the pattern.
pub(crate) fn draw(dice: &mut Dice, pattern: &str) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let mut bytes = Vec::new();
    take(dice, &hir, &mut bytes)?;
    String::from_utf8(bytes).ok()
}

fn take(dice: &mut Dice, hir: &Hir, out: &mut Vec<u8>) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Unicode(class)) => {
            // Of a class such as `.` the letters that people type, where it has any.
            let all: Vec<(char, char)> = class.iter().map(|range| (range.start(), range.end())).collect();
            let typed = all.iter().map(|(from, to)| (*from.max(&' '), *to.min(&'~')));
            let typed: Vec<(char, char)> = typed.filter(|(from, to)| from <= to).collect();
            let ranges = if typed.is_empty() { all } else { typed };
            let letter = dice.letter(&ranges)?;
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        HirKind::Class(Class::Bytes(class)) => {
            let ranges: Vec<(char, char)> =
                class.iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect();
            let letter = dice.letter(&ranges)?;
            out.push(u8::try_from(u32::from(letter)).ok()?);
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX).min(repetition.min.saturating_add(MORE_MAX));
            let times = repetition.min as usize + dice.below((most - repetition.min) as usize + 1);
            for _ in 0..times {
                take(dice, &repetition.sub, out)?;
            }
        }
        HirKind::Capture(capture) => take(dice, &capture.sub, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                take(dice, part, out)?;
            }
        }
        HirKind::Alternation(ways) => {
            let chosen = dice.below(ways.len());
            take(dice, &ways[chosen], out)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::trial::dice::Dice;

    #[test]
    fn what_is_drawn_matches() {
        let mut dice = Dice::new(1);
        for pattern in ["P-[0-9]{8}", "[A-Z]{2}", "A[0-9]+", "(ab|c)*x?", r"\d{2}:\w+", ".{3,}", "", "(?i)ok"]
        {
            let whole = format!(r"\A(?:{pattern})\z");
            let regex = regex_syntax::parse(&whole);
            assert!(regex.is_ok(), "{pattern}");
            for _ in 0..50 {
                let text = draw(&mut dice, pattern).unwrap();
                let length = text.chars().count();
                match pattern {
                    "P-[0-9]{8}" => assert!(text.starts_with("P-") && length == 10, "{text}"),
                    "[A-Z]{2}" => assert!(text.chars().all(|it| it.is_ascii_uppercase()) && length == 2),
                    ".{3,}" => assert!((3..=7).contains(&length), "{text}"),
                    _ => {}
                }
            }
        }
        assert_eq!(draw(&mut dice, "("), None);
        assert_eq!(draw(&mut dice, "[^\\s\\S]"), None);
    }
}
