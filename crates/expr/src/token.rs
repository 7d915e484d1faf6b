//! The words of an expression, each with its bytes.

use crate::program::ExprError;
use std::ops::Range;

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Name(String),
    /// Digits, with at most one point between them.
    Number(String),
    /// A text, its escapes resolved.
    Text(String),
    Sign(&'static str),
    End,
}

/// A word and where it stands.
pub(crate) type Placed = (Token, Range<usize>);

/// The signs, longer ones before those that begin them.
const SIGNS: [&str; 22] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ",", ".", "(", ")",
    "[", "]",
];

pub(crate) fn refusal(bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> ExprError {
    ExprError { bytes, message: message.into(), help: Some(help.into()) }
}

/// Returns the words of a text, `End` last.
pub(crate) fn tokens(text: &str) -> Result<Vec<Placed>, ExprError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if matches!(first, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let quoted = rest.strip_prefix('r').unwrap_or(rest);
        let (token, length) = if quoted.starts_with(['\'', '"']) {
            literal(text, at, quoted.len() < rest.len())?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let word = &rest[..length];
            (if word == "in" { Token::Sign("in") } else { Token::Name(word.to_owned()) }, length)
        } else if first.is_ascii_digit() {
            number(rest, at)?
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            return Err(foreign(first, at));
        };
        found.push((token, at..at + length));
        at += length;
    }
    found.push((Token::End, at..at));
    Ok(found)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn foreign(found: char, at: usize) -> ExprError {
    let help = match found {
        '=' => "compare with `==`",
        '&' => "write `&&`",
        '|' => "write `||`",
        '{' | '}' => "objects are declared, not written in expressions",
        '‘' | '’' | '“' | '”' => "texts stand between straight quotes: `'…'`",
        _ => "texts stand between quotes: `'…'`; names are ASCII letters and digits",
    };
    refusal(at..at + found.len_utf8(), format!("`{}` has no meaning here", found.escape_debug()), help)
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), ExprError> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut length = digits(rest);
    if let Some(fraction) = rest[length..].strip_prefix('.') {
        let width = digits(fraction);
        length += if width > 0 { width + 1 } else { 0 };
    }
    let tail = rest[length..].find(|c: char| !is_word(c)).unwrap_or(rest.len() - length);
    if tail > 0 {
        let whole = &rest[..length + tail];
        return Err(refusal(
            at..at + whole.len(),
            format!("`{whole}` is no number"),
            "write all digits, such as `1000` or `0.05`; quote a text",
        ));
    }
    Ok((Token::Number(rest[..length].to_owned()), length))
}

/// Reads a text that begins at `start`, after an `r` where it is raw.
fn literal(text: &str, start: usize, raw: bool) -> Result<(Token, usize), ExprError> {
    let open = start + usize::from(raw);
    let quote = &text[open..=open];
    let mut value = String::new();
    let mut chars = text[open + 1..].char_indices();
    while let Some((offset, c)) = chars.next() {
        let at = open + 1 + offset;
        match c {
            '\n' | '\r' => break,
            '\\' if !raw => {
                let escaped = escape(&mut chars);
                let end = text.len() - chars.as_str().len();
                value.push(escaped.ok_or_else(|| {
                    refusal(
                        at..end,
                        "this escape is not known",
                        "write `\\\\`, `\\'`, `\\\"`, `\\n`, `\\t` or `\\u00e9`",
                    )
                })?);
            }
            c if quote.starts_with(c) => return Ok((Token::Text(value), at + 1 - start)),
            c => value.push(c),
        }
    }
    Err(refusal(start..text.len(), "the text does not end", format!("close it with `{quote}`")))
}

fn escape(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    Some(match chars.next()?.1 {
        c @ ('\\' | '\'' | '"') => c,
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let mut code = 0;
            for _ in 0..4 {
                code = code * 16 + chars.next()?.1.to_digit(16)?;
            }
            char::from_u32(code)?
        }
        _ => return None,
    })
}
