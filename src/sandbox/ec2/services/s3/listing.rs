//! ListObjectsV2: keys in the order of their bytes, folded at a delimiter, in pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::objects::{Bucket, Object};
use super::{Request, write_owner};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::response::{self, Response};
use crate::sandbox::ec2::signature::encode;
use crate::sandbox::ec2::xml::Xml;

/// What the query of a listing may name.
pub(super) const PARAMETERS: &[&str] = &[
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "continuation-token",
    "start-after",
    "encoding-type",
    "fetch-owner",
];
/// Most keys and prefixes of a page.
const MOST: usize = 1000;

/// A line of a listing.
enum Entry<'a> {
    Object(&'a Object),
    /// All keys that begin so.
    Prefix(String),
}

pub(super) fn list(bucket: &Bucket, request: &Request) -> Result<Response, Fault> {
    let text = |name: &str| request.query.get(name).map(String::as_str).filter(|text| !text.is_empty());
    if text("list-type") != Some("2") {
        let message = "the sandbox lists objects with list-type=2 (ListObjectsV2) only";
        return Err(Fault::with_status(501, "NotImplemented", message));
    }
    let argument = |message: &str| Fault::new("InvalidArgument", message);
    let asked = match text("max-keys") {
        None => MOST,
        Some(number) => {
            let number: i64 = number
                .parse()
                .map_err(|_| argument("Provided max-keys not an integer or within integer range"))?;
            usize::try_from(number)
                .map_err(|_| argument("Argument max-keys must be an integer between 0 and 2147483647"))?
        }
    };
    let encoded = match text("encoding-type") {
        None => false,
        Some("url") => true,
        Some(_) => return Err(argument("Invalid Encoding Method specified in Request")),
    };
    let after = match text("continuation-token") {
        Some(token) => {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let entry = bytes.as_deref().and_then(|text| text.strip_prefix("after ")).map(str::to_owned);
            After::Entry(entry.ok_or_else(|| argument("The continuation token provided is incorrect"))?)
        }
        None => After::Key(text("start-after").unwrap_or_default().to_owned()),
    };
    let prefix = text("prefix").unwrap_or_default();
    let (entries, next) = page(bucket, prefix, text("delimiter"), &after, asked.min(MOST));
    let written = |key: &str| if encoded { encode(key.as_bytes(), true) } else { key.to_owned() };
    let mut xml = Xml::new();
    xml.text("Name", &request.bucket).text("Prefix", written(prefix));
    xml.optional("Delimiter", text("delimiter").map(written));
    xml.optional("StartAfter", text("start-after").map(written));
    xml.optional("ContinuationToken", text("continuation-token"));
    let token = next.map(|last| URL_SAFE_NO_PAD.encode(format!("after {last}")));
    xml.optional("NextContinuationToken", token.as_ref());
    xml.text("KeyCount", entries.len()).text("MaxKeys", asked).text("IsTruncated", token.is_some());
    xml.optional("EncodingType", encoded.then_some("url"));
    let owner = text("fetch-owner") == Some("true");
    for entry in &entries {
        match entry {
            Entry::Object(object) => {
                xml.element("Contents", |xml| {
                    xml.text("Key", written(&object.key)).time("LastModified", object.modified);
                    xml.text("ETag", &object.etag).text("Size", object.size).text("StorageClass", "STANDARD");
                    if owner {
                        write_owner(xml, "Owner");
                    }
                });
            }
            Entry::Prefix(_) => {}
        }
    }
    for entry in &entries {
        if let Entry::Prefix(prefix) = entry {
            xml.element("CommonPrefixes", |xml| {
                xml.text("Prefix", written(prefix));
            });
        }
    }
    Ok(response::s3("ListBucketResult", xml))
}

/// What comes before the first entry of a page.
enum After {
    /// Any key up to this one.
    Key(String),
    /// The entry that was told last: a key, or a prefix with all of its keys.
    Entry(String),
}

/// The entries of a page, and the last of them if there are more.
fn page<'a>(
    bucket: &'a Bucket,
    prefix: &str,
    delimiter: Option<&str>,
    after: &After,
    most: usize,
) -> (Vec<Entry<'a>>, Option<String>) {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut last: Option<String> = None;
    if most == 0 {
        return (entries, None);
    }
    for (key, object) in bucket.objects.range(prefix.to_owned()..) {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let folded = delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        let folded = folded.and_then(|end| Some(format!("{prefix}{}", rest.get(..end)?)));
        let name = folded.as_deref().unwrap_or(key);
        let told = match after {
            After::Key(after) => key <= after && !after.is_empty(),
            After::Entry(after) => name <= after.as_str(),
        };
        if told || last.as_deref() == Some(name) {
            continue;
        }
        if entries.len() == most {
            return (entries, last);
        }
        last = Some(name.to_owned());
        entries.push(match folded {
            Some(prefix) => Entry::Prefix(prefix),
            None => Entry::Object(object),
        });
    }
    (entries, None)
}
