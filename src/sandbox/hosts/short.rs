//! Faults of a host on a command line: `NAME[:SCOPE][=VALUE]`.

use std::time::Duration;

use super::faults::{CommandFault, ConnectionFault, Ending, HostFaults, LoginFault, Moment};
use crate::error::{Error, Result, nearest};

/// The names, with an example of each.
const FORMS: &[(&str, &str)] = &[
    ("refuses", "refuses"),
    ("hangs", "hangs"),
    ("never-boots", "never-boots"),
    ("slow-boot", "slow-boot=60"),
    ("other-host-key", "other-host-key"),
    ("latency", "latency=0.2"),
    ("connection", "connection:banner=reset*2, connection:login=silence or connection:sent/4096=close"),
    ("login-refused", "login-refused"),
    ("login-as", "login-as=admin"),
    ("max-sessions", "max-sessions=1"),
    ("max-startups", "max-startups=2"),
    ("disk-rate", "disk-rate=1000000"),
    ("disk-full", "disk-full=0"),
    ("disk-broken", "disk-broken"),
    ("command", "command:apt-get=100, command:apt-get/*install*=100*2"),
    ("cloud-init-slow", "cloud-init-slow=120"),
    ("cloud-init-error", "cloud-init-error=no network"),
];

impl HostFaults {
    /// Adds a fault in its short form, such as `refuses`, `latency=0.2` or `connection:banner=reset*2`.
    ///
    /// # Errors
    /// A [`Usage`](crate::Kind::Usage) error that says what is wrong; nothing is added then.
    pub fn add_short(&mut self, text: &str) -> Result<()> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (text.trim(), None),
        };
        let (name, scope) = match name.split_once(':') {
            Some((name, scope)) => (name, Some(scope)),
            None => (name, None),
        };
        let name = name.replace('_', "-");
        let mut changed = self.clone();
        let added = Form { name: &name, scope, value }.add_to(&mut changed);
        let checked = added.and_then(|()| changed.check().map_err(|error| error.message().to_owned()));
        checked.map_err(|problem| {
            let error = Error::usage(format!("fault `{text}`: {problem}"));
            match FORMS.iter().find(|(known, _)| *known == name) {
                Some((_, example)) => error.with_hint(format!("for example {example}")),
                None => error,
            }
        })?;
        *self = changed;
        Ok(())
    }
}

struct Form<'a> {
    name: &'a str,
    scope: Option<&'a str>,
    value: Option<&'a str>,
}

