//! Decimal numbers of any length, in a form that is the same for equal numbers and whose bytes are ordered as the numbers are.

use std::cmp::Ordering;

/// The largest exponent that is read: more than any database holds.
const EXPONENT_MAX: i32 = 100_000;

const BASE: u32 = 10_000;

/// A decimal number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Number {
    /// No number.
    Nan,
    /// Beyond all numbers.
    Infinite {
        /// Below them.
        is_negative: bool,
    },
    /// Zero has no groups, weight zero and no sign. Invariant: neither the first nor the last group is zero.
    Finite {
        /// Below zero.
        is_negative: bool,
        /// The power of ten thousand by which the first group counts.
        weight: i32,
        /// Digits to the base of ten thousand.
        groups: Vec<u16>,
    },
}

impl Number {
    /// Returns a number in its one form.
    pub(crate) fn finite(is_negative: bool, weight: i32, mut groups: Vec<u16>) -> Number {
        while groups.last() == Some(&0) {
            groups.pop();
        }
        let zeros = groups.iter().take_while(|group| **group == 0).count();
        groups.drain(..zeros);
        if groups.is_empty() {
            return Number::Finite { is_negative: false, weight: 0, groups };
        }
        let zeros = i32::try_from(zeros).expect("a number has few digits");
        Number::Finite { is_negative, weight: weight - zeros, groups }
    }

    /// Returns a whole number divided by a power of ten.
    pub(crate) fn from_scaled(number: i128, scale: u32) -> Number {
        let digits = number.unsigned_abs().to_string();
        let point = i32::try_from(digits.len()).expect("128 bits have few digits")
            - i32::try_from(scale).unwrap_or(EXPONENT_MAX);
        from_digits(number < 0, digits.as_bytes(), point)
    }

    /// Returns the number that a float is, to its last digit.
    pub(crate) fn from_float(number: f64) -> Number {
        if number.is_nan() {
            return Number::Nan;
        }
        if number.is_infinite() {
            return Number::Infinite { is_negative: number < 0.0 };
        }
        // A float has at most so many digits after its point.
        Number::from_text(&format!("{number:.1074}")).expect("a float prints as a number")
    }

    /// Returns the float that is nearest.
    pub(crate) fn to_float(&self) -> f64 {
        match self {
            Number::Nan => f64::NAN,
            Number::Infinite { is_negative: true } => f64::NEG_INFINITY,
            Number::Infinite { is_negative: false } => f64::INFINITY,
            Number::Finite { .. } => self.text().parse().expect("a decimal reads as a float"),
        }
    }

    /// Reads plain or scientific notation.
    pub(crate) fn from_text(text: &str) -> Option<Number> {
        let (is_negative, rest) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        if rest.eq_ignore_ascii_case("nan") {
            return Some(Number::Nan);
        }
        if rest.eq_ignore_ascii_case("infinity") || rest.eq_ignore_ascii_case("inf") {
            return Some(Number::Infinite { is_negative });
        }
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
            None => (rest, 0),
        };
        if exponent.abs() > EXPONENT_MAX {
            return None;
        }
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
        let digits = [whole.as_bytes(), fraction.as_bytes()].concat();
        Some(from_digits(is_negative, &digits, point))
    }

    /// Returns the number in plain notation without needless zeros.
    pub(crate) fn text(&self) -> String {
        let (is_negative, digits, point) = match self {
            Number::Nan => return "NaN".to_owned(),
            Number::Infinite { is_negative } => {
                return if *is_negative { "-Infinity" } else { "Infinity" }.to_owned();
            }
            Number::Finite { groups, .. } if groups.is_empty() => return "0".to_owned(),
            Number::Finite { is_negative, weight, groups } => {
                let digits: String = groups.iter().map(|group| format!("{group:04}")).collect();
                (*is_negative, digits, (weight + 1) * 4)
            }
        };
        let mut text = String::new();
        if is_negative {
            text.push('-');
        }
        let point_at = usize::try_from(point.max(0)).unwrap_or(0);
        let whole: String = digits.chars().chain(std::iter::repeat('0')).take(point_at).collect();
        let whole = whole.trim_start_matches('0');
        text.push_str(if whole.is_empty() { "0" } else { whole });
        let zeros = "0".repeat(usize::try_from((-point).max(0)).unwrap_or(0));
        let fraction = format!("{zeros}{}", digits.get(point_at.min(digits.len())..).unwrap_or(""));
        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            text.push('.');
            text.push_str(fraction);
        }
        text
    }

    /// Rounds to so many digits after the point, a half away from zero.
    pub(crate) fn rounded(&self, digits: u32) -> Number {
        let Number::Finite { is_negative, .. } = self else { return self.clone() };
        let text = self.text();
        let Some((whole, fraction)) = text.split_once('.') else { return self.clone() };
        let kept = usize::try_from(digits).unwrap_or(usize::MAX);
        if fraction.len() <= kept {
            return self.clone();
        }
        let rises = fraction.as_bytes()[kept] >= b'5';
        let mut digits: Vec<u8> =
            whole.trim_start_matches('-').bytes().chain(fraction[..kept].bytes()).collect();
        if rises {
            let mut at = digits.len();
            loop {
                if at == 0 {
                    digits.insert(0, b'1');
                    break;
                }
                at -= 1;
                if digits[at] == b'9' {
                    digits[at] = b'0';
                } else {
                    digits[at] += 1;
                    break;
                }
            }
        }
        let point = digits.len() - kept;
        from_digits(*is_negative, &digits, i32::try_from(point).expect("a number has few digits"))
    }

    /// Writes the number so that bytes are ordered as numbers are, NaN after all of them.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Number::Infinite { is_negative: true } => out.push(0),
            Number::Infinite { is_negative: false } => out.push(4),
            Number::Nan => out.push(5),
            Number::Finite { groups, .. } if groups.is_empty() => out.push(2),
            Number::Finite { is_negative, weight, groups } => {
                out.push(if *is_negative { 1 } else { 3 });
                let at = out.len();
                let biased =
                    u16::try_from(weight + 0x8000).expect("exponents are bounded where they are read");
                out.extend(biased.to_be_bytes());
                groups.iter().for_each(|group| out.extend((group + 1).to_be_bytes()));
                out.extend([0, 0]);
                if *is_negative {
                    out[at..].iter_mut().for_each(|byte| *byte = !*byte);
                }
            }
        }
    }

    /// Reads what [`Number::write`] wrote, and returns what follows.
    ///
    /// # Panics
    /// With other bytes.
    pub(crate) fn read(bytes: &[u8]) -> (Number, &[u8]) {
        let (class, mut rest) = bytes.split_first().expect("a number has a class");
        let is_negative = match class {
            0 => return (Number::Infinite { is_negative: true }, rest),
            2 => return (Number::finite(false, 0, Vec::new()), rest),
            4 => return (Number::Infinite { is_negative: false }, rest),
            5 => return (Number::Nan, rest),
            class => *class == 1,
        };
        let mask = if is_negative { 0xffff } else { 0 };
        let mut next = || {
            let (pair, after) = rest.split_at(2);
            rest = after;
            u16::from_be_bytes([pair[0], pair[1]]) ^ mask
        };
        let weight = i32::from(next()) - 0x8000;
        let groups = std::iter::from_fn(|| next().checked_sub(1)).collect();
        (Number::Finite { is_negative, weight, groups }, rest)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        let bytes = |number: &Number| {
            let mut out = Vec::new();
            number.write(&mut out);
            out
        };
        Some(bytes(self).cmp(&bytes(other)))
    }
}

