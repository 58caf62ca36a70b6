//! The `Authorization` header of Signature Version 4: who asks, in which region, for which service.

use super::fault::Fault;

/// Who signed a request, for what, and the signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The access key.
    pub key: String,
    /// The day of the signature: `20261123`.
    pub date: String,
    /// The region that the caller signed for.
    pub region: String,
    /// The service that the caller signed for: `ec2` or `sts`.
    pub service: String,
    /// The headers that are signed, in lower case.
    pub headers: Vec<String>,
    /// Hexadecimal digits.
    pub signature: String,
}

/// Reads the header; whether the signature is right is for `signature` to say.
pub(super) fn scope(header: Option<&str>) -> Result<Scope, Fault> {
    header.and_then(parse).ok_or_else(Fault::unauthenticated)
}

fn parse(header: &str) -> Option<Scope> {
    let fields = header.trim().strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field = |name: &str| {
        let mut values = fields.split(',').filter_map(|field| field.trim().strip_prefix(name));
        values.next()?.strip_prefix('=').filter(|value| !value.is_empty())
    };
    let signature = field("Signature")?;
    if signature.len() != 64 || !signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let headers = field("SignedHeaders")?.split(';').map(str::to_ascii_lowercase).collect();
    // The access key comes first and may itself contain slashes: read from the end.
    let mut parts = field("Credential")?.rsplitn(5, '/');
    let terminator = parts.next()?;
    let service = parts.next()?.to_owned();
    let region = parts.next()?.to_owned();
    let date = parts.next()?;
    let key = parts.next()?;
    let dated = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    (terminator == "aws4_request" && dated && !key.is_empty()).then(|| Scope {
        key: key.to_owned(),
        date: date.to_owned(),
        region,
        service,
        headers,
        signature: signature.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(credential: &str) -> String {
        let signature = "0".repeat(64);
        format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={signature}"
        )
    }

    #[test]
    fn the_scope_names_region_and_service() {
        let scope = scope(Some(&header("AKID/20261123/us-west-2/ec2/aws4_request"))).unwrap();
        assert_eq!((scope.region.as_str(), scope.service.as_str()), ("us-west-2", "ec2"));
    }

    #[test]
    fn anything_else_is_an_authentication_failure() {
        let without_signature =
            header("AKID/20261123/us-west-2/ec2/aws4_request").replace("Signature=", "X=");
        for bad in [
            None,
            Some("Bearer x"),
            Some(header("AKID/2026/us-west-2/ec2/aws4_request").as_str()),
            Some(header("us-west-2/ec2/aws4_request").as_str()),
            Some(without_signature.as_str()),
        ] {
            assert_eq!(scope(bad).unwrap_err().code, "AuthFailure", "{bad:?}");
        }
    }
}