impl<'a> Form<'a> {
    fn add_to(&self, faults: &mut HostFaults) -> Result<(), String> {
        if self.scope.is_some() && !matches!(self.name, "connection" | "command") && self.is_known() {
            return Err(format!("`{}` takes no `:`", self.name));
        }
        match self.name {
            "refuses" => self.set(&mut faults.refuses)?,
            "hangs" => self.set(&mut faults.hangs)?,
            "never-boots" => self.set(&mut faults.never_boots)?,
            "other-host-key" => self.set(&mut faults.other_host_key)?,
            "disk-broken" => self.set(&mut faults.disk.broken)?,
            "slow-boot" => faults.slow_boot = self.seconds()?,
            "latency" => faults.latency = self.seconds()?,
            "cloud-init-slow" => faults.cloud_init.slow = self.seconds()?,
            "cloud-init-error" => faults.cloud_init.error = Some(self.value()?.to_owned()),
            "max-sessions" => faults.max_sessions = Some(whole(self.value()?)?),
            "max-startups" => faults.max_startups = Some(whole(self.value()?)?),
            "disk-rate" => faults.disk.bytes_per_second = Some(whole(self.value()?)?),
            "disk-full" => faults.disk.full_after = Some(whole(self.value()?)?),
            "login-refused" => {
                let mut refused = false;
                self.set(&mut refused)?;
                faults.login = Some(LoginFault::Refused);
            }
            "login-as" => faults.login = Some(LoginFault::OtherUser(self.value()?.to_owned())),
            "connection" => faults.connections.push(self.connection()?),
            "command" => faults.commands.push(self.command()?),
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    fn is_known(&self) -> bool {
        FORMS.iter().any(|(known, _)| *known == self.name)
    }

    fn set(&self, flag: &mut bool) -> Result<(), String> {
        match self.value {
            None => *flag = true,
            Some(value) => return Err(format!("it takes no value, found `{value}`")),
        }
        Ok(())
    }

    fn value(&self) -> Result<&'a str, String> {
        self.value.filter(|value| !value.is_empty()).ok_or_else(|| "a value is missing".to_owned())
    }

    fn seconds(&self) -> Result<Duration, String> {
        let text = self.value()?;
        let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
        Duration::try_from_secs_f64(number).map_err(|_| format!("`{text}` is no time"))
    }

    /// The value, and how often behind a `*`.
    fn times(&self) -> Result<(&'a str, Option<u64>), String> {
        match self.value()?.split_once('*') {
            Some((value, times)) => Ok((value, Some(whole(times)?))),
            None => Ok((self.value()?, None)),
        }
    }

    fn connection(&self) -> Result<ConnectionFault, String> {
        let scope = self.scope.ok_or_else(|| "it wants to know when".to_owned())?;
        let at = match scope.split_once('/') {
            Some(("sent", bytes)) => Moment::Sent(whole(bytes)?),
            Some(("received", bytes)) => Moment::Received(whole(bytes)?),
            _ => one_of(
                scope,
                &[
                    ("connect", Moment::Connect),
                    ("banner", Moment::Banner),
                    ("key-exchange", Moment::KeyExchange),
                    ("login", Moment::Login),
                ],
                "connect, banner, key-exchange, login, received/BYTES or sent/BYTES",
            )?,
        };
        let (how, times) = self.times()?;
        let endings = [("close", Ending::Close), ("reset", Ending::Reset), ("silence", Ending::Silence)];
        let how = one_of(how, &endings, "close, reset or silence")?;
        Ok(ConnectionFault { at, how, skip: 0, times })
    }

    fn command(&self) -> Result<CommandFault, String> {
        let scope = self.scope.ok_or_else(|| "it wants the name of a command".to_owned())?;
        let (command, arguments) = match scope.split_once('/') {
            Some((command, arguments)) => (command.to_owned(), Some(arguments.to_owned())),
            None => (scope.to_owned(), None),
        };
        let (status, times) = self.times()?;
        let status = status.parse().map_err(|_| format!("`{status}` is no exit status from 1 to 255"))?;
        Ok(CommandFault { command, arguments, status, stderr: String::new(), times })
    }
}

fn one_of<T: Copy>(text: &str, known: &[(&str, T)], expected: &str) -> Result<T, String> {
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let near = nearest(text, known.iter().map(|(name, _)| *name));
    let hint = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    Err(format!("expected {expected}, found `{text}`{hint}"))
}

fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is no whole number that is possible here"))
}

fn unknown(name: &str) -> String {
    let names = FORMS.iter().map(|(name, _)| *name);
    match nearest(name, names.clone()) {
        Some(near) => format!("unknown fault `{name}` of a host, did you mean `{near}`?"),
        None => {
            format!("unknown fault `{name}` of a host, known are {}", names.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_say_the_same_as_json() {
        let mut short = HostFaults::default();
        for text in [
            "slow-boot=2",
            "connection:banner=reset*2",
            "connection:sent/4096=silence",
            "login-as=ubuntu",
            "latency=0.05",
            "disk-full=1000",
            "command:apt-get/*install*=100*1",
            "cloud-init-error=no network",
            "refuses",
        ] {
            short.add_short(text).unwrap();
        }
        let json: HostFaults = serde_json::from_value(serde_json::json!({
            "slow_boot": 2,
            "connections": [{ "at": "banner", "how": "reset", "times": 2 }, { "at": { "sent": 4096 }, "how": "silence" }],
            "login": { "other-user": "ubuntu" },
            "latency": 0.05,
            "disk": { "full_after": 1000 },
            "commands": [{ "command": "apt-get", "arguments": "*install*", "status": 100, "times": 1 }],
            "cloud_init": { "error": "no network" },
            "refuses": true,
        }))
        .unwrap();
        assert_eq!(short, json);
    }

    #[test]
    fn every_example_is_one_and_mistakes_are_named() {
        for (_, examples) in FORMS {
            for example in examples.split(", ").flat_map(|part| part.split(" or ")) {
                HostFaults::default().add_short(example).unwrap();
            }
        }
        for (text, words) in [
            ("refsues", "did you mean `refuses`?"),
            ("refuses=1", "it takes no value"),
            ("refuses:x", "takes no `:`"),
            ("latency", "a value is missing"),
            ("latency=-1", "is no time"),
            ("connection=reset", "it wants to know when"),
            ("connection:bannr=reset", "did you mean `banner`?"),
            ("connection:banner=rest", "did you mean `reset`?"),
            ("command:a b=1", "not the name of a command"),
            ("command:sudo=0", "1 to 255"),
            ("max-sessions=0", "expected at least 1"),
        ] {
            let mut faults = HostFaults::default();
            let error = faults.add_short(text).unwrap_err();
            assert!(error.message().contains(words), "{text}: {error}");
            assert_eq!(faults, HostFaults::default(), "nothing was added");
        }
    }
}
