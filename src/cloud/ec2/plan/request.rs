//! What a request of the SDK asks for: service, region, action and parameters.

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use crate::cloud::plan::{Call, name_order};

/// A request, decoded.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) service: String,
    pub(super) region: String,
    pub(super) action: String,
    pub(super) parameters: BTreeMap<String, String>,
    /// Whether the service speaks JSON, not the query protocol.
    pub(super) json: bool,
}

/// Beginnings of the names of actions that change nothing.
const READING: [&str; 6] = ["Describe", "Get", "List", "Search", "AssumeRole", "DecodeAuthorizationMessage"];

impl Asked {
    /// What a request asks for; `None` for what belongs to no service's API, such as the requests by
    /// which credentials are found.
    pub(super) fn read(request: &HttpRequest) -> Option<Asked> {
        let header = |name: &str| request.headers().get(name).unwrap_or_default();
        let (region, service) = scope(header("authorization")).unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        if let Some((_, action)) = header("x-amz-target").split_once('.') {
            let text = String::from_utf8_lossy(body).into_owned();
            return Some(Asked {
                service,
                region,
                action: action.to_owned(),
                parameters: BTreeMap::from([("Body".to_owned(), text)]),
                json: true,
            });
        }
        let mut parameters: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let named = parameters.remove("Action");
        parameters.remove("Version");
        match named {
            Some(action) => Some(Asked { service, region, action, parameters, json: false }),
            // Signed, and yet no protocol that is known: nobody can say what it would do.
            None if !region.is_empty() && request.method() != "GET" => {
                let action = format!("{} {}", request.method(), request.uri());
                Some(Asked { service, region, action, parameters: BTreeMap::new(), json: false })
            }
            None => None,
        }
    }

    /// Whether it changes nothing.
    pub(super) fn reads(&self) -> bool {
        READING.iter().any(|word| self.action.starts_with(word)) || self.get("DryRun") == Some("true")
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Values of `name.1`, `name.2`, … in order.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|number| self.get(&format!("{name}.{number}"))).collect()
    }

    /// The groups of parameters `name.1.…`, `name.2.…`, in order, without their common beginning.
    pub(super) fn groups(&self, name: &str) -> Vec<Asked> {
        (1..).map_while(|number| self.group(&format!("{name}.{number}"))).collect()
    }

    /// The parameters below a name, without that beginning.
    pub(super) fn group(&self, name: &str) -> Option<Asked> {
        let prefix = format!("{name}.");
        let below: BTreeMap<String, String> = self
            .parameters
            .iter()
            .filter_map(|(known, value)| Some((known.strip_prefix(&prefix)?.to_owned(), value.clone())))
            .collect();
        (!below.is_empty()).then(|| Asked { parameters: below, ..self.clone() })
    }

    /// The tags that a request gives to what it makes, of one kind.
    pub(super) fn tags(&self, kind: &str) -> Vec<(String, String)> {
        let specifications = self.groups("TagSpecification");
        let ours = specifications.iter().filter(|group| group.get("ResourceType") == Some(kind));
        ours.flat_map(Asked::pairs).collect()
    }

    /// `Tag.N.Key` and `Tag.N.Value`.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let pair = |group: &Asked| {
            Some((group.get("Key")?.to_owned(), group.get("Value").unwrap_or_default().to_owned()))
        };
        self.groups("Tag").iter().filter_map(pair).collect()
    }

    /// The call as it is told to others.
    pub(super) fn call(&self) -> Call {
        let mut parameters: Vec<(String, String)> =
            self.parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        parameters.sort_by_cached_key(|(name, _)| name_order(name));
        Call {
            service: self.service.clone(),
            region: self.region.clone(),
            action: self.action.clone(),
            parameters,
            permission: None,
        }
    }
}

/// Region and service out of `AWS4-HMAC-SHA256 Credential=KEY/DAY/REGION/SERVICE/aws4_request, …`.
fn scope(authorization: &str) -> Option<(String, String)> {
    let credential = authorization.split("Credential=").nth(1)?.split(',').next()?;
    let mut parts = credential.rsplit('/').skip(1);
    let service = parts.next()?;
    Some((parts.next()?.to_owned(), service.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_the_signature() {
        let text = "AWS4-HMAC-SHA256 Credential=a/b/20260101/us-west-2/ec2/aws4_request, SignedHeaders=x";
        assert_eq!(scope(text), Some(("us-west-2".to_owned(), "ec2".to_owned())));
        assert_eq!(scope("Bearer x"), None);
    }

    #[test]
    fn numbered_parameters_are_lists_and_groups() {
        let parameters = [
            ("TagSpecification.1.ResourceType", "vpc"),
            ("TagSpecification.1.Tag.1.Key", "a"),
            ("TagSpecification.1.Tag.1.Value", "b"),
            ("Id.1", "x"),
            ("Id.2", "y"),
            ("DryRun", "true"),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let asked = Asked {
            service: String::new(),
            region: String::new(),
            action: "CreateVpc".to_owned(),
            parameters: parameters.into(),
            json: false,
        };
        assert_eq!(asked.list("Id"), ["x", "y"]);
        assert_eq!(asked.tags("vpc"), [("a".to_owned(), "b".to_owned())]);
        assert!(asked.tags("subnet").is_empty());
        assert!(asked.reads());
    }
}
