//! [`Ec2`]: clients that are built when first used, one per region, over shared connections.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures::FutureExt;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::errors;
use super::pace::Pace;
use super::plan::Watch;
use super::survey::Kept;
use super::transport::Transport;
use crate::cloud::plan::{Mode, Observer};
use crate::cloud::{Endpoint, Identity, Settings, codes};
use crate::error::{Error, Result};

/// Where calls go that belong to no region, when nothing else says where.
const FALLBACK_REGION: &str = "us-east-1";

/// Amazon EC2. Cloning is cheap and shares clients and connections.
#[derive(Clone)]
pub struct Ec2 {
    shared: Arc<Shared>,
    pub(super) cancel: CancellationToken,
}

struct Shared {
    endpoint: Endpoint,
    settings: Settings,
    transport: Transport,
    config: OnceCell<SdkConfig>,
    clients: Mutex<HashMap<String, Client>>,
    identity: OnceCell<Identity>,
    /// Looks at networks that nobody has used yet.
    surveys: Mutex<Vec<Kept>>,
    pace: Pace,
}

impl fmt::Debug for Ec2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2").field("endpoint", &self.shared.endpoint).finish_non_exhaustive()
    }
}

impl Ec2 {
    /// An EC2 at an endpoint. Nothing is read, connected or loaded before the first call.
    ///
    /// Cancelling `cancel` ends waiting and looking at once; a request that changes something is not
    /// cut off, so that its answer is not lost, and no further one is made.
    pub fn new(endpoint: Endpoint, settings: Settings, cancel: CancellationToken) -> Ec2 {
        Ec2::watched(endpoint, settings, cancel, Mode::Act, None)
    }

    /// An EC2 of which every call that changes something is told to `observer`, and made, refused or
    /// planned as `mode` says.
    pub fn watched(
        endpoint: Endpoint,
        settings: Settings,
        cancel: CancellationToken,
        mode: Mode,
        observer: Option<Observer>,
    ) -> Ec2 {
        let transport = Transport::watched(Watch::new(mode, observer), &endpoint);
        let shared = Shared {
            endpoint,
            settings,
            transport,
            config: OnceCell::new(),
            clients: Mutex::new(HashMap::new()),
            identity: OnceCell::new(),
            surveys: Mutex::new(Vec::new()),
            pace: Pace::default(),
        };
        Ec2 { shared: Arc::new(shared), cancel }
    }

