//! Faults on a command line: `NAME[:SCOPE]=VALUE`.

use std::time::Duration;

use super::pools::two_minutes;
use super::{
    Bucket, CapacityFault, Delay, DnsFailure, Faults, HostRule, Interruption, Latency, Market, PriceFault,
    QuotaSetting, Refusal, Selector, Throttling, Window,
};
use crate::error::{Error, Result, nearest};
use crate::sandbox::ec2::names as known;
use crate::sandbox::hosts::HostFaults;

/// The names, with an example of each.
const FORMS: &[(&str, &str)] = &[
    ("throttle", "throttle=0.2"),
    ("throttling", "throttling=ec2 or throttling:RunInstances=5/2"),
    ("latency", "latency=0.2, latency=0.1..0.5 or latency:Describe*=0.1,p99=2"),
    ("lost-requests", "lost-requests=0.05"),
    ("lost-answers", "lost-answers=0.05"),
    ("cut-answers", "cut-answers=0.05"),
    ("malformed-answers", "malformed-answers=0.05"),
    ("clock-skew", "clock-skew=-300"),
    ("dns", "dns=0.2 or dns:us-west-2=1@0..60"),
    ("error", "error:RunInstances=InternalError@0.1 or error:Describe*@us-west-2=Unavailable/503"),
    ("capacity", "capacity:us-west-2a/t3.medium=0 or capacity:us-west-2a=3@600..1200"),
    ("market", "market=0.3/5 (the share of empty pools, the most that others hold)"),
    ("price", "price:us-west-2a/t3.medium=0.05 or price:us-west-2a=x3@600..1200"),
    ("interrupt", "interrupt=60, interrupt:us-west-2a/t3.medium=60@0.1 or interrupt:#0=60"),
    ("quota", "quota:L-34B43A08@us-west-2=8"),
    ("no-service-roles", "no-service-roles"),
    ("host", "host:#1=never-boots, host:us-west-2a/t3.medium=latency=0.2 or host=refuses"),
];

/// The names of the short forms.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|(name, _)| *name)
}

/// The key that a file has for what a short form is called.
pub(super) fn key(name: &str) -> &str {
    match name {
        "interrupt" => "interruption",
        "no-service-roles" => "without_service_roles",
        "lost-requests" => "lost_requests",
        "lost-answers" => "lost_answers",
        "cut-answers" => "cut_answers",
        "malformed-answers" => "malformed_answers",
        "clock-skew" => "clock_skew",
        other => other,
    }
}

/// Adds one fault.
pub(super) fn add(faults: &mut Faults, text: &str) -> Result<()> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (text.trim(), None),
    };
    let (name, scope) = match name.split_once(':') {
        Some((name, scope)) => (name, Some(scope)),
        None => (name, None),
    };
    let form = Form { name: &name.replace('_', "-"), scope, value };
    form.add_to(faults).map_err(|problem| {
        let error = Error::usage(format!("fault `{text}`: {problem}"));
        match FORMS.iter().find(|(known, _)| *known == form.name) {
            Some((_, example)) => error.with_hint(format!("for example {example}")),
            None => error,
        }
    })
}

struct Form<'a> {
    name: &'a str,
    scope: Option<&'a str>,
    value: Option<&'a str>,
}

impl<'a> Form<'a> {
    fn add_to(&self, faults: &mut Faults) -> Result<(), String> {
        match self.name {
            "throttle" => faults.throttle = self.only(share)?,
            "lost-requests" => faults.lost_requests = self.only(share)?,
            "lost-answers" => faults.lost_answers = self.only(share)?,
            "cut-answers" => faults.cut_answers = self.only(share)?,
            "malformed-answers" => faults.malformed_answers = self.only(share)?,
            "clock-skew" => faults.clock_skew = self.only(|text| number(text, -YEAR, YEAR))?,
            "market" => faults.market = Some(self.only(market)?),
            "throttling" => self.throttling(faults)?,
            "latency" => faults.latency.push(self.latency()?),
            "error" => faults.refusals.push(self.error()?),
            "capacity" => faults.capacity.push(self.capacity()?),
            "price" => faults.prices.push(self.price()?),
            "interrupt" => faults.interruptions.push(self.interruption()?),
            "quota" => faults.quotas.push(self.quota()?),
            "dns" => faults.dns.push(self.dns()?),
            "host" => faults.hosts.push(self.host()?),
            "no-service-roles" => match (self.scope, self.value) {
                (None, None) => faults.without_service_roles = true,
                _ => return Err("it takes no value".to_owned()),
            },
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    fn value(&self) -> Result<&'a str, String> {
        self.value.filter(|value| !value.is_empty()).ok_or_else(|| "a value is missing".to_owned())
    }

    /// The value of a form without scope.
    fn only<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
        match self.scope {
            None => read(self.value()?),
            Some(scope) => Err(format!("`{}` takes no scope, found `:{scope}`", self.name)),
        }
    }

