//! What is asked, and what may not be.

use std::time::Duration;

use url::Url;

use crate::error::{Error, Result};

/// One call, which may be sent several times.
#[derive(Clone)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// Where to, see [`address`].
    pub url: Url,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
    /// How long one attempt may take, its whole answer included.
    pub timeout: Duration,
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// An answer with more bytes is refused.
    pub max_bytes: usize,
    /// Whether it does no harm to send it again when nobody knows what became of it.
    pub repeatable: bool,
    /// Whether the path of the URL is a secret too, as that of a webhook.
    pub conceal: bool,
}

impl Request {
    /// What is being done, for messages: neither the query nor the body, which may hold secrets.
    pub fn doing(&self) -> String {
        if self.conceal {
            return format!("{} {}/…", self.method, self.url.origin().ascii_serialization());
        }
        format!("{} {}", self.method, shown(&self.url))
    }
}

/// Whether a method changes nothing on the server.
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// Whether a method may be sent twice to the same effect as once (RFC 9110, 9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    is_safe(method) || matches!(method, "PUT" | "DELETE")
}

/// Reads an address.
///
/// # Errors
/// [`Script`](crate::error::Kind::Script) when it is no `http://` or `https://` URL with a host, or has a
/// password in it, where logs would show it.
pub fn address(text: &str) -> Result<Url> {
    let wrong =
        |what: &str| Err(Error::script(format!("expected a URL such as https://example.com/path, {what}")));
    let Ok(url) = Url::parse(text) else {
        return wrong("found something that is none");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong(&format!("found the scheme `{}`", url.scheme()));
    }
    if !url.has_host() {
        return wrong("found none with a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::script("a URL with a user or password in it ends up in logs")
            .with_hint("pass it as a header: `bearer: TOKEN` or `headers: #{ authorization: … }`"));
    }
    Ok(url)
}

/// A URL without what may be secret in it: its query and fragment.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    let has_query = url.query().is_some();
    url.set_query(None);
    if has_query { format!("{url}?…") } else { url.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_urls_with_a_host_and_without_a_password() {
        for good in ["http://localhost:80/x?y=1", "https://[::1]/", "https://hooks.example.com/T/B/x"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", "none"),
            ("example.com/x", "none"),
            ("ftp://example.com", "scheme `ftp`"),
            ("file:///etc/passwd", "scheme `file`"),
            ("http://", "none"),
            ("https://me:secret@example.com", "password"),
        ] {
            let error = address(bad).unwrap_err();
            assert!(error.message().contains(why), "{bad}: {error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn queries_are_not_shown() {
        let url = address("https://example.com/a/b?token=hush#part").unwrap();
        assert_eq!(shown(&url), "https://example.com/a/b?…");
    }
}
