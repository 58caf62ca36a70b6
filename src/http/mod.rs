//! HTTP calls, for recipes and as the connections under the calls to AWS: TLS, time-outs, redirects, the one
//! policy for trying again, answers of bounded size.

mod answer;
mod connector;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use answer::Answer;
pub(crate) use connector::ByScheme;
pub use request::{Request, address, is_idempotent, is_safe};

use crate::error::{Error, Kind, Result};
use crate::retry::Retry;

/// How long it may take until a server has taken the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many times a server may send a call elsewhere.
const REDIRECTS: usize = 5;

/// Sends calls over connections that are kept open between them.
#[derive(Clone)]
pub struct Client {
    connections: SharedHttpConnector,
    retry: Arc<Retry>,
}

impl Client {
    /// A client that tries again by this policy; how often is said by each request.
    pub fn new(retry: Retry) -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
        Client {
            connections: SharedHttpConnector::new(ByScheme::new(settings, None)),
            retry: Arc::new(retry),
        }
    }

    /// Sends a request until there is an answer that is worth having, and returns it whatever its status is.
    ///
    /// It is sent again when no connection came about, and after 429 and 503, which say that nothing was
    /// done; if it is [`repeatable`](Request::repeatable), also after a connection that broke, a time-out,
    /// and 500, 502 and 504. A `Retry-After` is heeded as far as the policy's deadline allows. Safe calls
    /// follow redirects, without their headers of authorization where that leads to another server.
    ///
    /// # Errors
    /// [`Http`](Kind::Http) when there is no answer, or one that is too large;
    /// [`Timeout`](Kind::Timeout); [`Interrupted`](Kind::Interrupted).
    pub async fn send(&self, request: &Request, cancel: &CancellationToken) -> Result<Answer> {
        let retry = Retry { attempts: request.attempts.max(1), ..self.retry.as_ref().clone() };
        let started = Instant::now();
        let last = std::sync::Mutex::new(None);
        let answered = retry
            .run(cancel, |_| async {
                let answer = tokio::select! {
                    answer = self.attempt(request) => answer?,
                    () = cancel.cancelled() => return Err(Error::interrupted()),
                };
                let Some(error) = worth_another(request, &answer) else { return Ok(answer) };
                let left = retry.deadline.saturating_sub(started.elapsed());
                if let Some(pause) = answer.retry_after().filter(|pause| *pause <= left) {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = cancel.cancelled() => return Err(Error::interrupted()),
                    }
                }
                *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(answer);
                Err(error)
            })
            .await;
        let last = last.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        match (answered, last) {
            // The server had its say; what to make of it is the caller's affair.
            (Err(error), Some(answer)) if error.code() == Some(&answer.code()) => Ok(answer),
            (answered, _) => answered,
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Answer> {
        match tokio::time::timeout(request.timeout, self.follow(request)).await {
            Ok(answered) => answered,
            Err(_) => {
                let message = format!("{}: no answer in {:?}", request.doing(), request.timeout);
                Err(Error::timeout(message).with_code("RequestTimeout").retryable(request.repeatable))
            }
        }
    }

    async fn follow(&self, request: &Request) -> Result<Answer> {
        let mut request = request.clone();
        for _ in 0..=REDIRECTS {
            let answer = self.once(&request).await?;
            let Some(next) = answer.redirect().filter(|_| is_safe(&request.method)) else {
                return Ok(answer);
            };
            let next = request.url.join(next).map_err(|_| {
                Error::new(Kind::Http, format!("{}: redirected to what is no URL", request.doing()))
            })?;
            let next = address(next.as_str()).map_err(|error| error.context(request.doing()))?;
            if origin(&next) != origin(&request.url) {
                request.headers.retain(|(name, _)| !is_credential(name));
            }
            request.url = next;
        }
        let message = format!("{}: redirected more than {REDIRECTS} times", request.doing());
        Err(Error::new(Kind::Http, message).with_code("TooManyRedirects"))
    }

    async fn once(&self, request: &Request) -> Result<Answer> {
        let sent = self.connections.call(prepare(request)?).await.map_err(|error| {
            let connected = !(error.is_io() && never_left(&error));
            let why = innermost(&error);
            Error::new(Kind::Http, format!("{}: {why}", request.doing()))
                .with_code("ConnectionFailed")
                .retryable(!connected || request.repeatable)
        })?;
        let status = sent.status().as_u16();
        let headers = sent.headers().iter_bytes();
        let headers: Vec<(String, String)> = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        let mut body = Vec::new();
        let mut stream = ByteStream::new(sent.into_body());
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| {
                Error::new(
                    Kind::Http,
                    format!("{}: the answer breaks off: {}", request.doing(), innermost(&error)),
                )
                .with_code("ConnectionFailed")
                .retryable(request.repeatable)
            })?;
            if body.len() + piece.len() > request.max_bytes {
                let message =
                    format!("{}: the answer has more than {} bytes", request.doing(), request.max_bytes);
                return Err(Error::new(Kind::Http, message)
                    .with_code("AnswerTooLarge")
                    .with_hint("allow more with the option `max_bytes`"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, headers, body, url: request.url.clone() })
    }
}

/// The error to try again after, when an answer is not worth having yet.
fn worth_another(request: &Request, answer: &Answer) -> Option<Error> {
    let error = Error::new(Kind::Http, request.doing()).with_code(answer.code());
    match answer.status {
        429 => Some(error.throttled()),
        503 => Some(error.retryable(true)),
        500 | 502 | 504 => request.repeatable.then(|| error.retryable(true)),
        _ => None,
    }
}

fn prepare(request: &Request) -> Result<HttpRequest> {
    let wrong = |what: &str| Error::script(format!("{}: {what}", request.doing()));
    let mut url = request.url.clone();
    url.set_fragment(None);
    let mut sent = HttpRequest::new(SdkBody::from(request.body.clone()));
    sent.set_method(&request.method).map_err(|_| wrong("that is no method"))?;
    sent.set_uri(url.as_str()).map_err(|_| wrong("that cannot be the address of a request"))?;
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        let header = format!("the header `{name}` cannot be sent");
        // What is no name at all would panic deep below.
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if !is_name || matches!(name.as_str(), "content-length" | "transfer-encoding" | "host" | "connection")
        {
            return Err(wrong(&header));
        }
        sent.headers_mut().try_append(name, value.clone()).map_err(|_| wrong(&header))?;
    }
    Ok(sent)
}

/// Whether a connection was never made, so that nothing can have been done.
fn never_left(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
            return matches!(io.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable);
        }
        next = cause.source();
    }
    false
}

/// What lies at the bottom of an error: the layers above only say that there is something below.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

fn origin(url: &Url) -> (String, Option<String>, Option<u16>) {
    (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
}

fn is_credential(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    matches!(header.as_str(), "authorization" | "cookie" | "proxy-authorization")
        || ["token", "key", "secret", "auth"].iter().any(|part| header.contains(part))
}

#[cfg(test)]
mod tests;
