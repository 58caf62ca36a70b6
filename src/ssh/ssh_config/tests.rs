//! Conformance with `ssh -G`, which prints what OpenSSH itself makes of a file.

use std::process::Command;

use super::*;

const USER: &str = "somebody";

/// What `ssh -G` says, in our shape: hostname, user, port, identity files, way.
type Answer = (String, String, u16, Vec<String>, Vec<String>, String);

fn openssh(file: &Path, host: &str, user: Option<&str>) -> Answer {
    let mut command = Command::new("ssh");
    command.arg("-G").arg("-F").arg(file);
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    let output = command.arg(host).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = |keyword: &str| -> Vec<String> {
        let rest = |line: &str| Some(line.strip_prefix(keyword)?.strip_prefix(' ')?.to_owned());
        text.lines().filter_map(rest).collect()
    };
    let one = |keyword: &str| all(keyword).into_iter().next().unwrap_or_default();
    let way = if one("proxyjump").is_empty() { one("proxycommand") } else { one("proxyjump") };
    (
        one("hostname"),
        one("user"),
        one("port").parse().unwrap(),
        // Without an entry, ssh names the usual files.
        all("identityfile").into_iter().filter(|file| !file.starts_with("~/.ssh/id_")).collect(),
        all("certificatefile"),
        if way == "none" { String::new() } else { way },
    )
}

fn ours(file: &Path, host: &str, user: Option<&str>) -> Answer {
    let home = PathBuf::from("/nowhere");
    let config = SshConfig::read(&Files { user: file.to_owned(), system: None, home }).unwrap();
    let local_user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    let said = config.ask(&Question { host, alias: None, user, local_user: &local_user }).unwrap();
    let hostname = said.hostname.as_deref().unwrap_or(host);
    let hostname = expand(hostname, &Tokens { host, ..Tokens::default() }).unwrap().to_lowercase();
    let hops = said.jump.unwrap_or_default().into_iter().map(|hop| {
        let user = hop.user.map(|user| format!("{user}@")).unwrap_or_default();
        let host = if hop.host.contains(':') { format!("[{}]", hop.host) } else { hop.host };
        format!("{user}{host}{}", hop.port.map(|port| format!(":{port}")).unwrap_or_default())
    });
    let hops = hops.collect::<Vec<_>>().join(",");
    let way = if hops.is_empty() { said.command.unwrap_or_default() } else { hops };
    (
        hostname,
        user.map(str::to_owned).or(said.user).unwrap_or(local_user),
        said.port.unwrap_or(22),
        said.identity_files,
        said.certificate_files,
        way,
    )
}

#[test]
fn every_file_is_understood_as_openssh_does() {
    let files = [
        "",
        "Host web\n  HostName 10.0.0.7\n  User admin\n  Port 2222\n  IdentityFile /k/web\nHost *\n  User other\n  Port 3333\n  IdentityFile /k/all\n",
        "HOST=web db\n\tuser = \"ad min\"\nHost w*b !web\nPort 1\nHost w?b\n port 44\n",
        "User before\nHost !db *\n Port 10\nHost db\n Port 20\nHost *\n HostName %h.example.com\n",
        "Host web\nProxyJump bastion\nHost *\nProxyJump other\n",
        "Host web\nProxyJump a@first:22,second,[::1]:2200\n",
        "Host web\nProxyJump ssh://me@jump.example:2222\n",
        "Host web\nProxyJump none\nHost *\nProxyJump bastion\nProxyCommand nc %h %p\n",
        "Host web\nProxyCommand nc -x proxy %h %p\nHost *\nProxyJump bastion\n",
        "Match host web\nUser matched\nMatch all\nUser everyone\nPort 7\n",
        "Host web\nHostName inner.example\nMatch host inner.*\nPort 8\nMatch originalhost web,db user root\nIdentityFile /k/m\nMatch !host inner.*\nPort 9\n",
        "Match user somebody\nPort 11\nMatch user !somebody,*\nPort 12\n",
        "Match localuser nobody-at-all\nPort 13\nMatch final\nPort 14\nMatch all\nPort 15\n",
        "IdentityFile /k/one\nHost web\nIdentityFile \"/k/two words\"\nCertificateFile /k/c-cert.pub\nIdentityFile /k/one\nHost *\nIdentitiesOnly yes\nCertificateFile /k/d\n",
        "Include parts/*.conf\nHost *\nPort 16\n",
        "Host db\nInclude parts/*.conf\nUser after\nHost *\nPort 17\n",
        "Include parts/two.conf nothing/here parts/one.conf\nUser end # comment\n",
        "Host WEB\nPort 18\n",
        "Host 10.0.*\nPort 19\nUser ten\nHost 10.0.0.?\nIdentityFile /k/ten\n",
    ];
    let folder = tempfile::tempdir().unwrap();
    // OpenSSH reads relative includes of a file given with -F from ~/.ssh; absolute ones it is.
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    std::fs::write(folder.path().join("parts/one.conf"), "Port 100\nHost web\nUser one\n").unwrap();
    std::fs::write(folder.path().join("parts/two.conf"), "Host db\nPort 200\nHost *\nUser two\n").unwrap();
    let path = folder.path().join("config");
    for text in files {
        let parts = format!(" {}/", folder.path().display());
        let text = text
            .replace(" parts/", &format!("{parts}parts/"))
            .replace(" nothing/", &format!("{parts}nothing/"));
        std::fs::write(&path, &text).unwrap();
        for host in ["web", "db", "WEB", "10.0.0.7", "wxb"] {
            for user in [None, Some(USER)] {
                assert_eq!(ours(&path, host, user), openssh(&path, host, user), "{host} {user:?} in\n{text}");
            }
        }
    }
}

#[test]
fn an_instance_id_is_a_name_too_and_mistakes_name_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let ask = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let files = Files { user: path.clone(), system: None, home: "/h".into() };
        let question = Question { host: "192.0.2.1", alias: Some("i-0abc"), user: None, local_user: "me" };
        SshConfig::read(&files)?.ask(&question)
    };
    assert_eq!(ask("Host i-*\nPort 5\n").unwrap().port, Some(5));
    assert_eq!(ask("Host * !i-*\nPort 5\n").unwrap().port, None);
    for (text, expected) in [
        ("Host x\n\nHost *\nPort many\n", ":4: port: expected a port from 1 to 65535"),
        ("Host\n", ":1: host: expected a value"),
        ("ProxyJump a,,b\n", ":1: proxyjump: expected [user@]host[:port], found ``"),
        ("Match host\n", ":1: match: `host` lacks its value"),
        ("Match planet mars\n", ":1: match: unknown condition `planet`"),
        (&format!("Include {}\n", path.display()), "more than 16 deep"),
    ] {
        let error = ask(text).unwrap_err();
        assert!(error.message().contains(expected), "{text}: {error}");
    }
}
