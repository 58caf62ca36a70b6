//! The HTTP connections that all clients share. Nothing is loaded before it is needed: plain HTTP (a
//! sandbox, moto, instance metadata) never reads the trusted certificates.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError, SharedDnsResolver};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;

use super::heard::Heard;
use super::plan::{Watch, Watched};
use super::whole::Whole;
use crate::cloud::{Endpoint, Listener, Names, codes};
use crate::error::{Error, Result};
use crate::http::ByScheme;

/// Answers with the caller's address in plain text.
const ADDRESS_SERVICE: &str = "https://checkip.amazonaws.com/";
/// How long that may take.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection and how long an answer may take.
type Timeouts = (Option<Duration>, Option<Duration>);

/// Connections by their time-outs: the calls' own, and the short ones of the credential chain.
#[derive(Clone, Default)]
pub(super) struct Transport {
    connectors: Arc<Mutex<HashMap<Timeouts, SharedHttpConnector>>>,
    watch: Arc<Watch>,
    names: Option<Lookup>,
    listener: Option<Listener>,
}

impl Transport {
    /// Connections to an endpoint whose requests are watched.
    pub(super) fn watched(watch: Watch, endpoint: &Endpoint) -> Self {
        Transport {
            connectors: Arc::default(),
            watch: Arc::new(watch),
            names: endpoint.names.clone().map(Lookup),
            listener: endpoint.listener.clone(),
        }
    }

    /// Connections to the same places that nobody watches.
    pub(super) fn unwatched(&self) -> Self {
        Transport { names: self.names.clone(), ..Transport::default() }
    }

    /// What watches the requests.
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The client for the SDK.
    pub(super) fn client(&self) -> SharedHttpClient {
        let transport = self.clone();
        http_client_fn(move |settings, _| transport.connector(settings))
    }

    pub(super) fn connector(&self, settings: &HttpConnectorSettings) -> SharedHttpConnector {
        let key = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        let build = || {
            let inner = SharedHttpConnector::new(ByScheme::new(
                settings.clone(),
                self.names.clone().map(SharedDnsResolver::new),
            ));
            let mut inner = SharedHttpConnector::new(Whole { inner });
            // What a plan answers itself has not been asked of anybody.
            if let Some(listener) = self.listener.clone() {
                inner = SharedHttpConnector::new(Heard { listener, inner });
            }
            match self.watch.is_idle() {
                true => inner,
                false => SharedHttpConnector::new(Watched { watch: Arc::clone(&self.watch), inner }),
            }
        };
        connectors.entry(key).or_insert_with(build).clone()
    }

    /// Asks a public service under which address it sees us.
    pub(super) async fn public_address(&self) -> Result<IpAddr> {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(ADDRESS_TIMEOUT)
            .read_timeout(ADDRESS_TIMEOUT)
            .build();
        let connector = self.connector(&settings);
        let ask = async {
            let request = HttpRequest::get(ADDRESS_SERVICE).map_err(|error| address_error(&error))?;
            let answer = connector.call(request).await.map_err(|error| address_error(&error))?;
            let body =
                ByteStream::new(answer.into_body()).collect().await.map_err(|error| address_error(&error))?;
            parse_address(&body.into_bytes())
        };
        tokio::time::timeout(ADDRESS_TIMEOUT, ask).await.unwrap_or_else(|_| {
            Err(address_error(&"no answer in 5 seconds").with_code(codes::REQUEST_TIMEOUT))
        })
    }
}

fn parse_address(body: &[u8]) -> Result<IpAddr> {
    let text = String::from_utf8_lossy(body);
    text.trim().parse().map_err(|_| {
        let start: String = text.trim().chars().take(40).collect();
        address_error(&format!("`{start}` is not an address")).retryable(false)
    })
}

fn address_error(cause: &dyn fmt::Display) -> Error {
    Error::aws(format!("cannot find this machine's public address at {ADDRESS_SERVICE}: {cause}"))
        .with_code(codes::CONNECTION_FAILED)
        .with_hint("name the address ranges that may connect in the configuration, such as 203.0.113.7/32")
        .retryable(true)
}

/// The loopback address that a URL points to, if it does.
pub(super) fn loopback(url: &str) -> Option<IpAddr> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next()?,
        None => authority.split(':').next()?,
    };
    if host == "localhost" {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    host.parse().ok().filter(IpAddr::is_loopback)
}

/// The names of an endpoint, as the SDK asks for them.
#[derive(Debug, Clone)]
struct Lookup(Names);

impl ResolveDns for Lookup {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        let (names, name) = (self.0.clone(), name.to_owned());
        DnsFuture::new(async move {
            // It may ask somebody and wait for the answer.
            match tokio::task::spawn_blocking(move || names.find(&name)).await {
                Ok(Ok(address)) => Ok(vec![address]),
                Ok(Err(error)) => Err(ResolveDnsError::new(error)),
                Err(error) => Err(ResolveDnsError::new(error)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_urls_are_recognised() {
        for (url, address) in [
            ("http://127.0.0.1:5000", Some("127.0.0.1")),
            ("http://localhost:5000/x", Some("127.0.0.1")),
            ("http://[::1]:5000", Some("::1")),
            ("http://127.7.0.1", Some("127.7.0.1")),
            ("https://ec2.us-west-2.amazonaws.com", None),
            ("http://10.0.0.1:5000", None),
            ("", None),
        ] {
            assert_eq!(loopback(url).map(|it| it.to_string()).as_deref(), address, "{url}");
        }
    }

    #[test]
    fn an_answer_that_is_no_address_is_an_error_that_quotes_it() {
        assert_eq!(parse_address(b"203.0.113.7\n").unwrap().to_string(), "203.0.113.7");
        let error = parse_address(b"<html>captive portal").unwrap_err();
        assert!(error.message().contains("captive portal"), "{error}");
        assert!(error.hint().is_some());
    }

    #[tokio::test]
    async fn secure_connections_can_be_built_and_fail_politely() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = HttpConnectorSettings::builder().connect_timeout(Duration::from_secs(5)).build();
        let connector = Transport::default().connector(&settings);
        let request = HttpRequest::get(format!("https://127.0.0.1:{port}/")).unwrap();
        assert!(connector.call(request).await.unwrap_err().is_io());
    }
}
