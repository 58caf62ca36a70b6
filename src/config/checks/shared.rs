//! Where the state of a project is shared.

use crate::config::report::Report;
use crate::config::settings::SharedState;
use crate::config::tree::Located;

const SCHEME: &str = "s3://";
/// Bytes of the longest name of a key.
const LONGEST_KEY: usize = 2048;
const LONELY_KEY: &str = "`state_kms_key` is the key of a shared state, and `state` names none";
const EXPECTED: &str = "expected \"s3://BUCKET/PREFIX\"";

/// A place that can be used, and the key that encrypts what is there.
pub(in super::super) fn place(
    report: &Report,
    place: Option<Located<String>>,
    key: Option<Located<String>>,
) -> Option<SharedState> {
    let refused = |span, message| {
        report.error(span, message, None);
        None
    };
    let kms_key = match key {
        Some(key) if place.is_none() => return refused(key.span, LONELY_KEY.to_owned()),
        Some(key) => match kms_key(&key.value) {
            Ok(usable) => Some(usable),
            Err(message) => return refused(key.span, message),
        },
        None => None,
    };
    let place = place?;
    match parse(&place.value) {
        Ok(shared) => Some(SharedState { kms_key, ..shared }),
        Err(message) => refused(place.span, message),
    }
}

/// The name of a key, or what is wrong with it.
pub(in super::super) fn kms_key(text: &str) -> Result<String, String> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_/:".contains(c);
    if text.is_empty() || text.len() > LONGEST_KEY || !text.chars().all(letter) {
        return Err(format!(
            "`{text}` cannot be the KMS key of the shared state: expected an ARN, an id or `alias/NAME`"
        ));
    }
    Ok(text.to_owned())
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
    Ok(SharedState { bucket: bucket.to_owned(), prefix: prefix.to_owned(), kms_key: None })
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

    #[test]
    fn a_key_is_named_as_kms_names_it() {
        for right in
            ["alias/team", "1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:kms:eu-west-1:123456789012:key/1"]
        {
            assert_eq!(kms_key(right).as_deref(), Ok(right));
        }
        for wrong in ["", "alias/my team", "a\r\nb"] {
            assert!(kms_key(wrong).is_err(), "{wrong:?}");
        }
    }
}
