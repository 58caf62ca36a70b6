//! What is around an answer, which differs between the services.

use super::fault::Fault;
use super::model::ACCOUNT;
use super::xml::Xml;

const PROLOGUE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const EC2: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
pub(super) const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
pub(super) const IAM: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const XML: &str = "text/xml;charset=UTF-8";

/// A status and a document.
#[derive(Debug)]
pub(super) struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    /// The error code of a refusal.
    pub code: Option<String>,
    /// Whether it is a refusal that the faults ask for.
    pub on_purpose: bool,
}

impl Response {
    fn xml(body: String) -> Self {
        Response { status: 200, content_type: XML, body, code: None, on_purpose: false }
    }

    /// A JSON document.
    pub fn json(status: u16, body: String) -> Self {
        Response { status, content_type: "application/x-amz-json-1.1", body, code: None, on_purpose: false }
    }

    fn refusal(fault: &Fault, body: String) -> Self {
        let code = Some(fault.code.clone());
        Response { status: fault.status, code, on_purpose: fault.on_purpose, ..Self::xml(body) }
    }
}

/// The refusal of a service that speaks JSON.
pub(super) fn json_fault(fault: &Fault) -> Response {
    let body = serde_json::json!({ "__type": fault.code, "message": fault.message });
    Response { code: Some(fault.code.clone()), ..Response::json(fault.status, body.to_string()) }
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
    let random: u128 = rand::random();
    let hex = format!("{random:032x}");
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
pub(super) fn malformed(body: &str) -> String {
    let half: String = body.chars().take(body.chars().count() / 2).collect();
    half + "<"
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
        assert!(response.body.ends_with(
            "<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>a &lt; \
             b</Message></Error></Errors><RequestID>id-1</RequestID></Response>"
        ));
        assert_eq!(request_id().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