    /// The value, and the window behind an `@`.
    fn windowed(&self) -> Result<(&'a str, Option<Window>), String> {
        match self.value()?.split_once('@') {
            Some((value, times)) => Ok((value, Some(window(times)?))),
            None => Ok((self.value()?, None)),
        }
    }

    fn throttling(&self, faults: &mut Faults) -> Result<(), String> {
        let Some(pattern) = self.scope else {
            faults.throttling.0.extend(Throttling::preset(self.value()?)?.0);
            return Ok(());
        };
        known::check_action(pattern)?;
        let (size, refill) = pair(self.value()?, "a size and a refill per second, such as 5/2")?;
        let bucket = Bucket {
            actions: vec![pattern.to_owned()],
            unfiltered: false,
            shared: false,
            instances: false,
            size: number(size, 0.0, 1e6)?,
            refill: number(refill, 0.0, 1e6)?,
        };
        // Before a preset, which has a bucket for every action.
        faults.throttling.0.insert(0, bucket);
        Ok(())
    }

    fn latency(&self) -> Result<Latency, String> {
        let action = self.scope.map(str::to_owned);
        action.as_deref().map_or(Ok(()), known::check_action)?;
        let value = self.value()?;
        let delay = if let Some((min, max)) = value.split_once("..") {
            Delay::uniform(seconds(min)?, seconds(max)?)?
        } else if let Some((median, p99)) = value.split_once(",p99=") {
            Delay::log_normal(seconds(median)?, seconds(p99)?)?
        } else {
            Delay::Fixed(seconds(value)?)
        };
        Ok(Latency { action, region: None, during: None, delay })
    }

    fn error(&self) -> Result<Refusal, String> {
        let (action, region) = with_region(self.scope.unwrap_or("*"))?;
        known::check_action(action)?;
        let (rest, rate) = match self.value()?.split_once('@') {
            Some((rest, rate)) => (rest, share(rate)?),
            None => (self.value()?, 1.0),
        };
        let (code, status) = match rest.split_once('/') {
            Some((code, status)) => (code, Some(number(status, 400.0, 599.0)? as u16)),
            None => (rest, None),
        };
        if code.is_empty() || !code.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '.') {
            return Err(format!("`{code}` is no error code"));
        }
        let usual = Refusal::of(action, code);
        Ok(Refusal { region, status: status.unwrap_or(usual.status), rate, ..usual })
    }

    fn capacity(&self) -> Result<CapacityFault, String> {
        let (zone, instance_type) = pool(self.scope)?;
        let (value, during) = self.windowed()?;
        let available = Some(whole(value)?);
        Ok(CapacityFault { zone, instance_type, lifecycle: None, available, during })
    }

    fn price(&self) -> Result<PriceFault, String> {
        let (zone, instance_type) = pool(self.scope)?;
        let (value, during) = self.windowed()?;
        let (spot, factor) = match value.strip_prefix('x') {
            Some(factor) => (None, Some(number(factor, 0.01, 1000.0)?)),
            None => (Some(number(value, 0.0, 10_000.0)?), None),
        };
        Ok(PriceFault { zone, instance_type, spot, factor, during })
    }

    fn interruption(&self) -> Result<Interruption, String> {
        let (after, share) = match self.value()?.split_once('@') {
            Some((after, chance)) => (after, share(chance)?),
            None => (self.value()?, 1.0),
        };
        let which = Selector { share, ..self.selector()? };
        Ok(Interruption { which, after: seconds(after)?, rebalance: None, notice: two_minutes() })
    }

    /// `#3`, or a pool.
    fn selector(&self) -> Result<Selector, String> {
        if let Some(number) = self.scope.and_then(|scope| scope.strip_prefix('#')) {
            return Ok(Selector::only(whole(number)?.into()));
        }
        let (zone, instance_type) = pool(self.scope)?;
        Ok(Selector { zone, instance_type, ..Selector::default() })
    }

    fn host(&self) -> Result<HostRule, String> {
        let mut faults = HostFaults::default();
        faults.add_short(self.value()?).map_err(|error| match error.hint() {
            Some(hint) => format!("{}; {hint}", error.message()),
            None => error.message().to_owned(),
        })?;
        Ok(HostRule { which: self.selector()?, faults })
    }

    fn dns(&self) -> Result<DnsFailure, String> {
        let region = self.scope.map(str::to_owned);
        region.as_deref().map_or(Ok(()), known::check_region)?;
        let (rate, during) = self.windowed()?;
        Ok(DnsFailure { region, rate: share(rate)?, during })
    }

    fn quota(&self) -> Result<QuotaSetting, String> {
        let (code, region) = with_region(self.scope.unwrap_or_default())?;
        if !code.starts_with("L-") {
            return Err(format!("`{code}` is no code of a quota"));
        }
        Ok(QuotaSetting { region, code: code.to_owned(), value: number(self.value()?, 0.0, 1e6)? })
    }
}