    /// The same EC2 under another cancellation: for cleaning up after the first was cancelled.
    #[must_use]
    pub fn with_cancel(&self, cancel: CancellationToken) -> Ec2 {
        Ec2 { shared: Arc::clone(&self.shared), cancel }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What all clients have in common; resolved once, by the first call.
    pub(super) async fn config(&self) -> &SdkConfig {
        let load = || async {
            let config = self.load().await;
            let watch = self.shared.transport.watch();
            // An endpoint that is not EC2 may overlook `DryRun` and do what it is asked about, as moto
            // does. One with fixed keys is a sandbox of ours.
            let known = config.endpoint_url().is_none() && std::env::var_os("AWS_ENDPOINT_URL_EC2").is_none();
            if watch.asks() && (known || self.shared.endpoint.keys.is_some()) {
                watch.set_unwatched(
                    config.to_builder().http_client(self.shared.transport.unwatched().client()).build(),
                );
            }
            config
        };
        // Boxed: the futures of the credential chain are nested deeper than all others together.
        self.shared.config.get_or_init(|| load().boxed()).await
    }

    async fn load(&self) -> SdkConfig {
        let Shared { endpoint, settings, transport, .. } = &*self.shared;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .build();
        let version = BehaviorVersion::v2026_01_12();
        if let Some(keys) = &endpoint.keys {
            let credentials = Credentials::new(&keys.access_key, &keys.secret_key, None, None, "spot");
            let region = endpoint.region.clone().unwrap_or_else(|| FALLBACK_REGION.to_owned());
            let mut config = SdkConfig::builder()
                .behavior_version(version)
                .credentials_provider(SharedCredentialsProvider::new(credentials))
                .region(aws_config::Region::new(region))
                .retry_config(RetryConfig::disabled())
                .timeout_config(timeouts)
                .http_client(transport.client());
            config.set_endpoint_url(endpoint.url_of("aws", None));
            return config.build();
        }
        let mut loader = aws_config::defaults(version)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .http_client(transport.client());
        if let Some(url) = endpoint.url_of("aws", None) {
            loader = loader.endpoint_url(url);
        }
        if let Some(profile) = &endpoint.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &endpoint.region {
            loader = loader.region(aws_config::Region::new(region.clone()));
        }
        loader.load().await
    }

    /// The region of the endpoint, else of the environment or the profile.
    pub(super) async fn configured_region(&self) -> Option<String> {
        if let Some(region) = &self.shared.endpoint.region {
            return Some(region.clone());
        }
        self.config().await.region().map(ToString::to_string)
    }

    /// What tells this cloud from others in caches: the endpoint's address without its port, which a
    /// sandbox draws anew each time.
    pub(super) fn cloud_name(&self) -> String {
        let url = self.shared.endpoint.url.as_deref().unwrap_or("aws");
        url.rsplit_once(':')
            .filter(|(_, port)| port.parse::<u16>().is_ok())
            .map_or(url, |(host, _)| host)
            .to_owned()
    }

    /// The region for calls that belong to none.
    pub(super) async fn home(&self) -> String {
        self.configured_region().await.unwrap_or_else(|| FALLBACK_REGION.to_owned())
    }

    pub(super) async fn client(&self, region: &str) -> Client {
        let config = self.config().await;
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(region) {
            return client.clone();
        }
        let mut config = aws_sdk_ec2::config::Builder::from(config)
            .region(aws_sdk_ec2::config::Region::new(region.to_owned()));
        if self.shared.endpoint.names.is_some() {
            config.set_endpoint_url(self.shared.endpoint.url_of("ec2", Some(region)));
        }
        let config = config.build();
        let client = Client::from_conf(config);
        clients.insert(region.to_owned(), client.clone());
        client
    }

    pub(super) fn known_identity(&self) -> &OnceCell<Identity> {
        &self.shared.identity
    }

    pub(super) fn keep_survey(&self, kept: Kept) {
        self.shared.surveys.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    }

    /// Takes out every survey that fits; returns the newest.
    pub(super) fn take_survey(&self, fits: impl Fn(&Kept) -> bool) -> Option<Kept> {
        let mut surveys = self.shared.surveys.lock().unwrap_or_else(PoisonError::into_inner);
        surveys.extract_if(.., |kept| fits(kept)).last()
    }

    /// The address from which the internet sees this machine.
    pub(super) async fn address(&self) -> Result<IpAddr> {
        let config = self.config().await;
        let own = self.shared.endpoint.url.as_deref();
        let special = std::env::var("AWS_ENDPOINT_URL_EC2").ok().filter(|_| own.is_none());
        if let Some(address) =
            special.as_deref().or(own).or(config.endpoint_url()).and_then(super::transport::loopback)
        {
            return Ok(address);
        }
        self.settings().retry.run(&self.cancel, |_| self.shared.transport.public_address()).await
    }

    /// One attempt at a request.
    pub(super) async fn attempt<T, E, F, Fut>(&self, region: &str, action: &str, request: &F) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.attempt_on(region, action, 0, request).await
    }

    /// One attempt at a request that launches or ends so many instances: EC2 limits those too.
    pub(super) async fn attempt_on<T, E, F, Fut>(
        &self,
        region: &str,
        action: &str,
        instances: u32,
        request: &F,
    ) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let limited = self.settings().rate_limits;
        if limited {
            self.shared.pace.admit(region, action, instances, &self.cancel).await?;
        }
        let client = self.client(region).await;
        let result =
            request(client).await.map_err(|error| errors::convert(&format!("ec2:{action}"), region, &error));
        if limited {
            self.shared.pace.note(region, action, result.as_ref().is_err_and(Error::is_throttled));
        }
        result
    }

    /// A request that changes nothing: repeated when that may help, given up at once on cancellation.
    pub(super) async fn look<T, E, F, Fut>(&self, region: &str, action: &str, request: F) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let attempts = self.settings().retry.run(&self.cancel, |_| self.attempt(region, action, &request));
        tokio::select! {
            result = attempts => result,
            () = self.cancel.cancelled() => Err(Error::interrupted()),
        }
    }

    /// All pages of a description. `page` gets the token of the page and returns its items and the
    /// token of the next; each page is repeated for itself when that may help.
    pub(super) async fn pages<T, E, F, Fut>(&self, region: &str, action: &str, page: F) -> Result<Vec<T>>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client, Option<String>) -> Fut,
        Fut: Future<Output = Result<(Option<Vec<T>>, Option<String>), SdkError<E, HttpResponse>>>,
    {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let (items, next) = self.look(region, action, |client| page(client, token.clone())).await?;
            all.extend(items.into_iter().flatten());
            let next = next.filter(|next| !next.is_empty());
            if next.is_none() {
                return Ok(all);
            }
            if next == token {
                return Err(Error::aws(format!("{action} in {region} answers with the same page for ever"))
                    .with_code(codes::INVALID_RESPONSE));
            }
            token = next;
        }
    }

    /// A request that changes something: never cut off; repeated when that may help. Use it for what
    /// may happen twice without harm.
    pub(super) async fn change<T, E, F, Fut>(&self, region: &str, action: &str, request: F) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.settings().retry.run(&self.cancel, |_| self.attempt(region, action, &request)).await
    }
}
