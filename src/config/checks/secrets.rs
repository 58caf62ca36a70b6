//! Values that look like credentials: they do not belong in a file that is committed.

/// What kind of secret a text looks like, if it does.
pub(in super::super) fn looks_like(text: &str) -> Option<&'static str> {
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY") {
        return Some("a private key");
    }
    words(text).find_map(|(_, word)| kind_of(word))
}

/// The text with everything that looks like a secret replaced by as many asterisks.
pub(in super::super) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut copied = 0;
    for (at, word) in words(text).filter(|(_, word)| kind_of(word).is_some()) {
        masked.push_str(text.get(copied..at).unwrap_or_default());
        masked.push_str(&"*".repeat(word.len()));
        copied = at + word.len();
    }
    masked.push_str(text.get(copied..).unwrap_or_default());
    masked
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let separates = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '-'));
    let mut rest_at = 0;
    text.split(separates).map(move |word| {
        // `split` gives the words in order: each starts at or after the end of the one before.
        let at = rest_at + text.get(rest_at..).and_then(|rest| rest.find(word)).unwrap_or_default();
        rest_at = at + word.len();
        (at, word)
    })
}

fn kind_of(word: &str) -> Option<&'static str> {
    let is_key_id = word.len() == 20
        && (word.starts_with("AKIA") || word.starts_with("ASIA"))
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    if is_key_id {
        return Some("an AWS access key id");
    }
    const TOKENS: [&str; 7] = ["ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "sk_live_"];
    if word.len() >= 20 && TOKENS.iter().any(|token| word.starts_with(token)) {
        return Some("an access token");
    }
    let has = |test: fn(&char) -> bool| word.chars().any(|c| test(&c));
    let mixed = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit);
    // Words of a path of that length are told apart by their few changes of case.
    let is_path = word.starts_with('/') || word.matches('/').count() > 4 || word.contains(['-', '_']);
    (word.len() == 40 && mixed && !is_path).then_some("an AWS secret access key")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE1";

    #[test]
    fn credentials_are_recognised() {
        assert_eq!(looks_like(AWS_SECRET), Some("an AWS secret access key"));
        assert_eq!(looks_like("AKIAIOSFODNN7EXAMPLE"), Some("an AWS access key id"));
        assert_eq!(looks_like("-----BEGIN OPENSSH PRIVATE KEY-----\nx"), Some("a private key"));
        assert_eq!(looks_like("ghp_0123456789abcdefghij"), Some("an access token"));
    }

    #[test]
    fn ordinary_values_are_not() {
        for value in [
            "production",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "/opt/Deployment/Some1/very/long/path/of/40",
            "",
        ] {
            assert_eq!(looks_like(value), None, "{value}");
        }
    }

    #[test]
    fn masks_keep_the_length() {
        let line = format!("A = \"{AWS_SECRET}\", B = 'é', C = AKIAIOSFODNN7EXAMPLE");
        let masked = mask(&line);
        assert_eq!(masked, format!("A = \"{}\", B = 'é', C = {}", "*".repeat(40), "*".repeat(20)));
        assert_eq!(mask("nothing here"), "nothing here");
    }
}
