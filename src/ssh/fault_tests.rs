//! Networks and servers that fail, one fault at a time.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::proxy::{Fault, Proxy};
use super::sshd::Sshd;
use super::*;

async fn echo(ssh: &Ssh, target: &Target) -> Result<String> {
    Ok(ssh.run(target, &Command::new("echo hi"), &|_, _| {}).await?.stdout)
}

fn through(sshd: &Sshd, proxy: &Proxy) -> Target {
    Target { port: proxy.port, ..sshd.target() }
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_handshake_is_made_again() {
    let sshd = Sshd::start();
    // In the banner, in the key exchange, and in the login.
    for bytes in [5, 300, 1500, 1700] {
        let proxy = Proxy::start(sshd.port, Fault::ResetAfter(bytes), 1).await;
        assert_eq!(echo(&sshd.ssh(), &through(&sshd, &proxy)).await.unwrap(), "hi\n", "after {bytes} bytes");
        assert_eq!(proxy.seen(), 2, "after {bytes} bytes");
    }
    for fault in [Fault::Hangup, Fault::ResetAfter(300)] {
        let proxy = Proxy::start(sshd.port, fault, usize::MAX).await;
        let error = echo(&sshd.ssh(), &through(&sshd, &proxy)).await.unwrap_err();
        assert!(matches!(error.code(), Some("ConnectionLost" | "HandshakeFailed")), "{fault:?}: {error}");
        assert!(error.is_retryable());
        assert_eq!(proxy.seen(), 2, "{fault:?}: as often as the policy says");
    }
}

#[tokio::test]
async fn a_host_that_says_nothing_is_given_up_in_time() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.port, Fault::Silence, usize::MAX).await;
    let limit = Duration::from_millis(300);
    let settings = Settings { connect_timeout: limit, ..sshd.settings() };
    let ssh = Ssh::new(settings, CancellationToken::new()).unwrap();
    let started = Instant::now();
    let error = echo(&ssh, &through(&sshd, &proxy)).await.unwrap_err();
    assert_eq!(error.code(), Some("ConnectTimeout"), "{error}");
    assert!(error.message().contains("accepted the connection but no SSH server spoke"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_cable_that_is_cut_is_noticed_and_the_connection_made_again() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.port, Fault::None, 0).await;
    let settings = Settings { keepalive: Duration::from_millis(200), ..sshd.settings() };
    let ssh = Ssh::new(settings, CancellationToken::new()).unwrap();
    let target = through(&sshd, &proxy);
    assert_eq!(echo(&ssh, &target).await.unwrap(), "hi\n");
    let command = Command::new("sleep 600");
    let running = ssh.run(&target, &command, &|_, _| {});
    let started = Instant::now();
    let cutting = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        proxy.cut();
    };
    let (result, ()) = tokio::join!(running, cutting);
    let error = result.unwrap_err();
    assert_eq!(error.code(), Some("SessionLost"), "{error}");
    assert!(!error.is_retryable(), "it may have run");
    assert!(started.elapsed() < Duration::from_secs(20));
    proxy.mend();
    assert_eq!(echo(&ssh, &target).await.unwrap(), "hi\n");
}

#[tokio::test]
async fn a_server_that_drops_logins_is_asked_for_fewer_at_a_time() {
    let sshd = Sshd::start_with("MaxStartups 3:60:8");
    let settings = Settings { retry: Retry { attempts: 1, ..Retry::default() }, ..sshd.settings() };
    let ssh = Ssh::new(settings, CancellationToken::new()).unwrap();
    let targets: Vec<Target> =
        (0..40).map(|number| Target { id: format!("i-{number}"), ..sshd.target() }).collect();
    let results = futures::future::join_all(targets.iter().map(|target| echo(&ssh, target))).await;
    for result in results {
        assert_eq!(result.unwrap(), "hi\n");
    }
}

#[tokio::test]
async fn the_dead_of_a_fleet_are_named_and_the_others_finish() {
    let sshd = Sshd::start();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = Proxy::start(sshd.port, Fault::Silence, usize::MAX).await;
    let hangup = Proxy::start(sshd.port, Fault::Hangup, usize::MAX).await;
    let settings = Settings {
        connect_timeout: Duration::from_secs(2),
        retry: Retry { attempts: 1, ..Retry::default() },
        ..sshd.settings()
    };
    let ssh = Ssh::new(settings, CancellationToken::new()).unwrap();
    // Every fifth of 50 is dead, in three ways.
    let targets: Vec<Target> = (0..50)
        .map(|number| {
            let port = match (number % 5, number % 3) {
                (0, 0) => closed,
                (0, 1) => silent.port,
                (0, _) => hangup.port,
                _ => sshd.port,
            };
            Target { id: format!("i-{number}"), port, ..sshd.target() }
        })
        .collect();
    let started = Instant::now();
    let results = futures::future::join_all(targets.iter().map(|target| echo(&ssh, target))).await;
    assert!(started.elapsed() < Duration::from_secs(60));
    for (target, result) in targets.iter().zip(results) {
        let expected = match target.port {
            port if port == sshd.port => {
                assert_eq!(result.unwrap(), "hi\n");
                continue;
            }
            port if port == closed => "ConnectionRefused",
            port if port == silent.port => "ConnectTimeout",
            _ => "ConnectionLost",
        };
        let error = result.unwrap_err();
        assert_eq!(error.code(), Some(expected), "{error}");
        assert!(error.message().contains(&format!("{} (root@", target.id)), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_and_made_again() {
    let sshd = Sshd::start();
    let settings = Settings { idle: Duration::from_millis(300), ..sshd.settings() };
    let ssh = Ssh::new(settings, CancellationToken::new()).unwrap();
    let target = sshd.target();
    let long = ssh.run(&target, &Command::new("sleep 1.5; echo still"), &|_, _| {}).await.unwrap();
    assert_eq!(long.stdout, "still\n", "a command under way keeps its connection");
    let deadline = Instant::now() + Duration::from_secs(20);
    while sshd.connections() > 0 {
        assert!(Instant::now() < deadline, "the idle connection stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(echo(&ssh, &target).await.unwrap(), "hi\n");
}
