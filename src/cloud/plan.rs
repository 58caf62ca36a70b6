//! What would be done: calls that change something, as they are sent or would be, and the
//! placeholders that stand for what a planned call would have made.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// What becomes of calls that change something in the cloud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are made.
    #[default]
    Act,
    /// They are refused, with the code [`READ_ONLY`].
    ReadOnly,
    /// They are noted and answered with placeholders; nothing is changed.
    Plan {
        /// Whether EC2 is asked, with its own `DryRun`, if each call would be permitted.
        permissions: bool,
    },
}

impl Mode {
    /// Whether nothing is to be changed and everything noted.
    pub fn is_plan(self) -> bool {
        matches!(self, Mode::Plan { .. })
    }
}

/// The code of a refusal to change something in a run that may only read.
pub const READ_ONLY: &str = "ReadOnly";
/// The code of a refusal to plan a call whose effect is not known.
pub const NOT_PLANNABLE: &str = "NotPlannable";

/// The refusal of a change in a run that may only read; `what` names it, such as
/// `RunInstances in us-west-2`.
pub fn read_only(what: &str) -> crate::error::Error {
    crate::error::Error::script(format!("{what}: refused by --read-only"))
        .with_code(READ_ONLY)
        .with_hint("run it without --read-only to allow changes, or with --dry-run to see what it would do")
}

/// What EC2's own `DryRun` said of a planned call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// It would have been allowed.
    Permitted,
    /// It would have been refused for want of a permission.
    Refused,
    /// EC2 said something else, of this code, before or instead of judging permissions.
    Unclear(String),
}

/// One call that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `ec2`, `iam`, ….
    pub service: String,
    /// The region it is signed for.
    pub region: String,
    /// `RunInstances`, `CreateVpc`, ….
    pub action: String,
    /// Names and values as they are sent, in the order of the names; numbers within names count as
    /// numbers. The version of the API is left out.
    pub parameters: Vec<(String, String)>,
    /// What `DryRun` said, if it was asked. A call about placeholders cannot be asked about.
    pub permission: Option<Permission>,
}

/// Called with every call that changes something, before it is made or in its place.
pub type Observer = Arc<dyn Fn(&Call) + Send + Sync>;

impl Call {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Values of the parameters `NAME.1`, `NAME.2`, ….
    pub fn list(&self, name: &str) -> Vec<&str> {
        let numbered = |known: &str| {
            let number = known.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        };
        self.parameters.iter().filter(|(known, _)| numbered(known)).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a parameter stands for something that does not exist yet.
    pub fn has_placeholder(&self) -> bool {
        self.parameters.iter().any(|(_, value)| placeholder(value).is_some())
    }

    /// The parameters that matter most, in a few words.
    pub fn summary(&self) -> String {
        match self.action.as_str() {
            "RunInstances" => self.summary_of_run(),
            "CreateFleet" => self.summary_of_fleet(),
            _ => self.summary_of_others(),
        }
    }

    fn summary_of_run(&self) -> String {
        let count = self.get("MaxCount").unwrap_or("1");
        let kind = self.get("InstanceType").unwrap_or("instance");
        let market = match self.get("InstanceMarketOptions.MarketType") {
            Some("spot") => "spot",
            _ => "on-demand",
        };
        let subnet = self.get("NetworkInterface.1.SubnetId").or_else(|| self.get("SubnetId"));
        let mut text = format!("{count} × {kind} {market}");
        for (word, value) in [("in", subnet), ("from", self.get("ImageId"))] {
            if let Some(value) = value {
                text.push_str(&format!(" {word} {value}"));
            }
        }
        text
    }

    fn summary_of_fleet(&self) -> String {
        let target = |name: &str| self.get(&format!("TargetCapacitySpecification.{name}"));
        let mut types: Vec<&str> = self
            .parameters
            .iter()
            .filter(|(name, _)| name.contains(".Overrides.") && name.ends_with(".InstanceType"))
            .map(|(_, value)| value.as_str())
            .collect();
        types.dedup();
        let shown: Vec<&str> = types.iter().take(3).copied().collect();
        let more = if types.len() > shown.len() { ", …" } else { "" };
        let default = target("DefaultTargetCapacityType").unwrap_or("on-demand");
        let mut text = format!(
            "{} × {}{more} {default}",
            target("TotalTargetCapacity").unwrap_or("?"),
            if shown.is_empty() { "instance".to_owned() } else { shown.join(", ") }
        );
        if let Some(base) = target("OnDemandTargetCapacity").filter(|base| *base != "0") {
            text.push_str(&format!(", {base} of them on-demand"));
        }
        text
    }

    fn summary_of_others(&self) -> String {
        const DULL: [&str; 5] = ["ClientToken", "TagSpecification.", "Description", "UserData", "DryRun"];
        let interesting =
            |name: &str| !DULL.iter().any(|dull| name.starts_with(dull)) && !name.ends_with(".Description");
        let shown: Vec<String> = self
            .parameters
            .iter()
            .filter(|(name, _)| {
                interesting(name) && !name.contains("UserData") && !name.contains(".TagSpecification.")
            })
            .map(|(name, value)| {
                let last = name.rsplit('.').find(|part| part.parse::<u32>().is_err()).unwrap_or(name);
                match value.len() > 60 {
                    true => format!("{last}={}…", value.chars().take(60).collect::<String>()),
                    false => format!("{last}={value}"),
                }
            })
            .collect();
        let more = if shown.len() > 6 { format!(" and {} more", shown.len() - 6) } else { String::new() };
        let first: Vec<String> = shown.into_iter().take(6).collect();
        format!("{}{more}", first.join(" "))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}  {}", self.action, self.region, self.summary())
    }
}

