//! Objects in an S3 bucket, written on condition. S3 has an SDK of its own, which takes minutes to
//! build; four requests need no more than the signer that the other SDKs bring along.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use tokio_util::sync::CancellationToken;

use super::Ec2;
use crate::cloud::codes;
use crate::error::{Error, Result};
use crate::retry::Retry;

/// How long a connection and an answer may take: whoever waits for it has other things to do.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// The header in which S3 says where a bucket is.
const BUCKET_REGION: &str = "x-amz-bucket-region";
/// The addresses of S3 itself; with a dot in its name, a bucket fits no certificate.
const HOSTS: &str = "amazonaws.com";

/// A bucket of S3, or of what speaks its protocol.
pub struct Bucket {
    ec2: Ec2,
    name: String,
    /// Made at the first write if it is not there: in a sandbox, which is empty at first.
    made: bool,
    /// What encrypts the objects; `None` is the bucket's default.
    kms_key: Option<String>,
    region: Mutex<Option<String>>,
}

/// An object, and its version.
pub struct Stored {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its ETag.
    pub tag: String,
}

/// A request, as far as it depends on what is asked.
struct Ask<'a> {
    method: &'static str,
    key: &'a str,
    query: String,
    headers: Vec<(&'static str, &'a str)>,
    body: &'a [u8],
}

/// An answer, read whole.
struct Answer {
    status: u16,
    tag: Option<String>,
    region: Option<String>,
    body: Vec<u8>,
}

