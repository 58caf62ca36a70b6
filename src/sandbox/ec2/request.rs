//! The parameters of a query request: `Filter.1.Value.2=x` as a tree.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fault::Fault;

/// No name of EC2 is nested deeper; more would let a request exhaust the stack.
const DEEPEST: usize = 12;

/// One level of the parameters: a value, and what is named below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Params {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, Params>,
}

impl Params {
    /// Reads a query string or form body; a later value of the same name replaces an earlier one.
    pub fn parse(encoded: &[u8]) -> Result<Self, Fault> {
        let mut root = Params::default();
        for (name, value) in form_urlencoded::parse(encoded) {
            if name.split('.').count() > DEEPEST {
                return Err(Fault::new("MalformedQueryString", "The query string contains a syntax error"));
            }
            let mut place = &mut root;
            for part in name.split('.') {
                place = place.fields.entry(part.to_owned()).or_default();
            }
            place.value = Some(value.into_owned());
        }
        Ok(root)
    }

    /// The value of a name; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.value.as_deref().filter(|value| !value.is_empty())
    }

    /// The value of a name, even an empty one.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.value.as_deref()
    }

    /// The value of a name that must be there.
    pub fn required(&self, name: &str) -> Result<&str, Fault> {
        self.text(name).ok_or_else(|| Fault::missing(name))
    }

    /// A whole number, if the name is there.
    pub fn integer<T: FromStr>(&self, name: &str) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Fault::value_of(name, text, "Invalid integer value"))
    }

    /// `true` or `false`, if the name is there.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Fault::value_of(name, other, "Expecting true or false")),
        }
    }

    /// The values of `name.1`, `name.2`, … in the order of their numbers.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.members(name).into_iter().filter_map(|member| member.value.as_deref()).collect()
    }

    /// The groups `name.1`, `name.2`, … in the order of their numbers.
    pub fn members(&self, name: &str) -> Vec<&Params> {
        let Some(list) = self.fields.get(name) else { return Vec::new() };
        let mut numbered: Vec<(u64, &Params)> =
            list.fields.iter().filter_map(|(index, member)| Some((index.parse().ok()?, member))).collect();
        numbered.sort_by_key(|(index, _)| *index);
        numbered.into_iter().map(|(_, member)| member).collect()
    }

    /// What is named below `name`, if anything.
    pub fn group(&self, name: &str) -> Option<&Params> {
        self.fields.get(name).filter(|group| !group.fields.is_empty())
    }

    /// Whether a name is there, alone, as a list or as a group.
    pub fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|field| {
            !field.fields.is_empty() || field.value.as_deref().is_some_and(|value| !value.is_empty())
        })
    }

    /// Gives a name such as `Placement.GroupName` a value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let mut place = self;
        for part in name.split('.') {
            place = place.fields.entry(part.to_owned()).or_default();
        }
        place.value = Some(value.into());
    }

    /// Takes a name and all below it away.
    pub fn take(&mut self, name: &str) -> Option<Params> {
        self.fields.remove(name)
    }

    /// These, with each of the first names that `other` has as it is there.
    pub fn overlaid(&self, other: &Params) -> Params {
        let mut all = self.clone();
        all.fields.extend(other.fields.iter().map(|(name, field)| (name.clone(), field.clone())));
        all
    }

    /// What stands at the names of this level.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Params)> {
        self.fields.iter().map(|(name, field)| (name.as_str(), field))
    }

    /// The value that stands here itself.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Whether the names of this level are the numbers of a list.
    pub fn is_list(&self) -> bool {
        !self.fields.is_empty() && self.fields.keys().all(|name| name.parse::<u64>().is_ok())
    }

    /// Every name in full, with its value.
    pub fn flatten(&self) -> Vec<(String, &str)> {
        let mut all = Vec::new();
        self.flatten_into(String::new(), &mut all);
        all
    }

    fn flatten_into<'a>(&'a self, name: String, all: &mut Vec<(String, &'a str)>) {
        for (part, field) in &self.fields {
            let full = if name.is_empty() { part.clone() } else { format!("{name}.{part}") };
            field.flatten_into(full, all);
        }
        if let Some(value) = &self.value {
            all.push((name, value));
        }
    }

    /// A digest of everything asked for, except the names in `without`.
    pub fn digest(&self, without: &[&str]) -> String {
        let mut hash = Sha256::new();
        for (name, value) in self.flatten() {
            if without.contains(&name.as_str()) {
                continue;
            }
            // The lengths keep one pair from running into the next.
            hash.update(format!("{}:{name}{}:{value}", name.len(), value.len()));
        }
        hex(&hash.finalize())
    }
}

/// Lowercase hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name with its numbers replaced: `Filter.1.Value.2` is `Filter.N.Value.N`.
pub(super) fn shape(name: &str) -> String {
    let part = |part: &str| {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if number { "N".to_owned() } else { part.to_owned() }
    };
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_lists_keep_the_order_of_their_numbers() {
        let params = Params::parse(
            b"Filter.2.Name=b&Filter.10.Name=c&Filter.1.Name=a&Filter.1.Value.2=y&Filter.1.Value.1=x%20z",
        )
        .unwrap();
        let names: Vec<_> = params.members("Filter").iter().filter_map(|f| f.text("Name")).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(params.members("Filter")[0].list("Value"), ["x z", "y"]);
        assert!(params.members("Absent").is_empty());
    }

    #[test]
    fn numbers_and_flags_are_checked() {
        let params = Params::parse(b"MinCount=x&DryRun=yes&Max=7&Empty=").unwrap();
        assert_eq!(params.integer::<u32>("MinCount").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(params.flag("DryRun").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(params.integer::<u32>("Max").unwrap(), Some(7));
        assert_eq!(params.required("Empty").unwrap_err().code, "MissingParameter");
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep = "a.".repeat(100_000);
        assert_eq!(Params::parse(deep.as_bytes()).unwrap_err().code, "MalformedQueryString");
    }

    #[test]
    fn the_digest_leaves_out_what_it_is_told_to() {
        let one = Params::parse(b"A=1&ClientToken=x").unwrap();
        let two = Params::parse(b"ClientToken=y&A=1").unwrap();
        let three = Params::parse(b"A=2&ClientToken=x").unwrap();
        assert_eq!(one.digest(&["ClientToken"]), two.digest(&["ClientToken"]));
        assert_ne!(one.digest(&["ClientToken"]), three.digest(&["ClientToken"]));
    }

    #[test]
    fn shapes_replace_numbers_only() {
        assert_eq!(shape("Filter.1.Value.12"), "Filter.N.Value.N");
        assert_eq!(shape("Ipv6.a1"), "Ipv6.a1");
    }
}