/// A year in seconds.
const YEAR: f64 = 31_536_000.0;

fn unknown(name: &str) -> String {
    match nearest(name, names()) {
        Some(near) => format!("unknown fault `{name}`, did you mean `{near}`?"),
        None => format!("unknown fault `{name}`, known are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        Ok(value) => Err(format!("must be from {least} to {most}, found {value}")),
        Err(_) => Err(format!("`{text}` is no number")),
    }
}

fn whole(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is no whole number"))
}

/// `0.2` or `20%`.
fn share(text: &str) -> Result<f64, String> {
    match text.trim().strip_suffix('%') {
        Some(percent) => Ok(number(percent, 0.0, 100.0)? / 100.0),
        None => number(text, 0.0, 1.0),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    Ok(Duration::from_secs_f64(number(text.strip_suffix('s').unwrap_or(text), 0.0, YEAR)?))
}

/// `600..1200`, `600..`, `..1200`, each perhaps with `/3600` for every hour.
fn window(text: &str) -> Result<Window, String> {
    let (range, every) = match text.split_once('/') {
        Some((range, every)) => (range, Some(seconds(every)?)),
        None => (text, None),
    };
    let (from, until) =
        range.split_once("..").ok_or_else(|| format!("expected a time such as 600..1200, found `{text}`"))?;
    let time = |text: &str| if text.trim().is_empty() { Ok(None) } else { seconds(text).map(Some) };
    Window::new(time(from)?.unwrap_or_default(), time(until)?, every)
}

fn market(text: &str) -> Result<Market, String> {
    let (empty, largest) = pair(text, "a share and a number, such as 0.3/5")?;
    let largest = whole(largest)?;
    if largest == 0 {
        return Err("the largest pool must hold at least 1".to_owned());
    }
    Ok(Market { empty: share(empty)?, largest })
}

fn pair<'a>(text: &'a str, wanted: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once('/').ok_or_else(|| format!("expected {wanted}, found `{text}`"))
}

/// `RunInstances@us-west-2`.
fn with_region(text: &str) -> Result<(&str, Option<String>), String> {
    let Some((name, region)) = text.split_once('@') else { return Ok((text, None)) };
    known::check_region(region)?;
    Ok((name, Some(region.to_owned())))
}

/// `us-west-2a/t3.medium`, or one of the two.
fn pool(scope: Option<&str>) -> Result<(Option<String>, Option<String>), String> {
    let Some(scope) = scope else { return Ok((None, None)) };
    let (zone, kind) = match scope.split_once('/') {
        Some((zone, kind)) => (Some(zone), Some(kind)),
        // Types have a dot, zones have none.
        None if scope.contains('.') => (None, Some(scope)),
        None => (Some(scope), None),
    };
    zone.map_or(Ok(()), known::check_zone)?;
    kind.map_or(Ok(()), known::check_type)?;
    Ok((zone.map(str::to_owned), kind.map(str::to_owned)))
}
