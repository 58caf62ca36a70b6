//! Transfers and waiting, against OpenSSH's sshd.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::sshd::Sshd;
use super::*;
use crate::error::Kind;

fn quiet(_: u64, _: u64) {}

/// A folder with what makes transfers go wrong.
fn nasty(root: &Path) -> PathBuf {
    let root = root.join("nasty source");
    fs::create_dir_all(root.join("sub dir/it's")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    for name in [
        "plain",
        "with space",
        "'quoted'",
        "new\nline",
        "back\\slash",
        "-rf",
        "$HOME",
        "ünï✓",
        "*",
        "a\tb",
        "~",
    ] {
        fs::write(root.join("sub dir/it's").join(name), format!("content of {name}")).unwrap();
    }
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("run.sh"), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(root.join("nothing"), Permissions::from_mode(0o600)).unwrap();
    symlink("run.sh", root.join("link")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    symlink("../empty", root.join("sub dir/to a folder")).unwrap();
    fs::write(root.join("big"), pattern(3_000_001)).unwrap();
    fs::set_permissions(root.join("empty"), Permissions::from_mode(0o550)).unwrap();
    root
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 251) as u8).collect()
}

/// Everything below a folder: paths with kinds, modes and contents.
fn snapshot(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in tree::read(root, &exclude::Excludes::default()).unwrap() {
        let path = root.join(&entry.path);
        lines.push(match entry.kind {
            tree::EntryKind::Folder { mode } => format!("{} folder {mode:o}", entry.path),
            tree::EntryKind::Link { target } => format!("{} -> {target}", entry.path),
            tree::EntryKind::File { mode, .. } => {
                let content = fs::read(path).unwrap();
                let hash = content::hex(&<sha2::Sha256 as sha2::Digest>::digest(content));
                format!("{} file {mode:o} {hash}", entry.path)
            }
        });
    }
    lines
}

/// Uploads as root pass through the home folder of the login user, which all tests share: those that
/// look at it, or would be seen by one that does, take turns.
static HOME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn staging_folders() -> usize {
    let home = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(0)).unwrap().unwrap().dir;
    let names = fs::read_dir(home).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names.filter(|name| name.starts_with(".spot-staging")).count()
}

fn temporaries(root: &Path) -> Vec<String> {
    let name = |entry: &tree::Entry| entry.path.contains(".spot-");
    tree::read(root, &exclude::Excludes::default())
        .unwrap()
        .iter()
        .filter(|entry| name(entry))
        .map(|entry| entry.path.clone())
        .collect()
}

#[tokio::test]
async fn a_folder_arrives_as_it_is_and_a_second_time_changes_nothing() {
    let _turn = HOME.lock().await;
    let sshd = Sshd::start();
    let source = nasty(sshd.folder.path());
    for sudo in [false, true] {
        let ssh = sshd.ssh();
        let remote = sshd.folder.path().join(format!("remote {sudo}/it's/here"));
        let options = Upload { sudo, ..Upload::default() };
        let send = || ssh_upload(&ssh, &sshd, &source, remote.to_str().unwrap(), &options);
        let first = send().await;
        assert_eq!((first.files, first.unchanged, first.links), (14, 0, 3), "{first:?}");
        assert_eq!(snapshot(&remote), snapshot(&source));

        let inode = fs::metadata(remote.join("big")).unwrap().ino();
        let second = send().await;
        assert!(!second.changed(), "{second:?}");
        assert_eq!((second.unchanged, second.bytes), (14, 0));
        assert_eq!(fs::metadata(remote.join("big")).unwrap().ino(), inode);

        // One content, one mode, one link and one file less: only those.
        fs::write(remote.join("run.sh"), "other").unwrap();
        fs::set_permissions(remote.join("nothing"), Permissions::from_mode(0o666)).unwrap();
        fs::remove_file(remote.join("dangling")).unwrap();
        symlink("elsewhere", remote.join("dangling")).unwrap();
        fs::remove_file(remote.join("sub dir/it's/-rf")).unwrap();
        fs::write(remote.join("theirs"), "stays").unwrap();
        let third = send().await;
        assert_eq!((third.files, third.modes, third.links, third.folders), (2, 1, 1, 0), "{third:?}");
        assert_eq!(fs::read(remote.join("theirs")).unwrap(), b"stays");
        fs::remove_file(remote.join("theirs")).unwrap();
        assert_eq!(snapshot(&remote), snapshot(&source));
        assert!(temporaries(&remote).is_empty());
    }
    assert_eq!(staging_folders(), 0);
}

async fn ssh_upload(ssh: &Ssh, sshd: &Sshd, source: &Path, remote: &str, options: &Upload) -> Transfer {
    ssh.upload(&sshd.target(), source, remote, options, &quiet).await.unwrap()
}

