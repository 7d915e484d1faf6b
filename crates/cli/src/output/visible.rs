//! Texts of users as people may see them: signs that no one sees, or that turn what stands around them, are spelt out.

/// Returns a text with control characters and marks of direction spelt out, as in `\u{202e}`; line feeds and tabs stay.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            _ if letter.is_control() || is_unseen(letter) => shown.extend(letter.escape_unicode()),
            _ => shown.push(letter),
        }
    }
    shown
}

/// Whether a character changes how others are shown and is not shown itself, or may stand in no XML text.
fn is_unseen(letter: char) -> bool {
    matches!(letter,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns a text on one line, visible.
pub(super) fn one_line(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{one_line, visible};

    #[test]
    fn what_nobody_sees_is_spelt_out() {
        assert_eq!(visible("a\u{202e}b\u{1b}[31m\0\nc"), "a\\u{202e}b\\u{1b}[31m\\u{0}\nc");
        assert_eq!(visible("ä 漢 🙂"), "ä 漢 🙂");
        assert_eq!(one_line("a\n  b\tc"), "a b c");
    }
}
