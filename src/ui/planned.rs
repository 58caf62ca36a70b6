//! What a plan would do, as lines.

use super::environment::Options;
use super::event::{Event, Level};
use super::style::{Paint, Style};

/// The lines of a part of a plan; `None` for other events.
pub(super) fn text(event: &Event, options: &Options, style: &Style) -> Option<String> {
    Some(match event {
        Event::PlannedCall { service, region, action, summary, parameters, permission } => {
            let name = match service.as_str() {
                "ec2" => action.clone(),
                other => format!("{other}:{action}"),
            };
            let permission = match permission.as_deref() {
                None => String::new(),
                Some("permitted") => format!("  {}", style.paint("permitted", Paint::Dim)),
                Some("refused") => format!("  {} not permitted", style.mark(Level::Error)),
                Some(code) => {
                    format!("  {}", style.paint(&format!("permission unclear: {code}"), Paint::Dim))
                }
            };
            let mut lines = format!("{} {name} {region}  {summary}{permission}\n", sign(action));
            let all = parameters.as_object().filter(|_| options.verbose > 0);
            for (name, value) in all.into_iter().flatten() {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                lines.push_str(&style.paint(&format!("    {name} = {value}"), Paint::Dim));
                lines.push('\n');
            }
            lines
        }
        Event::PlannedStep { namespace, text, hosts } => match hosts.as_slice() {
            [] => format!("~ {namespace}: {text}\n"),
            [host] => format!("~ {namespace} {host}: {text}\n"),
            hosts if options.verbose > 0 => format!("~ {namespace} {}: {text}\n", hosts.join(", ")),
            hosts => format!("~ {namespace} {} hosts: {text}\n", hosts.len()),
        },
        Event::PlanEnded { complete, calls, steps, hourly, unknown, refused } => {
            let total: u64 = calls.values().sum();
            let counted = |number: u64, thing: &str| match number {
                1 => format!("1 {thing}"),
                number => format!("{number} {thing}s"),
            };
            let kinds: Vec<String> =
                calls.iter().map(|(action, number)| format!("{number} {action}")).collect();
            let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
            let cost = hourly.map_or_else(String::new, |hourly| format!(", about ${hourly:.4} an hour"));
            let mut lines =
                format!("plan: {}{kinds}, {}{cost}\n", counted(total, "call"), counted(*steps, "other step"));
            if !unknown.is_empty() {
                let places = counted(unknown.len() as u64, "comparison");
                lines.push_str(&format!(
                    "      {places} of what is known only afterwards: {}\n",
                    unknown.join(", ")
                ));
            }
            if *refused > 0 {
                lines.push_str(&format!("      {} not permitted\n", counted(*refused, "call")));
            }
            if !complete {
                lines.push_str("      it did not reach the end of the recipe\n");
            }
            lines + "      nothing was changed\n"
        }
        _ => return None,
    })
}

/// Whether an action makes something, takes something away, or changes it.
fn sign(action: &str) -> char {
    const MAKING: [&str; 5] = ["Create", "Run", "Import", "Allocate", "Register"];
    const TAKING: [&str; 8] =
        ["Delete", "Terminate", "Release", "Cancel", "Detach", "Disassociate", "Revoke", "Deregister"];
    if MAKING.iter().any(|word| action.starts_with(word)) {
        return '+';
    }
    if TAKING.iter().any(|word| action.starts_with(word)) { '-' } else { '~' }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::samples;
    use insta::assert_snapshot;

    #[test]
    fn a_plan_reads_well() {
        let step = |hosts: &[&str]| Event::PlannedStep {
            namespace: "ssh".into(),
            text: "upload deploy/ -> /opt/app".into(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        };
        let events =
            [samples::planned_call(), step(&["i-?1"]), step(&["i-?1", "i-?2"]), samples::plan_ended()];
        let show = |options: &Options| {
            events.iter().filter_map(|event| text(event, options, &Style::PLAIN)).collect::<String>()
        };
        assert_snapshot!(show(&Options::default()), @"
        + RunInstances us-west-2  2 × t3.medium spot in subnet-?1
        ~ ssh i-?1: upload deploy/ -> /opt/app
        ~ ssh 2 hosts: upload deploy/ -> /opt/app
        plan: 3 calls (1 CreateVpc, 2 RunInstances), 3 other steps, about $0.0375 an hour
              1 comparison of what is known only afterwards: a.rhai:12:8 (i-?1)
              nothing was changed
        ");
        let verbose = show(&Options { verbose: 1, ..Options::default() });
        assert!(
            verbose.contains("\n    InstanceType = t3.medium\n") && verbose.contains("i-?1, i-?2"),
            "{verbose}"
        );
    }

    #[test]
    fn signs_say_what_an_action_does() {
        assert_eq!(["RunInstances", "TerminateInstances", "ModifyVpcAttribute"].map(sign), ['+', '-', '~']);
    }
}
