//! Connections on which half an answer is none.
//!
//! The SDK takes an XML document that breaks off for one whose rest is empty: a launch would seem to have
//! launched nothing.

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

/// A connector that fails where an XML document does not come to its end.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) inner: SharedHttpConnector,
}

impl HttpConnector for Whole {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            let mut response = inner.call(request).await?;
            if !response.headers().get("content-type").is_some_and(|kind| kind.contains("xml")) {
                return Ok(response);
            }
            let body = ByteStream::new(response.take_body()).collect().await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
            if !is_whole(&body) {
                return Err(ConnectorError::io("the answer breaks off".into()));
            }
            *response.body_mut() = SdkBody::from(body);
            Ok(response)
        })
    }
}

/// Whether a document ends as it begins; an empty one does.
fn is_whole(document: &[u8]) -> bool {
    let text = String::from_utf8_lossy(document);
    let mut content = text.trim();
    while let Some(prologue) = content.strip_prefix("<?").or_else(|| content.strip_prefix("<!")) {
        content = prologue.split_once('>').map_or("", |(_, rest)| rest.trim_start());
    }
    let Some(root) = content.strip_prefix('<') else { return content.is_empty() && !text.contains('<') };
    let name = root.split(|letter: char| letter.is_whitespace() || letter == '>' || letter == '/').next();
    let name = name.unwrap_or_default();
    let is_single = root.ends_with("/>") && root.matches('>').count() == 1;
    is_single || root.ends_with(&format!("</{name}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_ends_as_it_begins() {
        for whole in [
            "",
            "<a/>",
            "<a x=\"1\"/>",
            "<a></a>",
            "<?xml version=\"1.0\"?>\n<a xmlns=\"b\"><c>d</c></a>\n",
            "<!-- a comment --><a>b</a>",
        ] {
            assert!(is_whole(whole.as_bytes()), "{whole}");
        }
        for half in ["<a>", "<a><b/>", "<?xml version=\"1.0\"?>", "<a><b>c</b><", "<a></b>", "<"] {
            assert!(!is_whole(half.as_bytes()), "{half}");
        }
    }
}