impl Ec2 {
    /// A bucket. With `made`, it is made at the first write if it is not there.
    ///
    /// Objects are written without an access control list, so that just the bucket's owner and whom its
    /// policy names can read them, and are encrypted with the key of KMS, or as the bucket does by default.
    pub fn bucket(&self, name: impl Into<String>, made: bool, kms_key: Option<String>) -> Bucket {
        Bucket { ec2: self.clone(), name: name.into(), made, kms_key, region: Mutex::default() }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Bucket {
    /// An object; `None` if there is none.
    ///
    /// # Errors
    /// The bucket is missing or refuses; or S3 does not answer, and then the error is retryable.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let ask = Ask { method: "GET", key, query: String::new(), headers: Vec::new(), body: &[] };
        let answer = self.send(&ask).await?;
        match (answer.status, answer.tag) {
            (200, Some(tag)) => Ok(Some(Stored { bytes: answer.body, tag })),
            (404, _) if code(&answer.body) == Some("NoSuchKey") => Ok(None),
            (404, _) if self.made && code(&answer.body) == Some("NoSuchBucket") => Ok(None),
            (status, _) => Err(self.refusal("GetObject", status, &answer.body)),
        }
    }

    /// Writes an object if its version is still `expected`, or if there is none for `None`. The new
    /// version; `None` if somebody else has written meanwhile.
    ///
    /// # Errors
    /// As [`get`](Self::get); it may have been written all the same.
    pub async fn put(&self, key: &str, body: &[u8], expected: Option<&str>) -> Result<Option<String>> {
        let mut headers = vec![match expected {
            Some(tag) => ("if-match", tag),
            None => ("if-none-match", "*"),
        }];
        // Without a word of ours the bucket's own default holds, which may be stronger than what we know.
        if let Some(kms_key) = &self.kms_key {
            headers.push(("x-amz-server-side-encryption", "aws:kms"));
            headers.push(("x-amz-server-side-encryption-aws-kms-key-id", kms_key));
        }
        let ask = Ask { method: "PUT", key, query: String::new(), headers, body };
        let mut answer = self.send(&ask).await?;
        if self.made && answer.status == 404 && code(&answer.body) == Some("NoSuchBucket") {
            self.make().await?;
            answer = self.send(&ask).await?;
        }
        match (answer.status, answer.tag) {
            (200, Some(tag)) => Ok(Some(tag)),
            // Changed, being changed, or gone.
            (412 | 409, _) => Ok(None),
            (404, _) if expected.is_some() && code(&answer.body) == Some("NoSuchKey") => Ok(None),
            (status, _) => Err(self.refusal("PutObject", status, &answer.body)),
        }
    }

    /// The keys that begin with a prefix.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut keys = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let next = token.as_deref().map(|it| format!("continuation-token={}&", encoded(it)));
            let query = format!("{}list-type=2&prefix={}", next.unwrap_or_default(), encoded(prefix));
            let ask = Ask { method: "GET", key: "", query, headers: Vec::new(), body: &[] };
            let answer = self.send(&ask).await?;
            match answer.status {
                200 => {}
                404 if self.made && code(&answer.body) == Some("NoSuchBucket") => return Ok(keys),
                status => return Err(self.refusal("ListObjectsV2", status, &answer.body)),
            }
            let text = String::from_utf8_lossy(&answer.body);
            keys.extend(elements(&text, "Key").map(str::to_owned));
            let next = elements(&text, "NextContinuationToken").next().map(str::to_owned);
            if next.is_none() || next == token {
                return Ok(keys);
            }
            token = next;
        }
    }

    async fn make(&self) -> Result<()> {
        let ask = Ask { method: "PUT", key: "", query: String::new(), headers: Vec::new(), body: &[] };
        let answer = self.send(&ask).await?;
        match answer.status {
            200 | 409 => Ok(()),
            status => Err(self.refusal("CreateBucket", status, &answer.body)),
        }
    }

    /// Sends a request until it is answered: to the bucket's own region, and again when that may help.
    async fn send(&self, ask: &Ask<'_>) -> Result<Answer> {
        let retry = Retry {
            attempts: 3,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(2),
            deadline: Duration::from_secs(20),
        };
        // A run that is interrupted still has to say what it did.
        let never = CancellationToken::new();
        retry.run(&never, |_| self.attempt(ask)).await
    }

    async fn attempt(&self, ask: &Ask<'_>) -> Result<Answer> {
        let answer = self.attempt_in(&self.region().await, ask).await?;
        let moved = answer.region.clone().filter(|_| matches!(answer.status, 301 | 307 | 400 | 403));
        let region = match moved {
            Some(region) if region != self.region().await => region,
            _ => return self.answered(answer),
        };
        *self.region.lock().unwrap_or_else(PoisonError::into_inner) = Some(region.clone());
        let answer = self.attempt_in(&region, ask).await?;
        self.answered(answer)
    }

    /// The answer, unless it is one that another attempt may better.
    fn answered(&self, answer: Answer) -> Result<Answer> {
        match answer.status {
            408 | 429 | 500.. => Err(self.refusal("S3", answer.status, &answer.body).retryable(true)),
            _ => Ok(answer),
        }
    }

    async fn region(&self) -> String {
        let known = self.region.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(region) => region,
            None => self.ec2.home().await,
        }
    }

    async fn attempt_in(&self, region: &str, ask: &Ask<'_>) -> Result<Answer> {
        let uri = self.uri(region, ask).await;
        let request = self.signed(region, uri, ask).await?;
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(ANSWER_TIMEOUT)
            .build();
        let call = async {
            let answer = self.ec2.transport().connector(&settings).call(request).await;
            let answer = answer.map_err(|error| self.unreachable(&error))?;
            let header = |name: &str| answer.headers().get(name).map(str::to_owned);
            let (status, tag, region) = (answer.status().as_u16(), header("etag"), header(BUCKET_REGION));
            let body = ByteStream::new(answer.into_body()).collect().await;
            let body = body.map_err(|error| self.unreachable(&error))?.into_bytes().to_vec();
            Ok(Answer { status, tag, region, body })
        };
        let late = |_| Err(self.unreachable(&format!("no answer in {} s", ANSWER_TIMEOUT.as_secs())));
        tokio::time::timeout(ANSWER_TIMEOUT, call).await.unwrap_or_else(late)
    }

    /// Where a request goes: S3's own address, or that of an endpoint, with the bucket in the path.
    async fn uri(&self, region: &str, ask: &Ask<'_>) -> String {
        let own = self.ec2.endpoint().url.clone();
        let special = std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|_| own.is_none());
        let config = self.ec2.config().await;
        let endpoint = special.or(own).or_else(|| config.endpoint_url().map(str::to_owned));
        let host = match endpoint {
            Some(url) => format!("{}/{}", url.trim_end_matches('/'), self.name),
            None if self.name.contains('.') => format!("https://s3.{region}.{HOSTS}/{}", self.name),
            None => format!("https://{}.s3.{region}.{HOSTS}", self.name),
        };
        let query = if ask.query.is_empty() { String::new() } else { format!("?{}", ask.query) };
        format!("{host}/{}{query}", ask.key)
    }

    async fn signed(&self, region: &str, uri: String, ask: &Ask<'_>) -> Result<HttpRequest> {
        let config = self.ec2.config().await;
        let provider = config.credentials_provider().ok_or_else(|| no_credentials(&"nobody provides any"))?;
        let identity = provider.provide_credentials().await.map_err(|error| no_credentials(&error))?.into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let unsigned =
            |error: &dyn fmt::Display| Error::internal(format!("a request to S3 cannot be signed: {error}"));
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let signable = SignableRequest::new(
            ask.method,
            &uri,
            ask.headers.iter().copied(),
            SignableBody::Bytes(ask.body),
        );
        let signable = signable.map_err(|error| unsigned(&error))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|error| unsigned(&error))?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(ask.body));
        request.set_method(ask.method).map_err(|error| unsigned(&error))?;
        request.set_uri(uri).map_err(|error| unsigned(&error))?;
        for (name, value) in ask.headers.iter().copied().chain(instructions.headers()) {
            let set = request.headers_mut().try_insert(name.to_owned(), value.to_owned());
            set.map_err(|error| unsigned(&error))?;
        }
        Ok(request)
    }

    fn unreachable(&self, error: &dyn fmt::Display) -> Error {
        Error::aws(format!("the bucket {} does not answer: {error}", self.name))
            .with_code(codes::CONNECTION_FAILED)
            .retryable(true)
    }

    fn refusal(&self, action: &str, status: u16, body: &[u8]) -> Error {
        let text = String::from_utf8_lossy(body);
        let message = elements(&text, "Message").next().unwrap_or("no reason given");
        let code = code(body).map_or_else(|| format!("HTTP {status}"), str::to_owned);
        let hint = match code.as_str() {
            "NoSuchBucket" => {
                Some(format!("make it: `aws s3 mb s3://{}`; or correct `state` in spot.toml", self.name))
            }
            "AccessDenied" => Some("see the bucket policy in docs/state.md".to_owned()),
            _ => None,
        };
        let error = Error::aws(format!("{action} in the bucket {}: {message}", self.name)).with_code(code);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

fn no_credentials(error: &dyn fmt::Display) -> Error {
    Error::aws(format!("no credentials for the shared state: {error}"))
        .with_code("NoCredentials")
        .with_hint("sign in as for all AWS tools: `aws configure`, `aws sso login`, or --profile NAME")
}

/// The code of an error of S3.
fn code(body: &[u8]) -> Option<&str> {
    elements(std::str::from_utf8(body).ok()?, "Code").next()
}

/// The texts of the elements with a name. What is looked for here never holds elements or escapes.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (inside, after) = after.split_once(&close)?;
        rest = after;
        Some(inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::ec2::moto::Moto;
    use crate::cloud::{Endpoint, Settings};

    #[test]
    fn elements_are_found_in_their_order() {
        let text = "<R><Key>a/default.json</Key><Size>1</Size><Key>a/blue.json</Key><Key>cut";
        assert_eq!(elements(text, "Key").collect::<Vec<_>>(), ["a/default.json", "a/blue.json"]);
        assert_eq!(code(b"<Error><Code>NoSuchKey</Code></Error>"), Some("NoSuchKey"));
        assert_eq!(code(b""), None);
    }

    fn bucket(moto: &Moto, name: &str) -> Bucket {
        let ec2 = Ec2::new(Endpoint::local(&moto.url), Settings::local(), CancellationToken::new());
        ec2.bucket(name, name == "team", None)
    }

    /// Moto honours the conditions of a write as S3 does.
    #[tokio::test]
    async fn whoever_knows_an_older_version_is_refused() {
        let moto = Moto::start();
        let bucket = bucket(&moto, "team");
        assert!(bucket.get("web/default.json").await.unwrap().is_none());
        assert!(bucket.keys("web/").await.unwrap().is_empty());
        let first = bucket.put("web/default.json", b"one", None).await.unwrap().unwrap();
        assert_eq!(bucket.put("web/default.json", b"mine", None).await.unwrap(), None);
        let second = bucket.put("web/default.json", b"two", Some(&first)).await.unwrap().unwrap();
        assert_ne!(first, second);
        assert_eq!(bucket.put("web/default.json", b"stale", Some(&first)).await.unwrap(), None);
        assert_eq!(bucket.put("web/gone.json", b"x", Some(&first)).await.unwrap(), None);
        let stored = bucket.get("web/default.json").await.unwrap().unwrap();
        assert_eq!((stored.bytes.as_slice(), stored.tag), (b"two".as_slice(), second));
        bucket.put("other/blue.json", b"x", None).await.unwrap().unwrap();
        assert_eq!(bucket.keys("web/").await.unwrap(), ["web/default.json"]);
    }

    #[tokio::test]
    async fn a_bucket_that_is_missing_or_does_not_answer_is_told_apart() {
        let moto = Moto::start();
        let error = bucket(&moto, "nobodys").put("default.json", b"x", None).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (Some("NoSuchBucket"), false));
        assert_eq!(error.hint(), Some("make it: `aws s3 mb s3://nobodys`; or correct `state` in spot.toml"));
        let bucket = bucket(&moto, "team");
        drop(moto);
        let error = bucket.get("default.json").await.err().unwrap();
        assert!(error.is_retryable() && error.message().contains("does not answer"), "{error}");
    }
}
