//! Which cloud is spoken to, as whom, and how patiently.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{ImageCache, Listener};
use crate::error::Result;
use crate::retry::Retry;

/// Where the cloud is and who calls. What is not given here comes from the usual chain: environment,
/// profile (SSO, assumed role and credential process among them), web identity, container and
/// instance metadata; `AWS_ENDPOINT_URL` is honoured.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    /// The address of the API, for a sandbox or moto: `http://127.0.0.1:5000`.
    pub url: Option<String>,
    /// Fixed keys, for a sandbox: with them neither environment nor files are consulted.
    pub keys: Option<Keys>,
    /// The profile of `~/.aws/config` to use.
    pub profile: Option<String>,
    /// The region for calls that name none.
    pub region: Option<String>,
    /// Who finds the addresses behind names, in place of the system. The host in [`Endpoint::url`] has names
    /// then, as AWS's has: `ec2.us-west-2.sandbox`.
    pub names: Option<Names>,
    /// Who hears of every request when it has been answered.
    pub listener: Option<Listener>,
}

/// Finds the address behind a name. It may take its time: it is asked where nobody else waits.
#[derive(Clone)]
pub struct Names(Arc<Find>);

type Find = dyn Fn(&str) -> Result<IpAddr> + Send + Sync;

impl Names {
    /// Names that this function knows.
    pub fn new(find: impl Fn(&str) -> Result<IpAddr> + Send + Sync + 'static) -> Self {
        Names(Arc::new(find))
    }

    /// The address behind a name.
    ///
    /// # Errors
    /// When it has none.
    pub fn find(&self, name: &str) -> Result<IpAddr> {
        (self.0)(name)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

/// An access key with its secret; the secret never shows in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint on loopback with fixed keys, as the sandbox and moto have them.
    pub fn local(url: impl Into<String>) -> Self {
        let keys = Keys { access_key: "sandbox".to_owned(), secret_key: "sandbox".to_owned() };
        Endpoint {
            url: Some(url.into()),
            keys: Some(keys),
            profile: None,
            region: Some("us-east-1".to_owned()),
            names: None,
            listener: None,
        }
    }

    /// Where a service in a region, or in none, is spoken to: under a name of its own if there are names.
    pub(super) fn url_of(&self, service: &str, region: Option<&str>) -> Option<String> {
        let url = self.url.as_deref()?;
        if self.names.is_none() {
            return Some(url.to_owned());
        }
        let (scheme, rest) = url.split_once("://")?;
        let port = rest.rsplit_once(':').map(|(_, port)| format!(":{port}")).unwrap_or_default();
        let place = region.map(|region| format!("{region}.")).unwrap_or_default();
        Some(format!("{scheme}://{service}.{place}sandbox{port}"))
    }
}

/// How patiently the cloud is spoken to.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub read_timeout: Duration,
    /// How failed calls are repeated; the SDK itself repeats nothing.
    pub retry: Retry,
    /// The time between two looks while waiting for instances or for a removal.
    pub poll: Duration,
    /// How long a removal waits for what depends on the resource to go away.
    pub dependency_timeout: Duration,
    /// How long a resource that was just made may take to show in answers.
    pub visibility: Duration,
    /// Whether calls are held back so that they stay below EC2's documented request limits.
    pub rate_limits: bool,
    /// Where images that were looked up are kept; nowhere when absent.
    pub images: Option<ImageCache>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            retry: Retry::default(),
            poll: Duration::from_secs(2),
            dependency_timeout: Duration::from_secs(120),
            visibility: Duration::from_secs(5),
            rate_limits: true,
            images: None,
        }
    }
}

impl Settings {
    /// What suits an endpoint: the local settings on loopback, the default ones elsewhere.
    pub fn for_endpoint(endpoint: &Endpoint) -> Self {
        let environment =
            || std::env::var("AWS_ENDPOINT_URL_EC2").or_else(|_| std::env::var("AWS_ENDPOINT_URL")).ok();
        let url = endpoint.url.clone().or_else(environment).unwrap_or_default();
        let host = url.split("://").nth(1).unwrap_or_default();
        if ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local)) {
            return Settings::local();
        }
        Settings::default()
    }

    /// The same patience in a world where time passes so many times as slowly, see [`Retry::scaled`].
    /// Time-outs of the network, which is as quick as ever, stay.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Settings {
            retry: self.retry.scaled(factor),
            poll: self.poll.mul_f64(factor),
            dependency_timeout: self.dependency_timeout.mul_f64(factor),
            visibility: self.visibility.mul_f64(factor),
            ..self
        }
    }

    /// For an endpoint on loopback: what was made shows at once and looking costs nothing.
    pub fn local() -> Self {
        Settings {
            poll: Duration::from_millis(100),
            visibility: Duration::ZERO,
            rate_limits: false,
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_names_of_their_own_where_there_are_names() {
        let plain = Endpoint::local("http://127.0.0.1:5000");
        assert_eq!(plain.url_of("ec2", Some("us-west-2")).as_deref(), Some("http://127.0.0.1:5000"));
        let names = Some(Names::new(|_| Ok(IpAddr::from([127, 0, 0, 1]))));
        let named = Endpoint { names, ..plain };
        let url = named.url_of("ec2", Some("us-west-2"));
        assert_eq!(url.as_deref(), Some("http://ec2.us-west-2.sandbox:5000"));
        assert_eq!(named.url_of("aws", None).as_deref(), Some("http://aws.sandbox:5000"));
    }

    #[test]
    fn the_secret_key_is_not_printed() {
        let keys = Keys { access_key: "AKIA".to_owned(), secret_key: "hush".to_owned() };
        let endpoint = Endpoint { keys: Some(keys), ..Endpoint::default() };
        let text = format!("{endpoint:?}");
        assert!(text.contains("AKIA") && !text.contains("hush"), "{text}");
    }
}