#[tokio::test]
async fn a_file_goes_to_a_path_or_into_a_folder_with_progress() {
    let sshd = Sshd::start();
    let (ssh, folder) = (sshd.ssh(), sshd.folder.path());
    let source = folder.join("file");
    fs::write(&source, pattern(1_000_000)).unwrap();
    let seen = Mutex::new(Vec::new());
    let on_progress = |done, total| seen.lock().unwrap().push((done, total));
    let to = folder.join("a/b/renamed");
    let options = Upload { mode: Some(0o750), ..Upload::default() };
    let done =
        ssh.upload(&sshd.target(), &source, to.to_str().unwrap(), &options, &on_progress).await.unwrap();
    assert_eq!((done.files, done.bytes), (1, 1_000_000));
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o750);
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.last(), Some(&(1_000_000, 1_000_000)));
    assert!(seen.len() > 2 && seen.is_sorted());

    let into = format!("{}/", folder.join("into").display());
    ssh_upload(&ssh, &sshd, &source, &into, &Upload::default()).await;
    assert_eq!(fs::read(folder.join("into/file")).unwrap(), pattern(1_000_000));
    let error = ssh
        .upload(&sshd.target(), &source, folder.join("into").to_str().unwrap(), &Upload::default(), &quiet)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("InTheWay"), "{error}");
    assert!(error.hint().unwrap().ends_with("into/"));
}

#[tokio::test]
async fn a_link_at_the_destination_is_replaced_and_not_written_through() {
    let _turn = HOME.lock().await;
    let sshd = Sshd::start();
    let (ssh, folder) = (sshd.ssh(), sshd.folder.path());
    fs::create_dir(folder.join("precious")).unwrap();
    fs::write(folder.join("precious/file"), "precious").unwrap();
    fs::write(folder.join("source"), "new").unwrap();
    for sudo in [false, true] {
        for to in ["precious", "precious/file"] {
            let link = folder.join("link");
            let _ = fs::remove_file(&link);
            symlink(to, &link).unwrap();
            let options = Upload { sudo, ..Upload::default() };
            ssh_upload(&ssh, &sshd, &folder.join("source"), link.to_str().unwrap(), &options).await;
            assert!(fs::symlink_metadata(&link).unwrap().is_file(), "{to} {sudo}");
            assert_eq!(fs::read(&link).unwrap(), b"new");
        }
    }
    assert_eq!(fs::read_dir(folder.join("precious")).unwrap().count(), 1);
    assert_eq!(fs::read(folder.join("precious/file")).unwrap(), b"precious");
}

#[tokio::test]
async fn a_failed_upload_leaves_nothing_behind() {
    let _turn = HOME.lock().await;
    let sshd = Sshd::start();
    let folder = sshd.folder.path();
    let source = folder.join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a"), pattern(500_000)).unwrap();
    fs::write(source.join("b"), "").unwrap();
    let remote = folder.join("remote");
    // A folder that is in the way of the last file only shows at the rename.
    fs::create_dir_all(remote.join("b/full")).unwrap();
    for sudo in [false, true] {
        let options = Upload { sudo, ..Upload::default() };
        let error = sshd
            .ssh()
            .upload(&sshd.target(), &source, remote.to_str().unwrap(), &options, &quiet)
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some("InTheWay"), "{error}");
        assert!(temporaries(&remote).is_empty());
    }
    // Reading fails in the middle: what was begun is taken back.
    let ssh = sshd.ssh();
    let metadata = fs::metadata(source.join("a")).unwrap();
    let vanished = Content::File(Arc::new(content::LocalFile::new(folder.join("vanished"), &metadata)));
    let items = vec![Item {
        path: remote.join("c").display().to_string(),
        kind: ItemKind::File { content: vanished, size: 1, mode: None },
    }];
    assert!(upload::send(&ssh.0, &sshd.target(), items, false, &quiet).await.is_err());
    assert!(temporaries(&remote).is_empty() && !remote.join("c").exists());
}

#[tokio::test]
async fn an_interrupted_upload_ends_promptly_and_cleans_up() {
    let _turn = HOME.lock().await;
    let sshd = Sshd::start();
    let folder = sshd.folder.path();
    let source = folder.join("source");
    fs::File::create(&source).unwrap().set_len(2_000_000_000).unwrap();
    let remote = folder.join("to/remote");
    for sudo in [false, true] {
        let cancel = CancellationToken::new();
        let ssh = Ssh::new(sshd.settings(), cancel.clone()).unwrap();
        let at = Mutex::new(None);
        let on_progress = |_, _| {
            cancel.cancel();
            at.lock().unwrap().get_or_insert_with(Instant::now);
        };
        let options = Upload { sudo, ..Upload::default() };
        let result =
            ssh.upload(&sshd.target(), &source, remote.to_str().unwrap(), &options, &on_progress).await;
        assert_eq!(result.unwrap_err().kind(), Kind::Interrupted);
        assert!(at.into_inner().unwrap().unwrap().elapsed() < Duration::from_secs(3));
        assert!(!remote.exists());
        if !sudo {
            assert!(temporaries(remote.parent().unwrap()).is_empty());
        }
    }
    assert_eq!(staging_folders(), 0);
}

