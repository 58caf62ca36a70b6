//! Terminals, tunnels and long outputs against OpenSSH's sshd.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::sshd::Sshd;
use super::*;

fn silent(_: Stream, _: &str) {}

#[tokio::test]
async fn a_command_gets_a_terminal_on_request() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let mut command = Command::new(
        "tty -s && echo terminal; echo error >&2; read a; read b; echo \"$a|$b|$LONG\" | wc -c; cat; exit 5",
    );
    command.pty = true;
    command.stdin = Some(b"first\nsecond\nrest\n".to_vec());
    // Longer than a line of a terminal may be.
    command.environment = vec![("LONG".into(), "x".repeat(20_000))];
    command.timeout = Some(Duration::from_secs(20));
    let output = ssh.run(&sshd.target(), &command, &silent).await.unwrap();
    assert_eq!(output.stdout, "terminal\nerror\n20014\nrest\n");
    assert_eq!((output.status, output.stderr.as_str()), (Some(5), ""));
    let plain = ssh.run(&sshd.target(), &Command::new("tty -s || echo none"), &silent).await.unwrap();
    assert_eq!(plain.stdout, "none\n");
}

#[tokio::test]
async fn a_timeout_kills_what_has_a_terminal_too() {
    let sshd = Sshd::start();
    let mut command = Command::new("sleep 600");
    command.pty = true;
    command.timeout = Some(Duration::from_millis(700));
    let error = sshd.ssh().run(&sshd.target(), &command, &silent).await.unwrap_err();
    assert_eq!(error.code(), Some("CommandTimeout"));
    assert!(error.message().contains("were killed"), "{error}");
}

#[tokio::test]
async fn output_that_memory_does_not_hold_is_in_a_file() {
    let sshd = Sshd::start();
    let mut command = Command::new("seq 1 200000; seq 1 10 >&2");
    command.capture_limit = 1000;
    command.spill = Some(sshd.folder.path().join("output"));
    let output = sshd.ssh().run(&sshd.target(), &command, &silent).await.unwrap();
    let whole = std::fs::read_to_string(output.stdout_file.unwrap()).unwrap();
    assert!(whole.starts_with("1\n2\n") && whole.ends_with("\n199999\n200000\n"));
    assert_eq!(whole.len() as u64, output.truncated + 1000);
    assert_eq!((output.stderr_file, output.stderr.lines().count()), (None, 10));
}

#[tokio::test]
async fn somebody_at_a_terminal_types_resizes_and_leaves() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let (mut keyboard, input) = tokio::io::duplex(4096);
    let (output, mut screen) = tokio::io::duplex(1 << 20);
    let (resize, sizes) = mpsc::channel(1);
    let target = sshd.target();
    let interaction = Interaction {
        command: Some("sh".to_owned()),
        terminal: Some(Terminal { name: "xterm".into(), size: Size { columns: 81, rows: 25 }, sizes }),
        input,
        output,
        errors: tokio::io::sink(),
    };
    let person = async {
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        keyboard.write_all(b"stty size; echo $TERM\n").await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut resized = false;
        loop {
            let read = tokio::time::timeout_at(deadline.into(), screen.read(&mut buffer));
            let read = read.await.unwrap_or_else(|_| panic!("nothing more after: {seen}")).unwrap();
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
            if !resized && seen.contains("25 81") {
                resized = true;
                resize.send(Size { columns: 99, rows: 33 }).await.unwrap();
                keyboard
                    .write_all(b"while ! stty size | grep '33 99'; do sleep 0.05; done; exit 6\n")
                    .await
                    .unwrap();
            }
            if read == 0 {
                return seen;
            }
        }
    };
    let (ending, seen) = tokio::join!(ssh.interact(&target, interaction), person);
    assert_eq!(ending.unwrap(), Ending { status: Some(6), signal: None }, "{seen}");
    assert!(seen.contains("xterm"), "{seen}");
}

#[tokio::test]
async fn plain_input_and_output_are_passed_through() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let interaction = Interaction {
        command: Some("cat; echo oops >&2; kill -9 $$".to_owned()),
        terminal: None,
        input: sent.as_slice(),
        output: &mut output,
        errors: &mut errors,
    };
    let ending = ssh.interact(&sshd.target(), interaction).await.unwrap();
    assert_eq!(ending, Ending { status: None, signal: Some("KILL".into()) });
    assert!(output == sent && errors == b"oops\n");
}

#[tokio::test]
async fn a_port_leads_to_a_host_until_the_connections_are_closed() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote_port = service.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = service.accept().await.unwrap();
            let (mut reader, mut writer) = stream.split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        }
    });
    let forwarding = Forwarding { remote_port, remote_address: "127.0.0.1".into(), local_port: 0 };
    let port = ssh.forward(&sshd.target(), forwarding.clone()).await.unwrap();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"echo this").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "echo this");
    }
    let taken = Forwarding { local_port: port, ..forwarding };
    let error = ssh.forward(&sshd.target(), taken).await.unwrap_err();
    assert_eq!(error.code(), Some("PortUnavailable"), "{error}");
    ssh.close().await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        assert!(Instant::now() < deadline, "the port stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    serving.abort();
}

#[tokio::test]
async fn an_image_that_wants_another_user_says_which() {
    let sshd = Sshd::start();
    let path = sshd.folder.path().join("authorized_keys");
    let key = std::fs::read_to_string(&path).unwrap();
    let says = "echo 'Please login as the user \"ubuntu\" rather than the user \"root\".';echo;exit 142";
    let says = says.replace('"', "\\\"");
    std::fs::write(&path, format!("no-port-forwarding,command=\"{says}\" {key}")).unwrap();
    let error = sshd.ssh().wait(&sshd.target(), Duration::from_secs(60), &|_| {}).await.unwrap_err();
    assert_eq!(error.code(), Some("WrongUser"), "{error}");
    assert_eq!(error.hint(), Some("set user = \"ubuntu\" in [fleet]"));
}

#[tokio::test]
async fn waiting_for_cloud_init_ends_with_it() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let result = ssh.wait_for_cloud_init(&sshd.target(), Duration::from_secs(20)).await;
    // Where the tests run there is none, or it is done.
    result.unwrap();
}
