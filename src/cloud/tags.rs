//! The tags that spot writes on everything it makes. What is searched is what was written: both
//! sides use these constants, and nothing else in the crate spells a tag key.

use std::collections::BTreeMap;

/// Who made the resource; the value is [`SPOT`].
pub const MANAGED_BY: &str = "ManagedBy";
/// The value of [`MANAGED_BY`].
pub const SPOT: &str = "spot";
/// The project that the resource belongs to.
pub const PROJECT: &str = "spot:project";
/// The deployment (one run of `create`) that the resource belongs to.
pub const DEPLOYMENT: &str = "spot:deployment";
/// The idempotency token of the request that made the resource.
pub const TOKEN: &str = "spot:token";
/// Who asked for the resource: the user, as the caller of spot names them.
pub const CREATED_BY: &str = "spot:created-by";
/// When the resource may be removed by `spot reap`: RFC 3339 in UTC, or `never`.
pub const EXPIRES: &str = "spot:expires";
/// Keeps an instance from `nuke` and `delete_network`; any value but `false` does.
pub const PROTECT: &str = "spot:protect";
/// The name that the EC2 console shows.
pub const NAME: &str = "Name";

/// Tags as they are written and read: key to value.
pub type Tags = BTreeMap<String, String>;

/// Whose resources are meant when they are searched by tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Everything of one project.
    Project(String),
    /// Everything of one deployment of a project.
    Deployment {
        /// The project.
        project: String,
        /// The deployment of the project.
        deployment: String,
    },
    /// Everything that spot made in the account, whichever project it is for.
    Everything,
}

impl Owner {
    /// The tags that each resource of this owner carries.
    pub fn tags(&self) -> Tags {
        let mut tags = Tags::from([(MANAGED_BY.to_owned(), SPOT.to_owned())]);
        match self {
            Owner::Everything => {}
            Owner::Project(project) => {
                tags.insert(PROJECT.to_owned(), project.clone());
            }
            Owner::Deployment { project, deployment } => {
                tags.insert(PROJECT.to_owned(), project.clone());
                tags.insert(DEPLOYMENT.to_owned(), deployment.clone());
            }
        }
        tags
    }

    /// Whether a resource with these tags belongs to this owner.
    pub fn owns(&self, tags: &Tags) -> bool {
        self.tags().iter().all(|(key, value)| tags.get(key) == Some(value))
    }
}

/// Whether these tags keep an instance from being removed.
pub fn protects(tags: &Tags) -> bool {
    tags.get(PROTECT).is_some_and(|value| !value.eq_ignore_ascii_case("false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_owns_what_carries_its_tags() {
        let web = Owner::Project("web".to_owned());
        let one = Owner::Deployment { project: "web".to_owned(), deployment: "d1".to_owned() };
        let mut written = one.tags();
        written.insert(NAME.to_owned(), "web".to_owned());
        assert!(web.owns(&written));
        assert!(one.owns(&written));
        assert!(Owner::Everything.owns(&written));
        assert!(!Owner::Project("api".to_owned()).owns(&written));
        assert!(!one.owns(&web.tags()));
        assert!(!Owner::Everything.owns(&Tags::from([("ManagedBy".to_owned(), "Spot".to_owned())])));
    }
}
