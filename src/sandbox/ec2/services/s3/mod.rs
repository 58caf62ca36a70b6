//! S3: buckets, and objects with conditional writes. Path-style addresses; the host name is not looked at.
//!
//! | file | what lives there |
//! |---|---|
//! | `objects` | buckets and objects on the disk |
//! | `payload` | content in chunks, and checksums |
//! | `listing` | ListObjectsV2 |

mod listing;
mod objects;
mod payload;

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::HeaderMap;

pub(in super::super) use objects::Buckets;
use objects::{Bucket, Held, Object};

use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::ACCOUNT;
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::request::hex;
use crate::sandbox::ec2::response::{self, Response};
use crate::sandbox::ec2::signature::decode;
use crate::sandbox::ec2::xml::Xml;

/// Bytes of the longest object; with S3 itself, 5 GiB.
pub(in super::super) const LONGEST: usize = 64 << 20;
const LONGEST_KEY: usize = 1024;
/// Bytes of all `x-amz-meta-…` headers of an object.
const MOST_METADATA: usize = 2048;
/// Headers of an object that are told again with it.
const KEPT: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    ENCRYPTION,
    "x-amz-server-side-encryption-aws-kms-key-id",
];
/// How an object is encrypted; as S3 does it where nothing is said.
const ENCRYPTION: &str = "x-amz-server-side-encryption";
/// Names of a query that change nothing, or that their actions read.
const QUIET: &[&str] = &["x-id", "list-type", "versionid"];

/// A request to S3.
pub(in super::super) struct Request {
    pub method: String,
    /// Decoded, without the slash at its start.
    pub bucket: String,
    /// Decoded; empty for the bucket itself.
    pub key: String,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// How often the object had been deleted when the request began.
    pub deletions: u64,
}

impl Request {
    /// Reads the address; the body may be still to come.
    pub fn new(method: &str, path: &str, query: &str, headers: HeaderMap) -> Self {
        let text = |encoded: &str| String::from_utf8_lossy(&decode(encoded)).into_owned();
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (text(name), text(&value.replace('+', "%20")))
        });
        Request {
            method: method.to_owned(),
            bucket: text(bucket),
            key: text(key),
            query: query.collect(),
            headers,
            body: Bytes::new(),
            deletions: 0,
        }
    }

    /// The action: `PutObject`.
    pub fn action(&self) -> &'static str {
        match (self.method.as_str(), self.bucket.is_empty(), self.key.is_empty()) {
            ("GET", true, _) => "ListBuckets",
            ("PUT", false, true) => "CreateBucket",
            ("HEAD", false, true) => "HeadBucket",
            ("DELETE", false, true) => "DeleteBucket",
            ("GET", false, true) if self.query.contains_key("location") => "GetBucketLocation",
            ("GET", false, true) => "ListObjectsV2",
            ("PUT", false, false) => "PutObject",
            ("GET", false, false) => "GetObject",
            ("HEAD", false, false) => "HeadObject",
            ("DELETE", false, false) => "DeleteObject",
            _ => "",
        }
    }

    /// What is asked, for the record of calls.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let mut all = self.query.clone();
        all.retain(|name, _| !QUIET.contains(&name.to_ascii_lowercase().as_str()));
        for (name, value) in [("Bucket", &self.bucket), ("Key", &self.key)] {
            if !value.is_empty() {
                all.insert(name.to_owned(), value.clone());
            }
        }
        for (name, header) in [("IfMatch", "if-match"), ("IfNoneMatch", "if-none-match")] {
            if let Some(value) = self.header(header) {
                all.insert(name.to_owned(), value.to_owned());
            }
        }
        all
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The ETag of `If-Match` or `If-None-Match`, with quotes, as clients may leave them out.
    fn tag(&self, name: &str) -> Option<String> {
        let tag = self.header(name)?.trim();
        Some(if tag == "*" || tag.starts_with('"') { tag.to_owned() } else { format!("\"{tag}\"") })
    }
}

/// A refusal, and the elements that are told with it.
#[derive(Debug)]
struct Refusal(Fault, Vec<(String, String)>);

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal(fault, Vec::new())
    }
}

