//! What is around an answer, which differs between the services.

use bytes::Bytes;

use super::fault::Fault;
use super::model::ACCOUNT;
use super::xml::Xml;

const PROLOGUE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const EC2: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
pub(super) const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const S3: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
pub(super) const IAM: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const XML: &str = "text/xml;charset=UTF-8";

/// A status and a document.
#[derive(Debug)]
pub(super) struct Response {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
    /// Headers beside those that every answer has.
    pub headers: Vec<(String, String)>,
    /// The error code of a refusal.
    pub code: Option<String>,
    /// Whether it is a refusal that the faults ask for.
    pub on_purpose: bool,
}

impl Response {
    /// An XML document.
    pub fn xml(body: String) -> Self {
        Self::new(200, XML, body)
    }

    /// A JSON document.
    pub fn json(status: u16, body: String) -> Self {
        Self::new(status, "application/x-amz-json-1.1", body)
    }

    /// Any document.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let (content_type, body) = (content_type.to_owned(), body.into());
        Response { status, content_type, body, headers: Vec::new(), code: None, on_purpose: false }
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn refusal(fault: &Fault, body: String) -> Self {
        let code = Some(fault.code.clone());
        Response { status: fault.status, code, on_purpose: fault.on_purpose, ..Self::xml(body) }
    }
}

/// The refusal of a service that speaks JSON.
pub(super) fn json_fault(fault: &Fault) -> Response {
    let body = serde_json::json!({ "__type": fault.code, "message": fault.message });
    let (code, on_purpose) = (Some(fault.code.clone()), fault.on_purpose);
    Response { code, on_purpose, ..Response::json(fault.status, body.to_string()) }
}

/// The refusal of CloudWatch, which once spoke the query protocol: its codes are told in a header, as
/// clients of that time know them.
pub(super) fn metrics_fault(fault: &Fault) -> Response {
    let sender = if fault.status < 500 { "Sender" } else { "Receiver" };
    json_fault(fault).with("x-amzn-query-error", format!("{};{sender}", fault.code))
}

/// The refusal of S3; `resource` is the path that was asked for, `more` are elements of the error beside
/// the usual ones.
pub(super) fn s3_fault(
    request_id: &str,
    fault: &Fault,
    resource: &str,
    more: &[(String, String)],
) -> Response {
    let mut xml = Xml::new();
    xml.element("Error", |xml| {
        xml.text("Code", &fault.code).text("Message", &fault.message);
        for (name, value) in more {
            xml.text(name, value);
        }
        xml.text("Resource", resource).text("RequestId", request_id);
    });
    let body = format!("{PROLOGUE}{}", xml.finish());
    Response { content_type: "application/xml".to_owned(), ..Response::refusal(fault, body) }
}

/// A document of S3.
pub(super) fn s3(name: &str, content: Xml) -> Response {
    Response { content_type: "application/xml".to_owned(), ..Response::xml(document(name, S3, content)) }
}

/// The answer of IAM to an action.
pub(super) fn iam(action: &str, request_id: &str, answer: Xml) -> Response {
    let mut xml = Xml::new();
    xml.element(&format!("{action}Result"), |xml| {
        xml.append(answer);
    });
    xml.element("ResponseMetadata", |xml| {
        xml.text("RequestId", request_id);
    });
    Response::xml(document(&format!("{action}Response"), IAM, xml))
}

/// A new request id in the form of a UUID.
pub(super) fn request_id() -> String {
    uuid(rand::random())
}

/// A number in the form of a UUID.
pub(super) fn uuid(number: u128) -> String {
    let hex = format!("{number:032x}");
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default().to_owned());
    parts.join("-")
}

/// The answer of EC2 to an action.
pub(super) fn ec2(action: &str, request_id: &str, answer: Xml) -> Response {
    let mut xml = Xml::new();
    xml.text("requestId", request_id).append(answer);
    Response::xml(document(&format!("{action}Response"), EC2, xml))
}

/// The refusal of EC2.
pub(super) fn ec2_fault(request_id: &str, fault: &Fault) -> Response {
    let mut xml = Xml::new();
    xml.element("Response", |xml| {
        xml.element("Errors", |xml| {
            xml.element("Error", |xml| {
                xml.text("Code", &fault.code).text("Message", &fault.message);
            });
        });
        xml.text("RequestID", request_id);
    });
    Response::refusal(fault, format!("{PROLOGUE}{}", xml.finish()))
}

/// A document that breaks off in the middle of an element, as when something between garbles it.
pub(super) fn malformed(body: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let half: String = text.chars().take(text.chars().count() / 2).collect();
    Bytes::from(half + "<")
}

/// The answer of STS to `GetCallerIdentity`.
pub(super) fn identity(request_id: &str) -> Response {
    let mut xml = Xml::new();
    xml.element("GetCallerIdentityResult", |xml| {
        xml.text("Arn", format!("arn:aws:iam::{ACCOUNT}:user/sandbox"));
        xml.text("UserId", "AIDASANDBOX0000000000").text("Account", ACCOUNT);
    });
    xml.element("ResponseMetadata", |xml| {
        xml.text("RequestId", request_id);
    });
    Response::xml(document("GetCallerIdentityResponse", STS, xml))
}

/// The refusal of STS or IAM.
pub(super) fn query_fault(namespace: &str, request_id: &str, fault: &Fault) -> Response {
    let mut xml = Xml::new();
    xml.element("Error", |xml| {
        let sender = if fault.status < 500 { "Sender" } else { "Receiver" };
        xml.text("Type", sender).text("Code", &fault.code).text("Message", &fault.message);
    });
    xml.text("RequestId", request_id);
    Response::refusal(fault, document("ErrorResponse", namespace, xml))
}

fn document(name: &str, namespace: &str, content: Xml) -> String {
    format!("{PROLOGUE}<{name} xmlns=\"{namespace}\">{}</{name}>", content.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_the_shape_of_ec2() {
        let response = ec2_fault("id-1", &Fault::value("a < b"));
        assert_eq!(response.status, 400);
        assert!(String::from_utf8_lossy(&response.body).ends_with(
            "<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>a &lt; \
             b</Message></Error></Errors><RequestID>id-1</RequestID></Response>"
        ));
        assert_eq!(request_id().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
