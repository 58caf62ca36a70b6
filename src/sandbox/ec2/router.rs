//! The table of actions: which handler answers, and which parameters it takes.

use super::actions::{Call, FAMILIES};
use super::fault::Fault;
use super::request::{Params, shape};
use super::xml::Xml;

/// The API version the endpoint speaks.
pub(super) const VERSION: &str = "2016-11-15";

/// What a handler answers.
pub(super) type Answer = Result<Xml, Fault>;

/// One row of the table.
pub(super) struct Operation {
    /// The action's name.
    pub name: &'static str,
    /// Whether it changes the cloud.
    pub writes: bool,
    /// Its handler. A handler that fails has changed nothing.
    pub run: fn(&mut Call<'_>) -> Answer,
    /// The parameters it takes, numbers written as `N`; a `*` marks those that must be there.
    takes: &'static [&'static [&'static str]],
    /// A name, and the parameters that are known below it.
    nested: Option<(&'static str, &'static [&'static [&'static str]])>,
}

impl Operation {
    /// An action that only looks.
    pub const fn read(
        name: &'static str,
        run: fn(&mut Call<'_>) -> Answer,
        takes: &'static [&'static [&'static str]],
    ) -> Self {
        Operation { name, writes: false, run, takes, nested: None }
    }

    /// An action that changes something.
    pub const fn write(
        name: &'static str,
        run: fn(&mut Call<'_>) -> Answer,
        takes: &'static [&'static [&'static str]],
    ) -> Self {
        Operation { name, writes: true, run, takes, nested: None }
    }

    /// The same action, which also takes the given parameters below `name`.
    pub const fn with(self, name: &'static str, takes: &'static [&'static [&'static str]]) -> Self {
        Operation { nested: Some((name, takes)), ..self }
    }

    /// Whether a parameter, its numbers written as `N`, is one of those below another name.
    fn is_nested(&self, shape: &str) -> bool {
        let Some((name, takes)) = self.nested else { return false };
        let below = shape.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        below.is_some_and(|below| takes.iter().flat_map(|names| names.iter()).any(|known| *known == below))
    }

    /// Refuses unknown parameters, then missing ones.
    pub fn check(&self, params: &Params) -> Result<(), Fault> {
        let known = || self.takes.iter().flat_map(|names| names.iter().copied());
        for (name, _) in params.flatten() {
            let shape = shape(&name);
            let common = matches!(shape.as_str(), "Action" | "Version" | "DryRun");
            let known = common || known().any(|known| known.trim_start_matches('*') == shape);
            if !known && !self.is_nested(&shape) {
                return Err(Fault::new(
                    "UnknownParameter",
                    format!("The parameter {name} is not recognized"),
                ));
            }
        }
        for name in known().filter_map(|known| known.strip_prefix('*')) {
            let first = name.split('.').next().unwrap_or(name);
            if !params.has(first) {
                return Err(Fault::missing(first));
            }
        }
        Ok(())
    }
}

/// The parameters of filters.
pub(super) const FILTER: &[&str] = &["Filter.N.Name", "Filter.N.Value.N"];
/// The parameters of pages.
pub(super) const PAGE: &[&str] = &["MaxResults", "NextToken"];

/// The row of an action, after the version has been checked.
pub(super) fn find(params: &Params) -> Result<&'static Operation, Fault> {
    let name = params.required("Action")?;
    let version = params.required("Version")?;
    if version != VERSION {
        let message = format!("The requested version ({version}) of service AmazonEC2 does not exist");
        return Err(Fault::new("NoSuchVersion", message));
    }
    let mut operations = FAMILIES.iter().flat_map(|family| family.iter());
    operations.find(|operation| operation.name == name).ok_or_else(|| {
        let message = format!("The action {name} is not valid for this web service.");
        Fault::new("InvalidAction", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str) -> Result<(), Fault> {
        let params = Params::parse(format!("Version={VERSION}&{query}").as_bytes())?;
        find(&params)?.check(&params)
    }

    #[test]
    fn unknown_and_missing_parameters_are_named() {
        assert!(check("Action=DescribeVpcs&Filter.1.Name=a&Filter.1.Value.1=b&DryRun=true").is_ok());
        let fault = check("Action=DescribeVpcs&VpcIds.1=x").unwrap_err();
        assert_eq!((fault.code.as_str(), fault.message.contains("VpcIds.1")), ("UnknownParameter", true));
        let fault = check("Action=DeleteVpc").unwrap_err();
        assert_eq!(fault.message, "The request must contain the parameter VpcId");
        assert_eq!(check("Action=Explode").unwrap_err().code, "InvalidAction");
        let params = Params::parse(b"Action=DescribeVpcs&Version=2014-01-01").unwrap();
        assert_eq!(find(&params).err().unwrap().code, "NoSuchVersion");
    }

    #[test]
    fn no_action_has_two_rows() {
        let mut names: Vec<_> = FAMILIES.iter().flat_map(|family| family.iter()).map(|op| op.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
