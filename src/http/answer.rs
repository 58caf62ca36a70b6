//! What a server said.

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code, 100 to 599.
    pub status: u16,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// What was sent.
    pub body: Vec<u8>,
    /// Where it came from at last, after redirects.
    pub url: Url,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status says that it was done.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The code of an error about it: `Http404`.
    pub fn code(&self) -> String {
        format!("Http{}", self.status)
    }

    /// The body as text; what is no UTF-8 becomes U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the body says of itself that it is JSON.
    pub fn is_json(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    }

    /// Where it sends a caller that may follow.
    pub(super) fn redirect(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then(|| self.header("location"))?
    }

    /// How long the server asks to wait: seconds or a date (RFC 9110, 10.2.3).
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let then = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        Some(Duration::try_from(then.duration_since(Timestamp::now())).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(header: &str, value: &str) -> Answer {
        Answer {
            status: 301,
            headers: vec![(header.to_owned(), value.to_owned())],
            body: Vec::new(),
            url: Url::parse("http://localhost/").unwrap(),
        }
    }

    #[test]
    fn a_pause_is_a_number_or_a_date() {
        assert_eq!(answer("retry-after", "7").retry_after(), Some(Duration::from_secs(7)));
        let past = answer("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(past.retry_after(), Some(Duration::ZERO));
        let soon = Timestamp::now() + jiff::SignedDuration::from_secs(60);
        let soon = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&soon).unwrap();
        let pause = answer("retry-after", &soon).retry_after().unwrap();
        assert!(pause > Duration::from_secs(50) && pause <= Duration::from_secs(60), "{pause:?}");
        assert_eq!(answer("retry-after", "soon").retry_after(), None);
        assert_eq!(answer("x", "7").retry_after(), None);
    }

    #[test]
    fn json_is_what_says_so() {
        for (kind, is) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/html", false),
            ("", false),
        ] {
            assert_eq!(answer("content-type", kind).is_json(), is, "{kind}");
        }
        assert_eq!(answer("location", "/x").redirect(), Some("/x"));
    }
}