/// The first placeholder within a text: a kind and a number, such as `i-?1`.
pub fn placeholder(text: &str) -> Option<&str> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find("-?") {
        let mark = from + found;
        let digits = text.get(mark + 2..)?.bytes().take_while(u8::is_ascii_digit).count();
        let is_kind = |byte: &u8| byte.is_ascii_lowercase();
        let kind = text.as_bytes().get(..mark)?.iter().rev().take_while(|byte| is_kind(byte)).count();
        if digits > 0 && kind > 0 {
            return text.get(mark - kind..mark + 2 + digits);
        }
        from = mark + 2;
    }
    None
}

/// The order in which people count: numbers within a name by their value.
pub(crate) fn name_order(name: &str) -> Vec<(u32, String)> {
    name.split('.')
        .map(|part| match part.parse::<u32>() {
            Ok(number) => (number, String::new()),
            Err(_) => (0, part.to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(action: &str, parameters: &[(&str, &str)]) -> Call {
        Call {
            service: "ec2".to_owned(),
            region: "us-west-2".to_owned(),
            action: action.to_owned(),
            parameters: parameters.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            permission: None,
        }
    }

    #[test]
    fn placeholders_are_found_within_texts_and_nothing_else_is() {
        for (text, found) in [
            ("i-?1", Some("i-?1")),
            ("http://ip-?12:80", Some("ip-?12")),
            ("really -? no", None),
            ("what-?", None),
            ("i-0123", None),
            ("-?1", None),
            ("a -? b vpc-?3", Some("vpc-?3")),
            ("é-?1", None),
        ] {
            assert_eq!(placeholder(text), found, "{text}");
        }
    }

    #[test]
    fn a_call_is_told_in_a_few_words() {
        let run = call(
            "RunInstances",
            &[
                ("InstanceMarketOptions.MarketType", "spot"),
                ("InstanceType", "t3.medium"),
                ("MaxCount", "2"),
                ("NetworkInterface.1.SubnetId", "subnet-?1"),
            ],
        );
        assert_eq!(run.to_string(), "RunInstances us-west-2  2 × t3.medium spot in subnet-?1");
        assert!(run.has_placeholder());
        let fleet = call(
            "CreateFleet",
            &[
                ("LaunchTemplateConfigs.1.Overrides.1.InstanceType", "t3.micro"),
                ("LaunchTemplateConfigs.1.Overrides.2.InstanceType", "t3a.micro"),
                ("TargetCapacitySpecification.DefaultTargetCapacityType", "spot"),
                ("TargetCapacitySpecification.TotalTargetCapacity", "3"),
            ],
        );
        assert_eq!(fleet.summary(), "3 × t3.micro, t3a.micro spot");
        let other = call("TerminateInstances", &[("InstanceId.1", "i-1"), ("InstanceId.2", "i-2")]);
        assert_eq!(other.summary(), "InstanceId=i-1 InstanceId=i-2");
        assert_eq!(other.list("InstanceId"), ["i-1", "i-2"]);
    }

    #[test]
    fn names_are_ordered_by_their_numbers() {
        let mut names = ["A.10", "A.2", "A.1.B", "B"];
        names.sort_by_key(|name| name_order(name));
        assert_eq!(names, ["A.1.B", "A.2", "A.10", "B"]);
    }
}