#[tokio::test]
async fn many_transfers_at_once_share_few_channels() {
    let _turn = HOME.lock().await;
    let sshd = Sshd::start_with("MaxSessions 2");
    let (ssh, folder) = (sshd.ssh(), sshd.folder.path());
    let writes = (0..30).map(|number| {
        let path = folder.join(format!("many/{number}")).display().to_string();
        let (ssh, target) = (ssh.clone(), sshd.target());
        async move { ssh.write(&target, &path, path.as_bytes(), None, number % 2 == 0).await.unwrap() }
    });
    assert!(futures::future::join_all(writes).await.into_iter().all(|changed| changed));
    assert_eq!(fs::read_dir(folder.join("many")).unwrap().count(), 30);
    assert_eq!(sshd.connections(), 1);
}

#[tokio::test]
async fn small_files_are_written_read_and_found() {
    let _turn = HOME.lock().await;
    let sshd = Sshd::start();
    let (ssh, target) = (sshd.ssh(), sshd.target());
    let path = sshd.folder.path().join("deep/er/config");
    let remote = path.to_str().unwrap();
    for sudo in [false, true] {
        assert!(!ssh.exists(&target, remote).await.unwrap());
        assert!(ssh.write(&target, remote, b"one", None, sudo).await.unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        assert!(!ssh.write(&target, remote, b"one", None, sudo).await.unwrap());
        assert!(ssh.write(&target, remote, b"one", Some(0o600), sudo).await.unwrap(), "the mode changed");
        assert!(ssh.write(&target, remote, b"two", None, sudo).await.unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600, "the mode is kept");
        assert_eq!(ssh.read(&target, remote, 3).await.unwrap(), b"two");
        assert_eq!(ssh.read(&target, remote, 2).await.unwrap_err().code(), Some("TooLarge"));
        assert!(ssh.exists(&target, remote).await.unwrap());
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(ssh.read(&target, remote, 9).await.unwrap_err().code(), Some("NoSuchFile"));
    assert!(!ssh.read(&target, "/proc/version", 10_000).await.unwrap().is_empty());
    symlink("/nowhere", &path).unwrap();
    assert!(ssh.exists(&target, remote).await.unwrap(), "a link to nowhere is there");
}

#[tokio::test]
async fn a_folder_comes_back_as_it_was_without_links_that_lead_out() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let source = nasty(sshd.folder.path());
    let local = sshd.folder.path().join("down/loaded");
    let seen = Mutex::new((0, 0));
    let on_progress = |done, total| *seen.lock().unwrap() = (done, total);
    let done = ssh.download(&sshd.target(), source.to_str().unwrap(), &local, &on_progress).await.unwrap();
    assert_eq!((done.files, done.links), (14, 2), "{done:?}");
    assert_eq!(done.skipped, ["dangling: links out of the folder"]);
    let (seen, total) = seen.into_inner().unwrap();
    assert_eq!((seen, total), (done.bytes, done.bytes));
    fs::remove_file(source.join("dangling")).unwrap();
    // We can always enter our own folders.
    fs::set_permissions(source.join("empty"), Permissions::from_mode(0o750)).unwrap();
    assert_eq!(snapshot(&local)[1..], snapshot(&source)[1..]);
}

#[tokio::test]
async fn a_download_does_not_write_through_a_local_link() {
    let sshd = Sshd::start();
    let folder = sshd.folder.path();
    fs::create_dir_all(folder.join("remote/logs")).unwrap();
    fs::write(folder.join("remote/logs/x"), "x").unwrap();
    fs::create_dir_all(folder.join("local")).unwrap();
    fs::create_dir_all(folder.join("outside")).unwrap();
    symlink("../outside", folder.join("local/logs")).unwrap();
    let remote = folder.join("remote");
    let result =
        sshd.ssh().download(&sshd.target(), remote.to_str().unwrap(), &folder.join("local"), &quiet).await;
    assert!(result.unwrap_err().message().contains("in the way"));
    assert_eq!(fs::read_dir(folder.join("outside")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_is_downloaded_to_a_path_or_into_a_folder() {
    let sshd = Sshd::start();
    let (ssh, folder) = (sshd.ssh(), sshd.folder.path());
    let remote = folder.join("remote");
    fs::write(&remote, pattern(2_000_003)).unwrap();
    fs::set_permissions(&remote, Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(folder.join("into")).unwrap();
    for (local, expected) in [("a/b", "a/b"), ("into", "into/remote"), ("new/", "new/remote")] {
        let local = folder.join(local);
        ssh.download(&sshd.target(), remote.to_str().unwrap(), &local, &quiet).await.unwrap();
        let expected = folder.join(expected);
        assert_eq!(fs::read(&expected).unwrap(), pattern(2_000_003));
        assert_eq!(fs::metadata(&expected).unwrap().mode() & 0o7777, 0o640);
    }
    let error = ssh.download(&sshd.target(), "/no/such", &folder.join("x"), &quiet).await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchFile"));
}

#[tokio::test]
async fn a_host_without_sha256sum_gets_everything_again() {
    let sshd = Sshd::start_with("SetEnv PATH=/nowhere");
    let (ssh, folder) = (sshd.ssh(), sshd.folder.path());
    let path = folder.join("file");
    // Not even `sh` is found there: the survey says nothing, and SFTP does the work.
    for _ in 0..2 {
        assert!(ssh.write(&sshd.target(), path.to_str().unwrap(), b"x", None, false).await.unwrap());
    }
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[tokio::test]
async fn without_sftp_the_error_says_what_is_missing() {
    let sshd = Sshd::start_with("Match all\nForceCommand exit 3");
    let error = sshd.ssh().exists(&sshd.target(), "/").await.unwrap_err();
    assert_eq!(error.code(), Some("SubsystemRefused"), "{error}");
}

#[tokio::test]
async fn waiting_outlasts_refused_connections_and_names_each_reason() {
    let mut sshd = Sshd::start();
    sshd.stop();
    let ssh = sshd.ssh();
    let target = sshd.target();
    let reasons = Mutex::new(Vec::new());
    let on_attempt = |reason: &Error| reasons.lock().unwrap().push(reason.message().to_owned());
    let waiting = ssh.wait(&target, Duration::from_secs(30), &on_attempt);
    let starting = async {
        while reasons.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sshd.restart_with_keys("host_ed25519");
    };
    let (result, ()) = tokio::join!(waiting, starting);
    assert!(result.unwrap() < Duration::from_secs(20));
    assert!(reasons.into_inner().unwrap().iter().all(|reason| reason.to_lowercase().contains("refused")));
}

#[tokio::test]
async fn waiting_outlasts_a_key_that_is_not_yet_authorised() {
    let sshd = Sshd::start();
    let authorised = sshd.folder.path().join("authorized_keys");
    let line = fs::read(&authorised).unwrap();
    fs::write(&authorised, "").unwrap();
    let target = sshd.target();
    let ssh = sshd.ssh();
    let on_attempt = |reason: &Error| {
        assert!(reason.message().contains("rejected every key"), "{reason}");
        fs::write(&authorised, &line).unwrap();
    };
    ssh.wait(&target, Duration::from_secs(30), &on_attempt).await.unwrap();
}

#[tokio::test]
async fn waiting_in_vain_names_the_reason_and_the_command_to_try() {
    let mut sshd = Sshd::start();
    sshd.stop();
    let error = sshd.ssh().wait(&sshd.target(), Duration::from_secs(1), &|_| {}).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Timeout, Some("SshTimeout")));
    assert!(error.message().to_lowercase().contains("refused"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.starts_with("ssh -p ") && hint.ends_with("root@127.0.0.1"), "{hint}");
}

#[tokio::test]
async fn waiting_gives_up_at_once_when_the_host_key_changed() {
    let mut sshd = Sshd::start();
    let target = sshd.target();
    sshd.ssh().wait(&target, Duration::from_secs(30), &|_| {}).await.unwrap();
    let other = sshd.folder.path().join("host_other");
    super::sshd::host_key(&other, "ed25519");
    sshd.restart_with_keys("host_other");
    let error = sshd.ssh().wait(&target, Duration::from_secs(30), &|_| {}).await.unwrap_err();
    assert_eq!(error.code(), Some("HostKeyChanged"));
}

#[tokio::test]
async fn waiting_can_be_interrupted() {
    let mut sshd = Sshd::start();
    sshd.stop();
    let cancel = CancellationToken::new();
    let ssh = Ssh::new(sshd.settings(), cancel.clone()).unwrap();
    let started = Instant::now();
    let on_attempt = |_: &Error| cancel.cancel();
    let error = ssh.wait(&sshd.target(), Duration::from_secs(600), &on_attempt).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!(started.elapsed() < Duration::from_secs(5));
}