/// Returns the number with these digits, so many of them before the point.
fn from_digits(is_negative: bool, digits: &[u8], point: i32) -> Number {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = &digits[zeros..];
    let point = point - i32::try_from(zeros).unwrap_or(i32::MAX / 2);
    let n_groups = point.div_euclid(4) + i32::from(point.rem_euclid(4) > 0);
    let lead = usize::try_from(n_groups * 4 - point).expect("a group has at most four digits");
    let mut groups = Vec::with_capacity(digits.len() / 4 + 2);
    let (mut group, mut filled) = (0_u32, lead);
    for digit in digits {
        group = group * 10 + u32::from(digit - b'0');
        filled += 1;
        if filled == 4 {
            groups.push(u16::try_from(group % BASE).expect("a group is less than its base"));
            (group, filled) = (0, 0);
        }
    }
    if filled > 0 && !digits.is_empty() {
        let shift = 10_u32.pow(u32::try_from(4 - filled).expect("at most four"));
        groups.push(u16::try_from(group * shift % BASE).expect("a group is less than its base"));
    }
    Number::finite(is_negative, n_groups - 1, groups)
}

#[cfg(test)]
mod tests {
    use super::Number;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        Number::from_text(text).unwrap()
    }

    fn bytes(number: &Number) -> Vec<u8> {
        let mut out = Vec::new();
        number.write(&mut out);
        out
    }

    #[test]
    fn one_number_has_one_form_whatever_its_scale() {
        for same in [&["1", "1.0", "1.000", "+01", "10e-1", "0.1E1"][..], &["0", "-0", "0.000", "0e5"]] {
            let forms: Vec<Number> = same.iter().map(|text| number(text)).collect();
            assert!(forms.windows(2).all(|pair| pair[0] == pair[1]), "{same:?}: {forms:?}");
        }
        assert_ne!(number("5"), number("-5"));
        assert_eq!(Number::from_scaled(-1234, 2), number("-12.34"));
        assert_eq!(number("0.00001200").text(), "0.000012");
        assert_eq!(number("1e20").text(), "100000000000000000000");
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".", "1.2.3", "1e", "0x10", "1 2", "1e999999", "٣"] {
            assert_eq!(Number::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_half_is_rounded_away_from_zero() {
        for (text, digits, expected) in
            [("1.005", 2, "1.01"), ("-1.005", 2, "-1.01"), ("9.99", 1, "10"), ("0.4", 0, "0"), ("7", 2, "7")]
        {
            assert_eq!(number(text).rounded(digits), number(expected), "{text}");
        }
    }

    #[test]
    fn a_float_is_what_it_is_to_the_last_digit() {
        assert_ne!(Number::from_float(0.1), number("0.1"));
        assert_eq!(Number::from_float(0.25), number("0.25"));
        assert_eq!(Number::from_float(9_007_199_254_740_993.0), number("9007199254740992"));
        assert_eq!(number("0.1").to_float(), 0.1);
    }

    proptest! {
        #[test]
        fn bytes_are_ordered_as_numbers_are(a in any::<i64>(), b in any::<i64>(), at in 0_u32..18, to in 0_u32..18) {
            let (one, two) = (Number::from_scaled(a.into(), at), Number::from_scaled(b.into(), to));
            let (a, b) = (i128::from(a) * 10_i128.pow(18 - at), i128::from(b) * 10_i128.pow(18 - to));
            prop_assert_eq!(bytes(&one).cmp(&bytes(&two)), a.cmp(&b));
            prop_assert_eq!(&number(&one.text()), &one);
            let written = bytes(&one);
            let (read, rest) = Number::read(&written);
            prop_assert!(rest.is_empty());
            prop_assert_eq!(read, one);
        }
    }
}
