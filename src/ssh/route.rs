//! The way to a host: what a target and the user's SSH configuration say together.

use std::path::{Path, PathBuf};

use super::Settings;
use super::ssh_config::{Hop, Question, Said, SshConfig, Tokens, expand};
use super::target::Target;
use crate::error::{Error, Result};

/// Hosts on the way to one host.
const LONGEST: usize = 8;
/// The keys that OpenSSH tries when it is told of none.
const USUAL_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// How a host is reached and logged in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The host with its real address, port and user.
    pub target: Target,
    /// Whether the host is only on the way: its key may be one that the user has met before.
    pub is_hop: bool,
    pub credentials: Credentials,
    pub through: Through,
}

/// What to log in with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Private key files, in the order to try them.
    pub identities: Vec<PathBuf>,
    /// Certificates beside those that lie next to the keys.
    pub certificates: Vec<PathBuf>,
    /// Whether the agent is asked for these keys only.
    pub only: bool,
    /// The agent's socket; none: no agent.
    pub agent: Option<PathBuf>,
}

/// What lies between us and a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Through {
    Nothing,
    /// Another host, which may itself lie behind one.
    Hop(Box<Route>),
    /// The standard input and output of this command.
    Command(String),
}

impl Route {
    /// The way to a target.
    ///
    /// # Errors
    /// Kind `config`: the configuration makes no sense, or leads in a circle.
    pub fn to(target: &Target, config: &SshConfig, settings: &Settings) -> Result<Route> {
        let planner = Planner { config, settings, local_user: local_user() };
        let asked = Asked {
            host: &target.address,
            alias: Some(&target.id),
            user: Some(&target.user),
            port: (target.port != 22).then_some(target.port),
        };
        let said = planner.said(&asked)?;
        let mut place = planner.place(&asked, &said)?;
        place.id.clone_from(&target.id);
        let identities = settings.identities.clone();
        planner.route(place, &target.address, said, identities, None, LONGEST, false)
    }

    /// What makes this connection different from others: the hosts on the way, the nearest first.
    pub fn key(&self) -> Vec<Target> {
        let mut key = match &self.through {
            Through::Hop(hop) => hop.key(),
            _ => Vec::new(),
        };
        key.push(self.target.clone());
        key
    }
}

struct Planner<'a> {
    config: &'a SshConfig,
    settings: &'a Settings,
    local_user: String,
}

struct Asked<'a> {
    host: &'a str,
    alias: Option<&'a str>,
    user: Option<&'a str>,
    port: Option<u16>,
}

impl Planner<'_> {
    fn said(&self, asked: &Asked<'_>) -> Result<Said> {
        let (host, alias, user) = (asked.host, asked.alias, asked.user);
        self.config.ask(&Question { host, alias, user, local_user: &self.local_user })
    }

    /// Where a name leads.
    fn place(&self, asked: &Asked<'_>, said: &Said) -> Result<Target> {
        let tokens = Tokens { host: asked.host, original: asked.host, ..Tokens::default() };
        let address = match &said.hostname {
            Some(name) => expand(name, &tokens)?,
            None => asked.host.to_owned(),
        };
        let port = asked.port.or(said.port).unwrap_or(22);
        let user = asked.user.or(said.user.as_deref()).unwrap_or(&self.local_user).to_owned();
        let id = if port == 22 { address.clone() } else { format!("[{address}]:{port}") };
        Ok(Target { id, address, port, user })
    }

    #[allow(clippy::too_many_arguments)]
    fn route(
        &self,
        target: Target,
        original: &str,
        said: Said,
        identities: Vec<PathBuf>,
        jumps: Option<&[Hop]>,
        left: usize,
        is_hop: bool,
    ) -> Result<Route> {
        let home = self.settings.config.as_ref().map(|files| files.home.clone()).unwrap_or_default();
        let home_text = home.to_string_lossy();
        let tokens = Tokens {
            host: &target.address,
            original,
            port: target.port,
            user: &target.user,
            local_user: &self.local_user,
            home: &home_text,
        };
        let paths = |texts: &[String]| -> Result<Vec<PathBuf>> {
            let wanted = texts.iter().filter(|text| !text.eq_ignore_ascii_case("none"));
            wanted.map(|text| Ok(below_home(&expand(text, &tokens)?, &home))).collect()
        };
        let mut all = identities;
        for path in paths(&said.identity_files)? {
            if !all.contains(&path) {
                all.push(path);
            }
        }
        let agent = match said.identity_agent.as_deref() {
            _ if !self.settings.use_agent => None,
            Some("none") => None,
            None | Some("SSH_AUTH_SOCK") => std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            // `$NAME` is short for `${NAME}` here, and only here.
            Some(text) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
                Some(name) => std::env::var_os(name).map(PathBuf::from),
                None => Some(below_home(&expand(text, &tokens)?, &home)),
            },
        };
        let credentials = Credentials {
            identities: all,
            certificates: paths(&said.certificate_files)?,
            only: said.identities_only.unwrap_or(false),
            agent,
        };
        // The hops of a list are reached through each other, whatever is said of them one by one.
        let command = said.command.filter(|command| !command.is_empty());
        let through = match (jumps.or(said.jump.as_deref()), command) {
            (Some([rest @ .., last]), _) => self.hop(&target, last, rest, left)?,
            (_, Some(command)) => Through::Command(expand(&command, &tokens)?),
            (_, None) => Through::Nothing,
        };
        Ok(Route { target, is_hop, credentials, through })
    }

    fn hop(&self, target: &Target, hop: &Hop, before: &[Hop], left: usize) -> Result<Through> {
        let Some(left) = left.checked_sub(1) else {
            let message =
                format!("the way to {target} leads over more than {LONGEST} hosts, perhaps in a circle");
            return Err(Error::config(message)
                .with_code("SshConfig")
                .with_hint("give the host that others are reached through a block with: ProxyJump none"));
        };
        let asked = Asked { host: &hop.host, alias: None, user: hop.user.as_deref(), port: hop.port };
        let said = self.said(&asked)?;
        let place = self.place(&asked, &said)?;
        // `Host *` with a ProxyJump is about the jump host too: nobody is reached through himself.
        if place.address == target.address && place.port == target.port && place.user == target.user {
            return Ok(Through::Nothing);
        }
        // The key of the hosts behind comes last: they may be behind a host of ours.
        let usual =
            self.settings.config.iter().filter(|_| said.identity_files.is_empty()).flat_map(|files| {
                USUAL_KEYS
                    .map(|name| files.home.join(".ssh").join(name))
                    .into_iter()
                    .filter(|path| path.exists())
            });
        let usual: Vec<PathBuf> = usual.collect();
        let jumps = (!before.is_empty()).then_some(before);
        let mut route = self.route(place, &hop.host, said, usual, jumps, left, true)?;
        for path in &self.settings.identities {
            if !route.credentials.identities.contains(path) {
                route.credentials.identities.push(path.clone());
            }
        }
        Ok(Through::Hop(Box::new(route)))
    }
}

