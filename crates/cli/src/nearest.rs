//! The name that was probably meant.

/// Names less alike than this are no suggestion.
const ALIKE_MIN: f64 = 0.75;

/// Returns the name most like a text, if any is much like it.
pub(crate) fn nearest<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let alike = names.into_iter().map(|name| (strsim::jaro_winkler(text, name), name));
    let best = alike.max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (best.0 >= ALIKE_MIN).then_some(best.1)
}

/// Returns the help for a name that is not there: the nearest, or all there are.
pub(crate) fn instead(text: &str, names: &[String]) -> String {
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    match nearest(text, all.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if all.is_empty() => "there is none".to_owned(),
        None => format!("there are: {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{instead, nearest};

    #[test]
    fn a_slip_finds_the_name_and_nonsense_finds_none() {
        let names = ["claims", "crm", "billing"];
        assert_eq!(nearest("claim", names), Some("claims"));
        assert_eq!(nearest("billling", names), Some("billing"));
        assert_eq!(nearest("zzz", names), None);
    }

    #[test]
    fn help_names_the_nearest_or_all() {
        let names = ["claims".to_owned(), "crm".to_owned()];
        assert_eq!(instead("claism", &names), "did you mean `claims`?");
        assert_eq!(instead("zzz", &names), "there are: claims, crm");
    }
}
