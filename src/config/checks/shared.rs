//! Where the state of a project is shared.

use crate::config::report::Report;
use crate::config::settings::SharedState;
use crate::config::tree::Located;

const SCHEME: &str = "s3://";
const EXPECTED: &str = "expected \"s3://BUCKET/PREFIX\"";

/// A place that can be used.
pub(in super::super) fn place(report: &Report, place: &Located<String>) -> Option<SharedState> {
    match parse(&place.value) {
        Ok(place) => Some(place),
        Err(message) => {
            report.error(place.span, message, None);
            None
        }
    }
}

/// The place, or what is wrong with it.
pub(in super::super) fn parse(text: &str) -> Result<SharedState, String> {
    let wrong = |problem: &str| format!("`{text}` cannot be where the state is shared: {problem}");
    let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong(EXPECTED))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let named = (3..=63).contains(&bucket.len()) && bucket.chars().all(inside);
    if !named || !end(bucket.chars().next()) || !end(bucket.chars().next_back()) {
        return Err(wrong("the name of a bucket has 3 to 63 of a-z, 0-9, `-` and `.`"));
    }
    let prefix = prefix.trim_end_matches('/');
    let usable = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if !prefix.is_empty() && !prefix.split('/').all(usable) {
        return Err(wrong("the prefix has letters, digits, `.`, `_` and `-` between single slashes"));
    }
    Ok(SharedState { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_and_a_prefix_are_told_apart() {
        let of = |text| parse(text).map(|it| (it.bucket, it.prefix));
        assert_eq!(of("s3://my-bucket/team/web/"), Ok(("my-bucket".into(), "team/web".into())));
        assert_eq!(of("s3://my.bucket"), Ok(("my.bucket".into(), String::new())));
        for wrong in [
            "",
            "my-bucket/web",
            "https://x/y",
            "s3://",
            "s3://a/b",
            "s3://My/b",
            "s3://my-bucket/a//b",
            "s3://my-bucket/../b",
            "s3://my-bucket/a b",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
