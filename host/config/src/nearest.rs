//! The nearest known name, for "did you mean": one rule for keys, classes and words alike.

/// Longer names are not compared: the distance costs their product.
const NAME_CHARS_MAX: usize = 256;

/// The candidate most like `name`, if it is like it at all: at most a third of the letters differ. Case counts little,
/// because `Tasks.Max` is nearer to `tasks.max` than to anything else. The first of equals wins, so the answer depends
/// on nothing but its input.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    if length == 0 || length > NAME_CHARS_MAX {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= NAME_CHARS_MAX)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= length.max(candidate.chars().count()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(nearest(name, ["tasks.max", "topics", "topics.regex", "file"]), expected);
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        check("task.max", Some("tasks.max"));
        check("tasks.mxa", Some("tasks.max"));
        check("Topics", Some("topics"));
        check("flie", Some("file"));
    }

    #[test]
    fn what_resembles_nothing_gets_no_suggestion() {
        check("connection.url", None);
        check("", None);
        check(&"x".repeat(100_000), None);
    }
}
