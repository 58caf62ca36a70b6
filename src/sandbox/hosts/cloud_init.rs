//! The first boot: carries out the user data, inside the host, once.

use std::process::Stdio;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;

use super::cloud_config::{CloudConfig, FileToWrite, quoted};
use super::host::Host;
use super::user_data::UserData;
use crate::error::{Error, Result};

/// Where scripts of the user data are put inside the host, as cloud-init does.
const SCRIPTS: &str = "/var/lib/cloud/instance/scripts";

/// Leaves the result; the second file appears last, it is what `cloud-init status --wait` waits for.
const FINISH: &str = "mkdir -p /var/lib/cloud/data /var/lib/cloud/instance
cat >/var/lib/cloud/data/errors
date -u >/var/lib/cloud/instance/boot-finished";

/// One thing to do, as a shell command with what it reads.
struct Step {
    name: String,
    command: String,
    input: Vec<u8>,
}

/// Carries out the user data of a host unless an earlier boot did, and leaves the result where
/// `cloud-init status` looks for it.
pub(super) async fn run(host: &Arc<Host>) {
    let mark = host.layout().user_data_mark();
    // Without user data a new host is finished from the start.
    if matches!(host.user_data(), Ok(UserData::Nothing)) || mark.exists() {
        return;
    }
    let faults = host.trouble().now().cloud_init.clone();
    tokio::time::sleep(faults.slow).await;
    let mut failures = Vec::new();
    match host.user_data() {
        Ok(_) if faults.error.is_some() => failures.extend(faults.error),
        Ok(user_data) => {
            for step in steps(user_data) {
                if let Err(error) = perform(host, &step.command, step.input).await {
                    failures.push(format!("{}: {error}", step.name));
                }
            }
        }
        Err(error) => failures.push(error.to_string()),
    }
    let mut report = failures.join("\n");
    if !report.is_empty() {
        report.push('\n');
    }
    if perform(host, FINISH, report.into_bytes()).await.is_ok() {
        let _ = tokio::fs::write(mark, "").await;
    }
}

/// The steps in cloud-init's order: files and boot commands before packages, `runcmd` last.
fn steps(user_data: &UserData) -> Vec<Step> {
    match user_data {
        UserData::Nothing => Vec::new(),
        UserData::Script(script) => vec![script_step("part-001", script.clone())],
        UserData::Config(config) => config_steps(config),
        UserData::Parts(_) => part_steps(&user_data.flat()),
    }
}

/// What cloud-configs say comes first, then the scripts in their order; `runcmd` is the last of them.
fn part_steps(parts: &[&UserData]) -> Vec<Step> {
    let (mut early, mut scripts, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for (index, part) in parts.iter().enumerate() {
        match part {
            UserData::Config(config) => {
                let (runcmd, others): (Vec<_>, Vec<_>) =
                    config_steps(config).into_iter().partition(|step| step.name.starts_with("runcmd"));
                early.extend(others);
                late.extend(runcmd);
            }
            UserData::Script(script) => {
                scripts.push(script_step(&format!("part-{:03}", index + 1), script.clone()));
            }
            UserData::Nothing | UserData::Parts(_) => {}
        }
    }
    early.into_iter().chain(scripts).chain(late).collect()
}

fn config_steps(config: &CloudConfig) -> Vec<Step> {
    let mut steps = Vec::new();
    if !config.boot_commands.is_empty() {
        steps.push(script_step("bootcmd", format!("#!/bin/sh\n{}", config.boot_commands).into_bytes()));
    }
    steps.extend(config.files.iter().map(write_step));
    if !config.packages.is_empty() {
        let names: Vec<String> = config.packages.iter().map(|name| quoted(name)).collect();
        let command = format!("apt-get -y install {}", names.join(" "));
        steps.push(Step { name: "packages".to_string(), command, input: Vec::new() });
    }
    if !config.commands.is_empty() {
        steps.push(script_step("runcmd", format!("#!/bin/sh\n{}", config.commands).into_bytes()));
    }
    steps
}

fn script_step(name: &str, script: Vec<u8>) -> Step {
    let path = format!("{SCRIPTS}/{name}");
    let command = format!("mkdir -p {SCRIPTS} && cat >{path} && chmod 700 {path} && exec {path} </dev/null");
    Step { name: format!("{name} failed"), command, input: script }
}

fn write_step(file: &FileToWrite) -> Step {
    let (path, redirect) = (quoted(&file.path), if file.append { ">>" } else { ">" });
    let command = format!(
        "mkdir -p \"$(dirname {path})\" && cat {redirect}{path} && chmod {} {path}",
        file.permissions
    );
    Step { name: format!("write_files {}", file.path), command, input: file.content.clone() }
}

/// Runs a shell command as root inside the host, its output in cloud-init's log.
async fn perform(host: &Arc<Host>, command: &str, input: Vec<u8>) -> Result<()> {
    let failed = |error| Error::internal("cannot start a command in the host").with_source(error);
    let namespace = host.namespace().await?;
    let mut session = namespace.session();
    session.arg("boot").arg(host.next_session().to_string()).args(["root", "/root", "--", command]);
    session.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = session.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not want its input is not an error.
        let _ = stdin.write_all(&input).await;
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() { Ok(()) } else { Err(Error::script(status.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_in_the_order_of_cloud_init() {
        let config = CloudConfig::parse(
            "runcmd: [ls]\npackages: [nginx]\nwrite_files: [{path: \"/opt/it's\", content: x}]\nbootcmd: [date]\n",
        )
        .unwrap();
        let steps = steps(&UserData::Config(config));
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["bootcmd failed", "write_files /opt/it's", "packages", "runcmd failed"]);
        assert!(steps[1].command.contains(r"'/opt/it'\''s'"));
        assert_eq!(steps[2].command, "apt-get -y install 'nginx'");
        assert_eq!(steps[3].input, b"#!/bin/sh\nls\n");
    }
}