fn below_home(text: &str, home: &Path) -> PathBuf {
    match text.strip_prefix("~/") {
        Some(below) => home.join(below),
        None => PathBuf::from(text),
    }
}

/// The user that the configuration names for a host, unless it does so for every host.
pub fn configured_user(config: &SshConfig, id: &str, address: &str) -> Result<Option<String>> {
    let local_user = local_user();
    let said =
        config.ask(&Question { host: address, alias: Some(id), user: None, local_user: &local_user })?;
    Ok(said.user.filter(|_| !said.user_of_all))
}

/// Whoever runs this; OpenSSH logs in under the same name unless told otherwise.
fn local_user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map(|user| user.name).or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::ssh_config::Files;
    use super::*;

    fn route(text: &str) -> Result<Route> {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("config");
        std::fs::write(&user, text).unwrap();
        let files = Files { user, system: None, home: "/home/me".into() };
        let config = SshConfig::read(&files)?;
        let settings = Settings {
            identities: vec!["/project/key".into()],
            use_agent: false,
            config: Some(files),
            ..Settings::default()
        };
        let target = Target { id: "i-1".into(), address: "10.0.0.5".into(), port: 22, user: "ubuntu".into() };
        Route::to(&target, &config, &settings)
    }

    fn names(route: &Route) -> Vec<String> {
        route.key().iter().map(|place| format!("{}@{}:{}", place.user, place.address, place.port)).collect()
    }

    #[test]
    fn hops_of_a_list_are_reached_through_each_other_and_the_first_by_its_own_way() {
        let text = "Host 10.*\n ProxyJump one,me@two:2200\nHost one\n HostName one.example\n User first\n \
                    IdentityFile ~/k/%h\n ProxyJump zero\nHost two\n ProxyJump nowhere\nHost *\n User all\n";
        let found = route(text).unwrap();
        assert_eq!(
            names(&found),
            ["all@zero:22", "first@one.example:22", "me@two:2200", "ubuntu@10.0.0.5:22"]
        );
        assert_eq!((found.target.id.as_str(), found.is_hop), ("i-1", false));
        let Through::Hop(two) = &found.through else { panic!("{found:?}") };
        assert_eq!((two.target.id.as_str(), two.is_hop), ("[two]:2200", true));
        let Through::Hop(one) = &two.through else { panic!("{two:?}") };
        let keys = ["/home/me/k/one.example", "/project/key"].map(PathBuf::from);
        assert_eq!(one.credentials.identities, keys);
    }

    #[test]
    fn nobody_is_reached_through_himself_and_circles_are_told() {
        let found = route("Host *\n ProxyJump bastion\n User me\n").unwrap();
        assert_eq!(names(&found), ["me@bastion:22", "ubuntu@10.0.0.5:22"]);
        let error = route("Host 10.*\nProxyJump a\nHost a\nProxyJump b\nHost b\nProxyJump a\n").unwrap_err();
        assert!(error.message().contains("in a circle"), "{error}");
    }

    #[test]
    fn names_ports_and_commands_are_those_of_the_configuration() {
        let text = "Host i-1\n HostName real.example\n Port 2022\n IdentityFile ~/.ssh/%r\n \
                    ProxyCommand ssm %h %p %n\n CertificateFile ~/c\n IdentitiesOnly yes\n";
        let found = route(text).unwrap();
        assert_eq!(names(&found), ["ubuntu@real.example:2022"]);
        assert_eq!(found.through, Through::Command("ssm real.example 2022 10.0.0.5".into()));
        let keys = ["/project/key", "/home/me/.ssh/ubuntu"].map(PathBuf::from);
        assert_eq!(found.credentials.identities, keys);
        assert_eq!(found.credentials.certificates, [PathBuf::from("/home/me/c")]);
        assert!(found.credentials.only);
        assert_eq!(names(&route("").unwrap()), ["ubuntu@10.0.0.5:22"]);
    }
}
