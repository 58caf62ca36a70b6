//! Ways to a host and keys, against OpenSSH's server, agent and certificates.

use std::fs;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::sshd::{Sshd, host_key};
use super::*;

async fn echo(ssh: &Ssh, target: &Target) -> Result<String> {
    Ok(ssh.run(target, &Command::new("echo hi"), &|_, _| {}).await?.stdout)
}

fn with(settings: Settings) -> Ssh {
    Ssh::new(settings, CancellationToken::new()).unwrap()
}

/// A folder as home with a configuration.
fn configured(sshd: &Sshd, text: &str) -> Settings {
    let home = sshd.folder.path().join("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/config"), text).unwrap();
    let files = ConfigFiles { user: home.join(".ssh/config"), system: None, home };
    Settings { config: Some(files), ..sshd.settings() }
}

fn keygen(arguments: &[&str]) {
    let output = Process::new("ssh-keygen").arg("-q").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn authorize(sshd: &Sshd, key: &Path) {
    let public = fs::read_to_string(format!("{}.pub", key.display())).unwrap();
    fs::write(sshd.folder.path().join("authorized_keys"), public).unwrap();
}

#[tokio::test]
async fn a_host_is_reached_over_two_others_and_their_keys_are_known() {
    let (first, second, last) = (Sshd::start(), Sshd::start(), Sshd::start());
    let text = format!(
        "Host i-test\n ProxyJump one,two\nHost one\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n\
         Host two\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n",
        first.port,
        first.identity().display(),
        second.port,
        second.identity().display()
    );
    let settings = configured(&last, &text);
    let known = settings.known_hosts.clone();
    let ssh = with(settings.clone());
    assert_eq!(echo(&ssh, &last.target()).await.unwrap(), "hi\n");
    assert_eq!((first.connections(), second.connections(), last.connections()), (1, 1, 1));
    let recorded = fs::read_to_string(&known).unwrap();
    assert_eq!(recorded.lines().count(), 3, "{recorded}");
    assert!(recorded.contains(&format!("[127.0.0.1]:{} ssh-ed25519", second.port)), "{recorded}");
    // Twenty commands share the connections, the way included.
    let runs = (0..20).map(|_| async { echo(&ssh, &last.target()).await.unwrap() });
    futures::future::join_all(runs).await;
    assert_eq!((first.connections(), last.connections()), (1, 1));

    // A key of a host on the way that the user knows otherwise is refused.
    let other = last.folder.path().join("other");
    host_key(&other, "ed25519");
    let public = fs::read_to_string(other.with_extension("pub")).unwrap();
    let line = format!("[127.0.0.1]:{} {public}", first.port);
    fs::write(last.folder.path().join("home/.ssh/known_hosts"), line).unwrap();
    fs::remove_file(&known).unwrap();
    let error = echo(&with(settings), &last.target()).await.unwrap_err();
    assert_eq!(error.code(), Some("HostKeyChanged"), "{error}");
    assert!(error.message().starts_with("on the way to i-test"), "{error}");
    assert!(error.hint().unwrap().contains("home/.ssh/known_hosts"), "{error:?}");
}

#[tokio::test]
async fn a_host_on_the_way_that_fails_is_named() {
    let (mut gone, last) = (Sshd::start(), Sshd::start());
    gone.stop();
    let text = format!("Host *\n ProxyJump root@127.0.0.1:{}\n", gone.port);
    let error = echo(&with(configured(&last, &text)), &last.target()).await.unwrap_err();
    assert_eq!(error.code(), Some("ConnectionRefused"));
    assert!(error.message().contains(&format!("root@127.0.0.1:{}", gone.port)), "{error}");
    let closed = Sshd::start_with("AllowTcpForwarding no");
    let text = format!(
        "Host i-test\n ProxyJump root@127.0.0.1:{}\n IdentityFile x\nHost 127.0.0.1\n IdentityFile {}\n",
        closed.port,
        closed.identity().display()
    );
    let error = echo(&with(configured(&last, &text)), &last.target()).await.unwrap_err();
    assert_eq!(error.code(), Some("ForwardingRefused"), "{error}");
}

#[tokio::test]
async fn a_command_leads_to_a_host() {
    let sshd = Sshd::start();
    let script = "use Socket; socket(S,PF_INET,SOCK_STREAM,0); connect(S,sockaddr_in($ARGV[0],inet_aton(\"127.0.0.1\"))); \
                  if (fork) { while (sysread(S,$b,65536)) { syswrite(STDOUT,$b) } exit } \
                  while (sysread(STDIN,$b,65536)) { syswrite(S,$b) }";
    let text = format!("Host i-test\n HostName never.invalid\n ProxyCommand perl -e '{script}' %p\n");
    assert_eq!(echo(&with(configured(&sshd, &text)), &sshd.target()).await.unwrap(), "hi\n");
}

#[tokio::test]
async fn a_passphrase_is_asked_for_once() {
    let sshd = Sshd::start();
    let (new, pem) = (sshd.folder.path().join("new"), sshd.folder.path().join("pem"));
    keygen(&["-t", "ed25519", "-N", "pass phrase", "-f", new.to_str().unwrap()]);
    keygen(&["-t", "rsa", "-m", "PEM", "-N", "pass phrase", "-f", pem.to_str().unwrap()]);
    for path in [new, pem] {
        authorize(&sshd, &path);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let shown = path.display().to_string();
        let settings = Settings {
            identities: vec![path.clone()],
            passphrases: Some(Passphrases::new(move |question| {
                assert!(question.contains(&shown), "{question}");
                let wrong = count.fetch_add(1, Ordering::SeqCst) == 0;
                Ok(if wrong { "a wrong one".to_owned() } else { "pass phrase".to_owned() })
            })),
            ..sshd.settings()
        };
        assert!(!format!("{settings:?}").contains("pass phrase"));
        let ssh = with(settings.clone());
        let targets = (0..5).map(|number| Target { id: format!("i-{number}"), ..sshd.target() });
        let targets: Vec<Target> = targets.collect();
        for result in futures::future::join_all(targets.iter().map(|target| echo(&ssh, target))).await {
            assert_eq!(result.unwrap(), "hi\n");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2, "one mistake and one success for five hosts");

        let nobody = Settings { passphrases: None, ..settings };
        let error = echo(&with(nobody), &sshd.target()).await.unwrap_err();
        assert_eq!(error.code(), Some("KeyEncrypted"));
        assert_eq!(error.hint().unwrap(), format!("hand it to ssh-agent: ssh-add {}", path.display()));
    }
}

/// A real ssh-agent; it ends when dropped.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    async fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let process =
            Process::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let agent = Agent { process: process.unwrap(), socket };
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !agent.socket.exists() {
            assert!(std::time::Instant::now() < deadline, "ssh-agent did not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        agent
    }

    fn add(&self, key: &Path) {
        let status = Process::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn keys_of_an_agent_log_in_and_only_named_ones_if_so_wished() {
    let sshd = Sshd::start();
    let agent = Agent::start(sshd.folder.path()).await;
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = sshd.folder.path().join(format!("agent-{kind}"));
        keygen(&["-t", kind, "-N", "", "-f", path.to_str().unwrap()]);
        agent.add(&path);
        authorize(&sshd, &path);
        fs::remove_file(&path).unwrap();
        let text = format!("Host *\n IdentityAgent {}\n", agent.socket.display());
        let settings = Settings { identities: Vec::new(), use_agent: true, ..configured(&sshd, &text) };
        assert_eq!(echo(&with(settings.clone()), &sshd.target()).await.unwrap(), "hi\n", "{kind}");
        let none = configured(&sshd, &format!("{text} IdentitiesOnly yes\n"));
        let none = Settings { identities: Vec::new(), use_agent: true, ..none };
        assert_eq!(echo(&with(none), &sshd.target()).await.unwrap_err().code(), Some("NoKey"), "{kind}");
        // The public half names a key that only the agent has.
        let text = format!("{text} IdentitiesOnly yes\n IdentityFile {}.pub\n", path.display());
        let named = Settings { identities: Vec::new(), use_agent: true, ..configured(&sshd, &text) };
        assert_eq!(echo(&with(named), &sshd.target()).await.unwrap(), "hi\n", "{kind}");
    }
}

#[tokio::test]
async fn certificates_log_in_from_files_and_from_an_agent() {
    let sshd = Sshd::start_with("AuthorizedPrincipalsFile none");
    let at = |name: &str| sshd.folder.path().join(name);
    keygen(&["-t", "ed25519", "-N", "", "-f", at("ca").to_str().unwrap()]);
    // Nobody is let in but by a certificate of this authority.
    let ca = fs::read_to_string(at("ca.pub")).unwrap();
    fs::write(at("authorized_keys"), format!("cert-authority {ca}")).unwrap();
    let agent = Agent::start(sshd.folder.path()).await;
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = at(kind);
        keygen(&["-t", kind, "-N", "", "-f", path.to_str().unwrap()]);
        let plain = Settings { identities: vec![path.clone()], ..sshd.settings() };
        let error = echo(&with(plain.clone()), &sshd.target()).await.unwrap_err();
        assert_eq!(error.code(), Some("KeyRejected"), "{kind}: without a certificate");
        let public = format!("{}.pub", path.display());
        keygen(&["-s", at("ca").to_str().unwrap(), "-I", "me at work", "-n", "root", "-V", "+1h", &public]);
        if kind != "rsa" {
            assert_eq!(echo(&with(plain), &sshd.target()).await.unwrap(), "hi\n", "{kind}");
            let moved = at(&format!("{kind}-elsewhere"));
            fs::copy(at(&format!("{kind}-cert.pub")), &moved).unwrap();
            fs::rename(at(&format!("{kind}-cert.pub")), at(&format!("{kind}-kept"))).unwrap();
            let text = format!("Host *\n CertificateFile {}\n", moved.display());
            let named = Settings { identities: vec![path.clone()], ..configured(&sshd, &text) };
            assert_eq!(echo(&with(named), &sshd.target()).await.unwrap(), "hi\n", "{kind}");
            fs::rename(at(&format!("{kind}-kept")), at(&format!("{kind}-cert.pub"))).unwrap();
        }
        agent.add(&path);
        let text = format!("Host *\n IdentityAgent {}\n", agent.socket.display());
        let from_agent = Settings { identities: Vec::new(), use_agent: true, ..configured(&sshd, &text) };
        assert_eq!(echo(&with(from_agent), &sshd.target()).await.unwrap(), "hi\n", "{kind} of the agent");
        let status = Process::new("ssh-add").args(["-q", "-D"]).env("SSH_AUTH_SOCK", &agent.socket).output();
        assert!(status.unwrap().status.success());
    }
}

#[tokio::test]
async fn what_the_host_says_at_a_failed_login_is_told() {
    let sshd = Sshd::start();
    let banner = sshd.folder.path().join("banner");
    fs::write(&banner, "Authorised\nusers only\n").unwrap();
    drop(sshd);
    let folder = tempfile::tempdir().unwrap();
    let banner = folder.path().join("banner");
    fs::write(&banner, "Authorised\nusers only\n").unwrap();
    let sshd = Sshd::start_with(&format!("Banner {}", banner.display()));
    fs::write(sshd.folder.path().join("authorized_keys"), "").unwrap();
    let error = echo(&sshd.ssh(), &sshd.target()).await.unwrap_err();
    assert!(error.message().ends_with("; the host says: Authorised / users only"), "{error}");
}

/// What the console of a host tells, which a test can change.
fn console(
    sshd: &Sshd,
    first_contact: impl Fn(Witness) -> FirstContact,
) -> (Ssh, Arc<std::sync::Mutex<Vec<String>>>) {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let witness = Witness::new(move |_| {
        let keys = tell.lock().unwrap().clone();
        Box::pin(async move { Ok(keys) })
    });
    (with(Settings { first_contact: first_contact(witness), ..sshd.settings() }), told)
}

fn key_of(sshd: &Sshd) -> String {
    fs::read_to_string(sshd.folder.path().join("host_ed25519.pub")).unwrap()
}

#[tokio::test]
async fn the_first_key_of_a_host_is_held_against_its_console() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let target = sshd.target();
    let (ssh, told) = console(&sshd, FirstContact::Require);
    let attempt = |ssh: Ssh, target: Target| async move {
        ssh.wait(&target, Duration::from_millis(300), &|_| {}).await
    };
    let error = attempt(ssh.clone(), target.clone()).await.unwrap_err();
    assert!(error.message().contains("its console does not tell its host key yet"), "{error}");
    *told.lock().unwrap() = vec![key_of(&other)];
    let error = attempt(ssh.clone(), target.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some("HostKeyForged"), "{error}");
    assert!(!sshd.settings().known_hosts.exists(), "nothing is recorded of a host that is not the right one");
    *told.lock().unwrap() = vec![key_of(&other), key_of(&sshd)];
    assert_eq!(echo(&ssh, &target).await.unwrap(), "hi\n");
    // What is recorded is not asked for again.
    told.lock().unwrap().clear();
    ssh.close().await;
    assert_eq!(echo(&ssh, &target).await.unwrap(), "hi\n");
}

#[tokio::test]
async fn a_key_that_was_believed_is_held_against_the_console_once_it_tells() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let target = sshd.target();
    let cloud_init = Duration::from_secs(60);
    let (ssh, told) = console(&sshd, FirstContact::Ask);
    assert_eq!(echo(&ssh, &target).await.unwrap(), "hi\n");
    *told.lock().unwrap() = vec![key_of(&other)];
    let error = ssh.wait_for_cloud_init(&target, cloud_init).await.unwrap_err();
    assert_eq!(error.code(), Some("HostKeyForged"), "{error}");
    let known = fs::read_to_string(sshd.settings().known_hosts).unwrap();
    assert!(!known.contains(&target.id), "the record was taken back: {known}");
    assert_eq!(echo(&ssh, &target).await.unwrap_err().code(), Some("HostKeyForged"));
    *told.lock().unwrap() = Vec::new();
    assert_eq!(echo(&ssh, &target).await.unwrap(), "hi\n");
    *told.lock().unwrap() = vec![key_of(&sshd)];
    ssh.wait_for_cloud_init(&target, cloud_init).await.unwrap();
    *told.lock().unwrap() = vec![key_of(&other)];
    ssh.wait_for_cloud_init(&target, cloud_init).await.unwrap();
}
