//! Signature Version 4: whether a request was signed with the secret that the endpoint knows, and when.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::authorization::Scope;
use super::fault::Fault;
use super::moment::Moment;
use super::request::hex;

/// How far the date of a request may be from the endpoint's clock.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The parts of a request that a signature is about.
#[derive(Debug)]
pub(super) struct Signed {
    pub method: String,
    /// As it was sent, encoded.
    pub path: String,
    /// As it was sent, without the question mark.
    pub query: String,
    pub headers: HeaderMap,
    /// SHA-256 of the body.
    pub digest: String,
}

/// A key and its secret.
pub(super) struct Credentials<'a> {
    pub key: &'a str,
    pub secret: &'a str,
}

/// Why a request is not believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nobody has this access key.
    Key,
    /// The signature is that of another request or of another secret.
    Signature,
    /// The date that was signed is too far off, or there is none.
    Date(String),
}

impl Doubt {
    /// The refusal in the words of the service that is asked.
    pub fn fault(&self, service: &str, now: Moment) -> Fault {
        let signature = "The request signature we calculated does not match the signature you provided. Check \
                         your AWS Secret Access Key and signing method. Consult the service documentation for \
                         details.";
        let date = |signed: &str| {
            let now: String = now.to_string().chars().take(19).filter(|c| !"-:".contains(*c)).collect();
            format!("Signature expired: {signed} is not within 5 min. of {now}Z")
        };
        match (service, self) {
            ("ec2", Doubt::Key) => Fault::unauthenticated(),
            ("ec2", Doubt::Date(_)) => Fault::new("RequestExpired", "Request has expired."),
            ("s3", Doubt::Key) => {
                let message = "The AWS Access Key Id you provided does not exist in our records.";
                Fault::with_status(403, "InvalidAccessKeyId", message)
            }
            ("s3", Doubt::Date(_)) => {
                let message = "The difference between the request time and the current time is too large.";
                Fault::with_status(403, "RequestTimeTooSkewed", message)
            }
            ("ec2" | "s3", Doubt::Signature) => Fault::with_status(403, "SignatureDoesNotMatch", signature),
            ("sts" | "iam", Doubt::Key) => {
                let message = "The security token included in the request is invalid.";
                Fault::with_status(403, "InvalidClientTokenId", message)
            }
            ("sts" | "iam", Doubt::Signature) => Fault::with_status(403, "SignatureDoesNotMatch", signature),
            ("sts" | "iam", Doubt::Date(signed)) => {
                Fault::with_status(403, "SignatureDoesNotMatch", date(signed))
            }
            (_, Doubt::Key) => {
                let message = "The security token included in the request is invalid.";
                Fault::new("UnrecognizedClientException", message)
            }
            (_, Doubt::Signature) => Fault::new("InvalidSignatureException", signature),
            (_, Doubt::Date(signed)) => Fault::new("InvalidSignatureException", date(signed)),
        }
    }
}

