//! Stand-ins, as setup scripts use them.

use super::*;

const UNIT: &str = "[Unit]
Description=The app

[Service]
Environment=GREETING=hello 'OTHER=two words'
EnvironmentFile=-/etc/app.env
WorkingDirectory=/opt
ExecStartPre=/bin/mkdir -p /opt/made
ExecStart=/opt/serve --say ${GREETING} \"a b\" > literal
Restart=always
RestartSec=100ms

[Install]
WantedBy=multi-user.target
";

impl Stage {
    fn write(&self, path: &str, text: &str) {
        assert!(
            self.ssh_with_input(&format!("sudo tee {path} >/dev/null"), text.as_bytes()).status.success()
        );
    }
}

#[test]
fn a_unit_runs_restarts_stops_and_starts_with_the_machine() {
    let stage = Stage::up(|_| {});
    assert_eq!(stage.ssh("sudo systemctl start app").status.code(), Some(5));
    stage.write("/opt/serve", "#!/bin/sh\nfor word; do echo \"[$word]\"; done\necho \"$FROM $PWD\"\necho $$ >/opt/pid\nexec sleep 1000\n");
    stage.write("/etc/app.env", "# comment\nFROM=\"the file\"\n");
    stage.write("/etc/systemd/system/app.service", UNIT);
    let enabled = stage
        .ssh("sudo chmod +x /opt/serve && sudo systemctl daemon-reload && sudo systemctl enable --now app");
    assert!(enabled.status.success(), "{enabled:?}");
    assert!(String::from_utf8_lossy(&enabled.stderr).contains("multi-user.target.wants/app.service"));
    assert_eq!(stage.out("systemctl is-active app; systemctl is-enabled app.service"), "active\nenabled");
    until("it runs", || stage.ssh("test -s /opt/pid").status.success());
    let log = stage.out("journalctl -u app -o cat --no-pager");
    assert!(log.contains("[--say]\n[hello]\n[a b]\n[>]\n[literal]\nthe file /opt"), "{log}");
    assert!(stage.out("systemctl status app").contains("Active: active (running)"));
    assert!(stage.out("systemctl list-units").contains("app.service loaded active running The app"));
    let pid = || stage.out("systemctl show -p MainPID app");
    let first = pid();
    assert_eq!(first, format!("MainPID={}", stage.out("cat /opt/pid")));
    stage.out("kill -KILL $(cat /opt/pid)");
    until("it is started again", || stage.ssh("systemctl is-active app").status.success() && pid() != first);
    // It survives its session's end, and namespaces that nobody uses (see limits); it ends when told to.
    stage.out("sudo systemctl stop app; ! pgrep -x sleep");
    assert_eq!(stage.ssh("systemctl is-active app").status.code(), Some(3));
    stage.out("sudo rm /opt/pid");
    stage.halt();
    stage.boot();
    stage.wait_for_port();
    // It starts with the machine, before the first session.
    assert_eq!(
        stage.out("systemctl is-active app; sudo systemctl start app; systemctl is-active app"),
        "active\nactive"
    );
    until("it runs", || stage.ssh("test -s /opt/pid").status.success());
    assert_eq!(stage.out("pgrep -c -x sleep"), "1");
    stage.out("sudo systemctl restart app && sudo systemctl disable --now app");
    assert_eq!(stage.ssh("systemctl is-enabled app").stdout, b"disabled\n");
}

#[test]
fn units_that_fail_say_so() {
    let stage = Stage::up(|_| {});
    stage.write(
        "/etc/systemd/system/once.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo first'\nExecStart=/bin/false\n",
    );
    let output = stage.ssh("sudo systemctl start once");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Job for once.service failed"));
    assert_eq!(stage.ssh("systemctl is-failed once").stdout, b"failed\n");
    assert!(stage.out("journalctl -u once").contains("first"));
    stage.write("/etc/systemd/system/none.service", "[Service]\nExecStart=/opt/none\n");
    stage.ssh("sudo systemctl start none");
    until("it has failed", || stage.ssh("systemctl is-failed none").status.success());
    stage.write(
        "/etc/systemd/system/loop.service",
        "[Service]\nExecStart=/bin/false\nRestart=on-failure\nRestartSec=0\n",
    );
    stage.ssh("sudo systemctl start loop");
    until("it gives up", || stage.out("journalctl -u loop").contains("repeated too quickly"));
    stage.write("/etc/systemd/system/user.service", "[Service]\nUser=nosuch\nExecStart=/bin/true\n");
    assert!(!stage.ssh("sudo systemctl start user").status.success());
}

#[test]
fn packages_containers_and_snaps_are_remembered() {
    let stage = Stage::up(|_| {});
    let refused = stage.ssh("apt-get install -y nginx");
    assert_eq!(refused.status.code(), Some(100));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("are you root?"));
    stage.out("sudo apt-get update -q && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -q nginx docker.io postgresql-16");
    stage.out("sudo systemctl enable --now nginx docker postgresql && systemctl is-active nginx");
    assert_eq!(stage.ssh("sudo systemctl start ngnix").status.code(), Some(5));
    assert!(stage.out("sudo snap install aws-cli --classic && snap list").contains("aws-cli"));

    stage.out("mkdir -p shop && printf 'services:\\n  web:\\n    image: nginx:1.27\\n    ports: [\"80:80\"]\\n  db:\\n    image: \"postgres\"\\nvolumes:\\n  data:\\n' >shop/compose.yaml");
    stage.out("cd shop && sudo docker compose up -d");
    assert_eq!(
        stage.out("sudo docker ps --format '{{.Names}} {{.Image}}'"),
        "shop-db-1 postgres\nshop-web-1 nginx:1.27"
    );
    assert_eq!(
        stage.out("cd shop && docker compose ps -q | wc -l; docker compose config --services"),
        "2\nweb\ndb"
    );
    assert_eq!(stage.out("docker inspect -f '{{.State.Running}}' shop-web-1"), "true");
    assert_eq!(stage.ssh("docker compose up -d").status.code(), Some(14));
    stage.out("cd shop && docker compose down");
    assert_eq!(stage.out("docker ps -aq"), "");
    let id = stage.out("docker run -d --name app -p 80:80 -e A=1 app:2 serve --now");
    assert_eq!(id.len(), 64);
    assert_eq!(stage.ssh("docker run -d --name app app:2").status.code(), Some(125));
    assert_eq!(stage.ssh("docker rm app").status.code(), Some(1));
    assert_eq!(
        stage.out("docker stop app && docker rm app && docker ps -a --format '{{.Names}}'"),
        "app\napp"
    );
}
