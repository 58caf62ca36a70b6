//! Connections by scheme: with TLS by the system's certificates and the proxy of the environment, or plain.

use std::fmt;
use std::sync::OnceLock;

use aws_smithy_http_client::{Connector, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::dns::SharedDnsResolver;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

/// Sends each request through the connections of its scheme, and builds those when first needed: plain HTTP
/// never reads the trusted certificates.
pub(crate) struct ByScheme {
    settings: HttpConnectorSettings,
    names: Option<SharedDnsResolver>,
    plain: OnceLock<Connector>,
    secure: OnceLock<Connector>,
}

impl ByScheme {
    pub(crate) fn new(settings: HttpConnectorSettings, names: Option<SharedDnsResolver>) -> Self {
        ByScheme { settings, names, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    fn plain(&self) -> Connector {
        let builder = Connector::builder().connector_settings(self.settings.clone());
        let Some(names) = self.names.clone() else { return builder.build_http() };
        // Names can be looked up otherwise only where certificates are checked. There are none to check
        // here, and to trust nobody spares loading those of the system; it cannot fail for want of any.
        let nobody = tls::TlsContext::builder().with_trust_store(tls::TrustStore::empty()).build();
        let Ok(nobody) = nobody else { return builder.build_http() };
        builder
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .tls_context(nobody)
            .build_with_resolver(names)
    }

    fn secure(&self) -> Connector {
        Connector::builder()
            .connector_settings(self.settings.clone())
            .proxy_config(ProxyConfig::from_env())
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build()
    }
}

impl fmt::Debug for ByScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByScheme").finish_non_exhaustive()
    }
}

impl HttpConnector for ByScheme {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.uri().starts_with("http://") {
            return self.plain.get_or_init(|| self.plain()).call(request);
        }
        self.secure.get_or_init(|| self.secure()).call(request)
    }
}
