//! Waiting until a new instance answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::command::Command;
use super::exec;
use super::pool::{Attempts, Pool};
use super::target::Target;
use crate::error::{Error, Kind, Result};

/// cloud-init writes `authorized_keys` some time after sshd is up: a rejected key is no verdict
/// until this long after the first attempt.
const KEY_PATIENCE: Duration = Duration::from_secs(60);

/// Tries until a login succeeds and `true` runs. Returns how long that took.
pub async fn wait(
    pool: &Arc<Pool>,
    target: &Target,
    limit: Duration,
    on_attempt: &(dyn Fn(&Error) + Send + Sync),
) -> Result<Duration> {
    let started = Instant::now();
    let progress = Mutex::new(Progress { attempts: 0, last: None });
    let trying = keep_trying(pool, target, started, &progress, on_attempt);
    let ended = tokio::select! {
        biased;
        () = pool.cancel.cancelled() => return Err(Error::interrupted()),
        ended = timeout(limit, trying) => ended,
    };
    match ended {
        Ok(result) => result,
        Err(_) => {
            let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
            Err(given_up(pool, target, limit, progress))
        }
    }
}

struct Progress {
    attempts: u32,
    last: Option<Error>,
}

async fn keep_trying(
    pool: &Arc<Pool>,
    target: &Target,
    started: Instant,
    progress: &Mutex<Progress>,
    on_attempt: &(dyn Fn(&Error) + Send + Sync),
) -> Result<Duration> {
    let first = pool.settings.wait_pause;
    let mut pause = first;
    loop {
        let error = match attempt(pool, target).await {
            Ok(()) => return Ok(started.elapsed()),
            Err(error) => error,
        };
        on_attempt(&error);
        let young = error.code() == Some("KeyRejected") && started.elapsed() < KEY_PATIENCE;
        if !error.is_retryable() && !young {
            return Err(error);
        }
        note(progress, error);
        // Drawn from the upper half, so that many hosts do not knock in step.
        sleep(pause.mul_f64(rand::random_range(0.5..=1.0))).await;
        pause = pause.mul_f64(1.5).min(first * 10);
    }
}

fn note(progress: &Mutex<Progress>, error: Error) {
    let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
    progress.attempts += 1;
    progress.last = Some(error);
}

async fn attempt(pool: &Arc<Pool>, target: &Target) -> Result<()> {
    let command = Command { timeout: Some(Duration::from_secs(30)), ..Command::new("true") };
    match exec::run(pool, target, &command, Attempts::One, &|_, _| {}).await {
        Ok(output) if output.ok() => Ok(()),
        Ok(output) if wrong_user(&output.stdout).is_some() => {
            let right = wrong_user(&output.stdout).unwrap_or_default();
            let message = format!("{target} wants another user: it says to log in as {right}");
            Err(Error::ssh(message)
                .with_code("WrongUser")
                .with_hint(format!("set user = \"{right}\" in [fleet]")))
        }
        Ok(output) => {
            let said = output.last_line().map(|line| format!(": {line}")).unwrap_or_default();
            let message = format!("{target} lets us in, but `true` {}{said}", output.ending());
            Err(Error::ssh(message).with_code("NotReady").retryable(true))
        }
        // `true` may be run as often as we like.
        Err(error) if matches!(error.code(), Some("SessionLost" | "CommandTimeout" | "ExecRefused")) => {
            Err(error.retryable(true))
        }
        Err(error) => Err(error),
    }
}

/// What a failed attempt means for a host that is coming up.
pub fn stage(error: &Error) -> &'static str {
    match error.code() {
        Some("ConnectTimeout" | "HostUnreachable") => "no answer: not up yet, or a firewall keeps us out",
        Some("ConnectionRefused") => "up, but its SSH server does not run yet",
        Some("ConnectionLost" | "HandshakeFailed" | "HandshakeTimeout") => "its SSH server is just starting",
        Some("KeyRejected") => "up, but it does not accept the key (yet), or the user is another",
        Some("LoginTimeout" | "NotReady" | "SessionLost" | "CommandTimeout" | "ExecRefused") => {
            "up, but not ready for commands yet"
        }
        Some("AddressUnknown") => "its name has no address",
        Some("HostKeyChanged" | "HostKeyRevoked" | "HostKeyForged") => "another host answers",
        Some("HostKeyUnconfirmed") => "up, but its console does not tell its host key yet",
        Some("WrongUser") => "it wants another user",
        _ => "cannot be reached",
    }
}

/// The user that an image says to log in as: those of Amazon and Ubuntu answer `root` so.
fn wrong_user(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("lease login as the user ")?;
    let word = rest.split_whitespace().next()?;
    let user: String =
        word.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    (!user.is_empty()).then_some(user)
}

/// Waits until cloud-init has done its work.
pub async fn cloud_init(pool: &Arc<Pool>, target: &Target, limit: Duration) -> Result<()> {
    let line = "command -v cloud-init >/dev/null || exit 0; exec cloud-init status --wait";
    let command = Command { timeout: Some(limit), ..Command::new(line) };
    let output = exec::run(pool, target, &command, Attempts::Policy, &|_, _| {}).await?;
    // It prints its keys on its console at the end of that.
    if let Err(error) = pool.settings.first_contact.confirm(&pool.known, target).await {
        pool.close(&target.id).await;
        return Err(error);
    }
    // Since cloud-init 23.4, 2 says: done, with things that went wrong and were got over.
    if output.ok() || output.status == Some(2) {
        return Ok(());
    }
    let said = output.last_line().map(|line| format!(": {line}")).unwrap_or_default();
    Err(Error::ssh(format!("cloud-init failed on {target}{said}"))
        .with_code("CloudInitFailed")
        .with_hint("its log is /var/log/cloud-init-output.log on the host"))
}

/// The first key file that exists, to show in a command line.
fn shown_key(pool: &Pool) -> Option<&Path> {
    pool.settings.identities.iter().find(|path| path.exists()).map(PathBuf::as_path)
}

fn given_up(pool: &Arc<Pool>, target: &Target, limit: Duration, progress: Progress) -> Error {
    let attempts = progress.attempts;
    let last = match &progress.last {
        Some(error) => format!("{}; last: {}", stage(error), error.message()),
        None => "the first attempt did not come to an end".to_owned(),
    };
    let message =
        format!("{target} was not ready for SSH within {limit:?} ({attempts} failed attempts): {last}");
    let error = Error::new(Kind::Timeout, message)
        .with_code("SshTimeout")
        .with_hint(target.command_line(shown_key(pool), pool.known.path()))
        .retryable(true);
    match progress.last {
        Some(last) => error.with_source(last),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_user_is_read_from_what_images_say() {
        let amazon = "Please login as the user \"ec2-user\" rather than the user \"root\".\n\n";
        assert_eq!(wrong_user(amazon).as_deref(), Some("ec2-user"));
        assert_eq!(wrong_user("please login as the user ubuntu\n").as_deref(), Some("ubuntu"));
        assert_eq!(wrong_user("hello"), None);
        assert_eq!(wrong_user("Please login as the user \"\""), None);
    }
}