/// Whether a request is what its signature says, at the endpoint's `now`.
pub(super) fn check(
    request: &Signed,
    scope: &Scope,
    known: &Credentials<'_>,
    now: Moment,
) -> Result<(), Doubt> {
    if scope.key != known.key {
        return Err(Doubt::Key);
    }
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let date = header("x-amz-date").unwrap_or_default();
    let signed = moment(date).filter(|_| date.starts_with(&scope.date));
    let signed = signed.ok_or_else(|| Doubt::Date(date.to_owned()))?;
    if now.since(signed).max(signed.since(now)) > TOLERANCE {
        return Err(Doubt::Date(date.to_owned()));
    }
    let place = format!("{}/{}/{}/aws4_request", scope.date, scope.region, scope.service);
    let canonical = hex(&Sha256::digest(canonical(request, scope).as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{place}\n{canonical}");
    let mut key = format!("AWS4{}", known.secret).into_bytes();
    for part in [scope.date.as_str(), &scope.region, &scope.service, "aws4_request"] {
        key = sign(&key, part).ok_or(Doubt::Signature)?.finalize().into_bytes().to_vec();
    }
    // Compared by the library in constant time: a wrong signature must not be found digit by digit.
    let right = sign(&key, &text).ok_or(Doubt::Signature)?;
    right.verify_slice(&unhex(&scope.signature)).map_err(|_| Doubt::Signature)
}

/// Never none: HMAC takes keys of any length.
fn sign(key: &[u8], text: &str) -> Option<Hmac<Sha256>> {
    Some(Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(text.as_bytes()))
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

/// `20261125T172500Z`.
fn moment(text: &str) -> Option<Moment> {
    let part = |range: std::ops::Range<usize>| text.get(range);
    if text.len() != 16 {
        return None;
    }
    Moment::parse(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        part(13..15)?
    ))
}

fn canonical(request: &Signed, scope: &Scope) -> String {
    let mut text = format!("{}\n", request.method);
    // S3 alone has its path signed as it was sent; elsewhere it is encoded once more.
    let path = if request.path.is_empty() { "/" } else { &request.path };
    text.push_str(&if scope.service == "s3" { path.to_owned() } else { encode(path.as_bytes(), true) });
    text.push('\n');
    let mut pairs: Vec<(String, String)> = request
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name), false), encode(&decode(value), false))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    text.push_str(&pairs.join("&"));
    text.push('\n');
    for name in &scope.headers {
        let values: Vec<String> = request
            .headers
            .get_all(name)
            .iter()
            .map(|value| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        text.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let digest = request.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    let digest = digest.filter(|_| scope.service == "s3").unwrap_or(&request.digest);
    text.push_str(&format!("\n{}\n{digest}", scope.headers.join(";")));
    text
}

/// Percent-encodes all but the unreserved characters, and slashes if they are to stay.
pub(super) fn encode(bytes: &[u8], slashes: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte))
            }
            b'/' if slashes => text.push('/'),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// Percent-decodes; what is no encoding stays.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let digits = text.get(place + 1..place + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(encoded) => {
                decoded.push(encoded);
                place += 3;
            }
            None => {
                decoded.push(*byte);
                place += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::super::authorization;
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// The example that AWS publishes for a signed `GET` of IAM's `ListUsers`.
    fn example() -> (Signed, Scope) {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let signed = Signed {
            method: "GET".into(),
            path: "/".into(),
            query: "Action=ListUsers&Version=2010-05-08".into(),
            headers,
            digest: hex(&Sha256::digest(b"")),
        };
        let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                      SignedHeaders=content-type;host;x-amz-date, \
                      Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        (signed, authorization::scope(Some(header)).unwrap())
    }

    #[test]
    fn the_example_of_aws_is_believed_and_nothing_else() {
        let now = Moment::parse("2015-08-30T12:36:00Z").unwrap();
        let known = Credentials { key: "AKIDEXAMPLE", secret: SECRET };
        let (mut request, scope) = example();
        assert_eq!(check(&request, &scope, &known, now), Ok(()));
        let minutes = |minutes: u64| now.plus(Duration::from_secs(minutes * 60));
        assert_eq!(check(&request, &scope, &known, minutes(5)), Ok(()));
        assert!(matches!(check(&request, &scope, &known, minutes(6)), Err(Doubt::Date(_))));
        assert!(matches!(
            check(&request, &scope, &known, now.minus(Duration::from_secs(301))),
            Err(Doubt::Date(_))
        ));
        let other = Credentials { key: "AKIDEXAMPLE", secret: "other" };
        assert_eq!(check(&request, &scope, &other, now), Err(Doubt::Signature));
        let other = Credentials { key: "AKIDOTHER", secret: SECRET };
        assert_eq!(check(&request, &scope, &other, now), Err(Doubt::Key));
        request.query.push_str("&Path=%2F");
        assert_eq!(check(&request, &scope, &known, now), Err(Doubt::Signature));
    }

    #[test]
    fn percent_encoding_goes_both_ways() {
        assert_eq!(encode("a b/é~".as_bytes(), false), "a%20b%2F%C3%A9~");
        assert_eq!(encode(b"a/b", true), "a/b");
        assert_eq!(decode("a%20b%2F%C3%A9~%zz%"), "a b/é~%zz%".as_bytes());
    }
}
