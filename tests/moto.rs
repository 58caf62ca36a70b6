//! The recipes against peers that nobody here wrote: moto as EC2, OpenSSH's sshd as the hosts.
//!
//! A missing peer is a failure: `.ci/run` installs both.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::spot::{Spot, eventually};

/// A process that ends with the test.
pub struct Peer(Child);

impl Peer {
    pub fn of(child: Child) -> Self {
        Peer(child)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn start_moto() -> (Peer, u16) {
    let port = free_port();
    let child = Command::new("moto_server")
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("moto_server is missing: pip install 'moto[server,ec2]'");
    let peer = Peer(child);
    eventually("moto answers", 60, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (peer, port)
}

pub fn start_sshd(folder: &Path, public_key: &str) -> (Peer, u16) {
    let port = free_port();
    let keygen = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(folder.join("host_key"))
        .status()
        .expect("ssh-keygen is missing: apt install openssh-client");
    assert!(keygen.success());
    std::fs::write(folder.join("authorized_keys"), public_key).unwrap();
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized_keys\nPidFile none\n\
         UsePAM no\nStrictModes no\nMaxStartups 200\nPasswordAuthentication no\nPermitRootLogin yes\n\
         Subsystem sftp internal-sftp\n",
        folder.display()
    );
    let file = folder.join("sshd_config");
    std::fs::write(&file, config).unwrap();
    // sshd refuses to start without its privilege separation folder when it runs as root.
    let _ = std::fs::create_dir_all("/run/sshd");
    let mut child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("sshd is missing: apt install openssh-server");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let peer = Peer(child);
    loop {
        let line = lines.next().expect("sshd ended").unwrap();
        if line.contains("Server listening") {
            break;
        }
    }
    std::thread::spawn(move || lines.for_each(drop));
    (peer, port)
}

#[test]
fn the_recipes_work_against_moto_and_openssh() {
    let hosts = tempfile::tempdir().unwrap();
    let spot = Spot::new();
    let key = spot.folder().join("key");
    let status =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(status.success());
    let public_key = spot.read("key.pub");
    let (_moto, moto_port) = start_moto();
    let (_sshd, ssh_port) = start_sshd(hosts.path(), &public_key);
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    let spot = spot
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{moto_port}"))
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "testing")
        .env("AWS_REGION", "us-west-2");
    let target = hosts.path().join("app");
    spot.write("deploy/files/hello.txt", "hello moto\n");
    spot.write(
        "deploy/setup.sh",
        &format!("#!/bin/sh\nset -eu\ncat {0}/hello.txt >> {0}/log\n", target.display()),
    );
    spot.write(
        "spot.toml",
        &format!(
            "[fleet]\ncount = 5\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\", \"t3a.micro\"]\nuser = \"{user}\"\n\
             [network]\ndedicated = true\n\
             [ssh]\nprivate_key = \"key\"\npublic_key = \"key.pub\"\nport = {ssh_port}\naddress = \"127.0.0.1\"\n\
             [[deploy.files]]\nsource = \"deploy/files\"\ndestination = \"{}\"\nsudo = false\n",
            target.display()
        ),
    );

    // The same recipe file as in the sandbox, unchanged.
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes/create.rhai");
    spot.run(&["run", recipe]).expect(0);
    let instances = spot.instances(".");
    assert_eq!(instances.len(), 5);
    assert!(instances.iter().all(|instance| instance["phase"] == "ready"), "{instances:?}");
    let log = std::fs::read_to_string(target.join("log")).unwrap();
    assert_eq!(log, "hello moto\n".repeat(5));

    let listed = spot.run(&["list"]).expect(0);
    assert_eq!(listed.stdout.matches("running").count(), 5 + 1, "{}", listed.all());

    // What moto does not know (scores, quotas, list prices) is no obstacle.
    let prices = spot.run(&["prices", "--types", "t3.micro,m5.large", "--count", "2"]).expect(0);
    assert!(prices.stdout.contains("m5.large") && prices.stderr.contains("recommended"), "{}", prices.all());

    // A second fleet never forgets the first; one of them alone; then all.
    spot.run(&["create", "--count", "6", "--regions", "us-west-2"]).expect(0);
    assert_eq!(spot.instances(".").len(), 6);
    let first = instances[0]["id"].as_str().unwrap();
    spot.run(&["destroy", first, "--yes"]).expect(0);
    assert_eq!(spot.instances(".").len(), 5);
    spot.run(&["destroy", "--yes"]).expect(0);
    assert!(spot.instances(".").is_empty());
    let nothing = spot.run(&["nuke", "--yes"]).expect(0);
    assert!(nothing.stderr.contains("has nothing that spot made"), "{}", nothing.all());

    // What has expired goes, found by its tag alone; what has not stays. Moto is not a sandbox whose clock
    // could be set: the end is moved into the past instead.
    spot.run(&["create", "--count", "3", "--ttl", "6h", "--regions", "us-west-2,eu-central-1"]).expect(0);
    let listed = spot.run(&["list"]).expect(0);
    assert!(listed.stdout.contains("5 h 5"), "{}", listed.all());
    let three = spot.instances(".");
    let early = spot.run(&["reap", "--yes"]).expect(0);
    assert!(early.stderr.contains("nothing of this project has expired in 2 regions"), "{}", early.all());
    spot.write(
        "recipes/age.rhai",
        "let old = state::instances()[0];\nlet own = aws::owned(#{ region: old.region }).owned;\n\
         aws::tag(own.filter(|it| it.deployment == () || it.id == old.id), #{ \"spot:expires\": \"2020-01-01T00:00:00Z\" });",
    );
    spot.run(&["age"]).expect(0);
    let plan = spot.run(&["reap", "--dry-run"]).expect(0);
    assert!(plan.stdout.contains("TerminateInstances"), "{}", plan.all());
    std::fs::rename(spot.folder().join("instances.json"), spot.folder().join("kept.json")).unwrap();
    std::fs::rename(spot.folder().join(".spot"), spot.folder().join("kept")).unwrap();
    let reaped = spot.run(&["reap", "--yes", "--all-regions"]).expect(0);
    assert!(reaped.stdout.contains("Expired, made by"), "{}", reaped.all());
    std::fs::remove_dir_all(spot.folder().join(".spot")).unwrap();
    std::fs::rename(spot.folder().join("kept.json"), spot.folder().join("instances.json")).unwrap();
    std::fs::rename(spot.folder().join("kept"), spot.folder().join(".spot")).unwrap();
    let listed = spot.run(&["list"]).expect(0);
    assert!(listed.stdout.contains("3 instances, 2 running"), "{}{}", listed.all(), reaped.all());
    spot.run(&["extend", "--never", three[1]["id"].as_str().unwrap()]).expect(0);
    spot.run(&["destroy", "--yes"]).expect(0);

    // Nuke finds what a lost state cannot.
    spot.run(&["create", "--count", "2"]).expect(0);
    std::fs::remove_dir_all(spot.folder().join(".spot")).unwrap();
    std::fs::remove_file(spot.folder().join("instances.json")).unwrap();
    spot.run(&["nuke", "--yes", "--answer", "123456789012"]).expect(0);
    let nothing = spot.run(&["nuke", "--yes"]).expect(0);
    assert!(nothing.stderr.contains("has nothing that spot made"), "{}", nothing.all());
}