impl Refusal {
    fn new(status: u16, code: &str, message: &str) -> Self {
        Fault::with_status(status, code, message).into()
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.1.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Outcome = Result<Response, Refusal>;

/// The refusal of a request before it is looked at.
pub(in super::super) fn refuse(request: &Request, fault: Fault, id: &str) -> Response {
    finish(request, Err(fault.into()), id)
}

/// Answers a request that is signed for a region. Reads and writes files.
pub(in super::super) fn answer(
    buckets: &Buckets,
    request: &Request,
    region: &str,
    now: Moment,
    id: &str,
) -> Response {
    finish(request, carry_out(buckets, request, region, now), id)
}

fn finish(request: &Request, done: Outcome, id: &str) -> Response {
    let answer = done.unwrap_or_else(|refusal| {
        let resource =
            format!("/{}{}{}", request.bucket, if request.key.is_empty() { "" } else { "/" }, request.key);
        let answer = response::s3_fault(id, &refusal.0, &resource, &refusal.1);
        match refusal.1.iter().find(|(name, _)| name == "Region") {
            Some((_, region)) => answer.with("x-amz-bucket-region", region.clone()),
            None => answer,
        }
    });
    answer.with("x-amz-request-id", id)
}

fn carry_out(buckets: &Buckets, request: &Request, region: &str, now: Moment) -> Outcome {
    let action = request.action();
    let known = |name: &str| match action {
        "ListObjectsV2" => listing::PARAMETERS.contains(&name),
        "GetBucketLocation" => name == "location",
        _ => false,
    };
    let foreign = request
        .query
        .keys()
        .find(|name| !QUIET.contains(&name.to_ascii_lowercase().as_str()) && !known(name));
    if action.is_empty() || foreign.is_some() {
        let what = foreign.map_or(request.method.as_str(), |name| name.as_str());
        let message =
            format!("A header or query you provided implies functionality that the sandbox has not: {what}");
        return Err(Refusal::new(501, "NotImplemented", &message));
    }
    let mut held = buckets.lock();
    if action == "ListBuckets" {
        return Ok(list_buckets(&held));
    }
    if action == "CreateBucket" {
        return create_bucket(buckets, &mut held, request, region, now);
    }
    let bucket = held.buckets.get(&request.bucket).ok_or_else(|| {
        Refusal::new(404, "NoSuchBucket", "The specified bucket does not exist")
            .with("BucketName", &request.bucket)
    })?;
    if bucket.region != region {
        let message = format!(
            "The authorization header is malformed; the region '{region}' is wrong; expecting '{}'",
            bucket.region
        );
        return Err(
            Refusal::new(400, "AuthorizationHeaderMalformed", &message).with("Region", &bucket.region)
        );
    }
    match action {
        "HeadBucket" => Ok(Response::new(200, "application/xml", "").with("x-amz-bucket-region", region)),
        "DeleteBucket" if !bucket.objects.is_empty() => {
            let message = "The bucket you tried to delete is not empty";
            Err(Refusal::new(409, "BucketNotEmpty", message).with("BucketName", &request.bucket))
        }
        "DeleteBucket" => {
            buckets.remove(&mut held, &request.bucket)?;
            Ok(empty(204))
        }
        "GetBucketLocation" => {
            let place = if region == "us-east-1" { "" } else { region };
            let document = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint \
                 xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{place}</LocationConstraint>"
            );
            Ok(Response::new(200, "application/xml", document))
        }
        "ListObjectsV2" => Ok(listing::list(bucket, request)?),
        "PutObject" => put(buckets, &mut held, request, now),
        "DeleteObject" => delete(buckets, &mut held, request),
        _ => get(buckets, bucket, request),
    }
}

fn empty(status: u16) -> Response {
    Response::new(status, "application/xml", "")
}

fn list_buckets(held: &Held) -> Response {
    let mut xml = Xml::new();
    write_owner(&mut xml, "Owner");
    xml.element("Buckets", |xml| {
        for (name, bucket) in &held.buckets {
            xml.element("Bucket", |xml| {
                xml.text("Name", name)
                    .time("CreationDate", bucket.created)
                    .text("BucketRegion", &bucket.region);
            });
        }
    });
    response::s3("ListAllMyBucketsResult", xml)
}

fn write_owner(xml: &mut Xml, name: &str) {
    xml.element(name, |xml| {
        xml.text("ID", ACCOUNT.repeat(5)).text("DisplayName", "sandbox");
    });
}

fn create_bucket(
    buckets: &Buckets,
    held: &mut Held,
    request: &Request,
    region: &str,
    now: Moment,
) -> Outcome {
    let name = &request.bucket;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let address = name.parse::<std::net::Ipv4Addr>().is_ok();
    if !(3..=63).contains(&name.len())
        || !name.chars().all(allowed)
        || !name.starts_with(ends)
        || !name.ends_with(ends)
        || name.contains("..")
        || address
    {
        let message = "The specified bucket is not valid.";
        return Err(Refusal::new(400, "InvalidBucketName", message).with("BucketName", name));
    }
    let text = String::from_utf8_lossy(&request.body);
    let constraint = text
        .split_once("<LocationConstraint>")
        .and_then(|(_, rest)| rest.split_once("</LocationConstraint>"))
        .map(|(place, _)| place);
    let wanted = constraint.unwrap_or("us-east-1");
    if wanted != region {
        let message = format!(
            "The {} location constraint is incompatible for the region specific endpoint this request was sent to.",
            constraint.unwrap_or("unspecified")
        );
        return Err(Refusal::new(400, "IllegalLocationConstraintException", &message));
    }
    match held.buckets.get(name) {
        // As in S3: the oldest region alone lets one make a bucket again.
        Some(bucket) if bucket.region == "us-east-1" && region == "us-east-1" => {}
        Some(_) => {
            let message =
                "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(Refusal::new(409, "BucketAlreadyOwnedByYou", message).with("BucketName", name));
        }
        None => {
            let bucket = Bucket { region: region.to_owned(), created: now, objects: BTreeMap::new() };
            buckets.add(held, name, bucket)?;
        }
    }
    Ok(empty(200).with("location", format!("/{name}")))
}

fn put(buckets: &Buckets, held: &mut Held, request: &Request, now: Moment) -> Outcome {
    if request.key.len() > LONGEST_KEY {
        return Err(Refusal::new(400, "KeyTooLongError", "Your key is too long"));
    }
    for name in ["x-amz-copy-source", "x-amz-write-offset-bytes"] {
        if request.header(name).is_some() {
            return Err(not_implemented(name));
        }
    }
    let payload = payload::read(&request.headers, request.body.clone())?;
    let existing = held.buckets.get(&request.bucket).and_then(|bucket| bucket.objects.get(&request.key));
    check_write(request, existing)?;
    let conditional = request.header("if-match").is_some() || request.header("if-none-match").is_some();
    if conditional && held.deletions(&request.bucket, &request.key) != request.deletions {
        let message =
            "The conditional request cannot succeed due to a conflicting operation against this resource.";
        let condition = if request.header("if-match").is_some() { "If-Match" } else { "If-None-Match" };
        return Err(Refusal::new(409, "ConditionalRequestConflict", message)
            .with("Condition", condition)
            .with("Key", &request.key));
    }
    let mut headers = BTreeMap::new();
    let mut metadata = 0;
    for (name, value) in &request.headers {
        let (name, value) = (name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        if let Some(own) = name.strip_prefix("x-amz-meta-") {
            metadata += own.len() + value.len();
        } else if !KEPT.contains(&name) {
            continue;
        }
        let value = value.replace("aws-chunked", "");
        let value = value.trim_matches([',', ' ']);
        if !value.is_empty() {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    if metadata > MOST_METADATA {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Refusal::new(400, "MetadataTooLarge", message));
    }
    headers.entry(ENCRYPTION.to_owned()).or_insert_with(|| "AES256".to_owned());
    headers.entry("content-type".to_owned()).or_insert_with(|| "binary/octet-stream".to_owned());
    let object = Object {
        key: request.key.clone(),
        etag: format!("\"{}\"", hex(&md5::compute(&payload.content).0)),
        size: payload.content.len() as u64,
        modified: now,
        headers,
        checksum: payload.checksum,
    };
    let mut answer = empty(200).with("etag", object.etag.clone());
    for (name, value) in object.headers.iter().filter(|(name, _)| name.starts_with(ENCRYPTION)) {
        answer = answer.with(name, value.clone());
    }
    if let Some((name, value)) = &object.checksum {
        answer = answer.with(name, value.clone()).with("x-amz-checksum-type", "FULL_OBJECT");
    }
    buckets.put(held, &request.bucket, object, &payload.content)?;
    Ok(answer)
}

fn not_implemented(header: &str) -> Refusal {
    let message = "A header you provided implies functionality that is not implemented";
    Refusal::new(501, "NotImplemented", message).with("Header", header)
}

fn failed(condition: &str) -> Refusal {
    let message = "At least one of the pre-conditions you specified did not hold";
    Refusal::new(412, "PreconditionFailed", message).with("Condition", condition)
}

fn no_such_key(key: &str) -> Refusal {
    Refusal::new(404, "NoSuchKey", "The specified key does not exist.").with("Key", key)
}

/// `If-Match` and `If-None-Match` of a write.
fn check_write(request: &Request, existing: Option<&Object>) -> Result<(), Refusal> {
    match request.tag("if-none-match").as_deref() {
        None => {}
        Some("*") if existing.is_some() => return Err(failed("If-None-Match")),
        Some("*") => {}
        Some(_) => return Err(not_implemented("If-None-Match")),
    }
    let Some(wanted) = request.tag("if-match") else { return Ok(()) };
    let existing = existing.ok_or_else(|| no_such_key(&request.key))?;
    if wanted == "*" || wanted == existing.etag { Ok(()) } else { Err(failed("If-Match")) }
}

fn delete(buckets: &Buckets, held: &mut Held, request: &Request) -> Outcome {
    if request.header("if-match").is_some() {
        let existing = held.buckets.get(&request.bucket).and_then(|bucket| bucket.objects.get(&request.key));
        check_write(request, existing)?;
    }
    buckets.delete(held, &request.bucket, &request.key)?;
    Ok(empty(204))
}

fn get(buckets: &Buckets, bucket: &Bucket, request: &Request) -> Outcome {
    let object = bucket.objects.get(&request.key).ok_or_else(|| no_such_key(&request.key))?;
    if request.tag("if-match").is_some_and(|wanted| wanted != "*" && wanted != object.etag) {
        return Err(failed("If-Match"));
    }
    if request.tag("if-none-match").is_some_and(|wanted| wanted == "*" || wanted == object.etag) {
        return Ok(describe(Response::new(304, "application/xml", ""), object));
    }
    let content =
        if request.method == "HEAD" { None } else { Some(buckets.content(&request.bucket, object)?) };
    let kind = object.headers.get("content-type").map(String::as_str).unwrap_or_default();
    let range = request.header("range").and_then(|range| part(range, object.size));
    let answer = match range {
        Some(Err(())) => {
            let message = "The requested range is not satisfiable";
            return Err(
                Refusal::new(416, "InvalidRange", message).with("ActualObjectSize", &object.size.to_string())
            );
        }
        Some(Ok((first, last))) => {
            let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            let content =
                content.map(|content| content.get(place(first)..=place(last)).unwrap_or_default().to_vec());
            Response::new(206, kind, content.unwrap_or_default())
                .with("content-range", format!("bytes {first}-{last}/{}", object.size))
                .with("content-length", (last - first + 1).to_string())
        }
        None => {
            let mut answer = Response::new(200, kind, content.unwrap_or_default())
                .with("content-length", object.size.to_string());
            let wanted = request
                .header("x-amz-checksum-mode")
                .is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"));
            if let Some((name, value)) = object.checksum.as_ref().filter(|_| wanted) {
                answer = answer.with(name, value.clone()).with("x-amz-checksum-type", "FULL_OBJECT");
            }
            answer
        }
    };
    Ok(describe(answer, object))
}

/// Adds the headers that tell an object.
fn describe(mut answer: Response, object: &Object) -> Response {
    answer = answer.with("etag", object.etag.clone()).with("accept-ranges", "bytes");
    answer = answer.with("last-modified", object.modified.http_date());
    for (name, value) in object.headers.iter().filter(|(name, _)| *name != "content-type") {
        answer = answer.with(name, value.clone());
    }
    answer
}

/// First and last byte of a `Range`; none for one that is to be passed over, an error for one that lies
/// beyond the end.
fn part(range: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first, last) {
        ("", last) => (size.saturating_sub(last.parse().ok()?), size.checked_sub(1)),
        (first, "") => (first.parse().ok()?, size.checked_sub(1)),
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            (first, size.checked_sub(1).map(|end| end.min(last)))
        }
    };
    Some(last.filter(|last| first <= *last).map(|last| (first, last)).ok_or(()))
}
