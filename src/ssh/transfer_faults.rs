//! Transfers that go wrong, and folders that change on either side, against OpenSSH's sshd.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::sshd::Sshd;
use super::*;

fn quiet(_: u64, _: u64) {}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 251) as u8).collect()
}

/// What is left of transfers in a folder.
fn temporaries(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".spot-")).collect()
}

async fn upload(sshd: &Sshd, source: impl Into<Source>, to: &Path, options: &Upload) -> Result<Transfer> {
    sshd.ssh().upload(&sshd.target(), source, to.to_str().unwrap(), options, &quiet).await
}

/// A folder with files to upload.
fn tree(sshd: &Sshd) -> (PathBuf, PathBuf) {
    let source = sshd.folder.path().join("source");
    fs::create_dir_all(source.join("a/b")).unwrap();
    fs::create_dir(source.join("empty")).unwrap();
    for name in ["one", "a/two", "a/b/three"] {
        fs::write(source.join(name), format!("content of {name}")).unwrap();
    }
    (source, sshd.folder.path().join("remote"))
}

/// A disk of one MiB, for as long as this lives; none where that is not allowed.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir(folder).unwrap();
        let mut mount = Program::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder);
        mount.stderr(std::process::Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| SmallDisk(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_file_goes_on_where_a_broken_connection_stopped() {
    let sshd = Sshd::start();
    let folder = sshd.folder.path();
    fs::write(folder.join("source"), pattern(60_000_007)).unwrap();
    let broken = AtomicBool::new(false);
    let seen = Mutex::new(Vec::new());
    let on_progress = |done: u64, total: u64| {
        // Here and now: somebody else might do it when all has been sent.
        if done > total / 2 && !broken.swap(true, Ordering::Relaxed) {
            sshd.end_connections();
        }
        seen.lock().unwrap().push(done);
    };
    let (ssh, target, to) = (sshd.ssh(), sshd.target(), folder.join("there"));
    let (options, source) = (Upload::default(), folder.join("source"));
    let sent = ssh.upload(&target, &source, to.to_str().unwrap(), &options, &on_progress).await;
    assert_eq!(sent.unwrap().bytes, 60_000_007);
    assert!(fs::read(&to).unwrap() == pattern(60_000_007));
    assert_eq!(fs::metadata(&to).unwrap().mtime(), fs::metadata(&source).unwrap().mtime());
    let seen = seen.into_inner().unwrap();
    let back = seen.windows(2).find(|pair| pair[1] < pair[0]).map(|pair| pair[1]);
    assert!(back.is_some_and(|at| at > 10_000_000), "it began again at {back:?}");
    assert_eq!(seen.last(), Some(&60_000_007));
    assert!(temporaries(folder).is_empty());
}

#[tokio::test]
async fn a_download_goes_on_where_a_broken_connection_stopped() {
    let sshd = Sshd::start();
    let folder = sshd.folder.path();
    fs::write(folder.join("source"), pattern(40_000_007)).unwrap();
    let broken = AtomicBool::new(false);
    let last = Mutex::new(0);
    let on_progress = |done: u64, total: u64| {
        if done > total / 2 && !broken.swap(true, Ordering::Relaxed) {
            sshd.end_connections();
        }
        *last.lock().unwrap() = done;
    };
    let (ssh, target, to) = (sshd.ssh(), sshd.target(), folder.join("here"));
    let source = folder.join("source");
    let fetched = ssh.download(&target, source.to_str().unwrap(), &to, &on_progress).await;
    assert_eq!(fetched.unwrap().bytes, 40_000_007);
    assert!(fs::read(&to).unwrap() == pattern(40_000_007));
    assert_eq!(last.into_inner().unwrap(), 40_000_007, "nothing was fetched twice");
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_half_is_left() {
    let sshd = Sshd::start();
    let Some(disk) = SmallDisk::mount(&sshd.folder.path().join("disk")) else { return };
    let source = sshd.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("big"), pattern(4_000_000)).unwrap();
    for (from, to) in [(source.join("big"), disk.0.join("big")), (source, disk.0.join("folder"))] {
        let error = upload(&sshd, &from, &to, &Upload::default()).await.unwrap_err();
        assert_eq!(error.code(), Some("DiskFull"), "{error}");
        assert!(!to.exists() && temporaries(&disk.0).is_empty());
    }
}

#[tokio::test]
async fn a_host_with_sftp_but_without_a_shell_gets_everything_over_sftp() {
    let sshd = Sshd::start_with("Match all\nForceCommand internal-sftp");
    let (source, remote) = tree(&sshd);
    let sent = upload(&sshd, &source, &remote, &Upload::default()).await.unwrap();
    assert_eq!((sent.files, sent.folders), (3, 4));
    assert_eq!(fs::read(remote.join("a/b/three")).unwrap(), b"content of a/b/three");
    let one = sshd.folder.path().join("one");
    upload(&sshd, &source.join("one"), &one, &Upload::default()).await.unwrap();
    assert_eq!(fs::metadata(&one).unwrap().mtime(), fs::metadata(source.join("one")).unwrap().mtime());
}

#[tokio::test]
async fn a_host_without_tar_gets_folders_over_sftp() {
    let programs = tempfile::tempdir().unwrap();
    for name in ["sh", "sha256sum", "stat", "xargs", "mv", "mkdir", "rm", "chmod", "cut", "readlink", "gzip"]
    {
        let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
        symlink(found.iter().find(|path| path.exists()).unwrap(), programs.path().join(name)).unwrap();
    }
    let sshd = Sshd::start_with(&format!("SetEnv PATH={}", programs.path().display()));
    let (source, remote) = tree(&sshd);
    assert_eq!(upload(&sshd, &source, &remote, &Upload::default()).await.unwrap().files, 3);
    let again = upload(&sshd, &source, &remote, &Upload::default()).await.unwrap();
    assert_eq!((again.changed(), again.unchanged), (false, 3));
}

#[tokio::test]
async fn a_source_that_changes_meanwhile_is_refused_and_nothing_put_in_place() {
    let sshd = Sshd::start();
    let folder = sshd.folder.path();
    let (source, to) = (folder.join("source"), folder.join("there"));
    fs::write(&source, pattern(20_000_000)).unwrap();
    let touched = AtomicBool::new(false);
    let on_progress = |done: u64, _| {
        if done > 0 && !touched.swap(true, Ordering::Relaxed) {
            fs::OpenOptions::new().append(true).open(&source).unwrap().set_len(20_000_001).unwrap();
        }
    };
    let (ssh, options) = (sshd.ssh(), Upload::default());
    let result = ssh.upload(&sshd.target(), &source, to.to_str().unwrap(), &options, &on_progress).await;
    assert_eq!(result.unwrap_err().code(), Some("SourceChanged"));
    assert!(!to.exists() && temporaries(folder).is_empty());
}

#[tokio::test]
async fn a_folder_is_compared_with_the_manifest_and_changes_on_the_host_are_noticed() {
    let sshd = Sshd::start();
    let (source, remote) = tree(&sshd);
    let options = Upload { verify: Verify::Hash, sync: true, ..Upload::default() };
    assert_eq!(upload(&sshd, &source, &remote, &options).await.unwrap().files, 3);
    let place = manifest::place(remote.to_str().unwrap(), false);
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().dir;
    let state = home.join(place).join("state");
    assert!(state.is_file());
    assert_eq!(upload(&sshd, &source, &remote, &options).await.unwrap().unchanged, 3);

    // Of the same size, and with the same time.
    let victim = remote.join("a/two");
    let time = fs::metadata(&victim).unwrap().modified().unwrap();
    fs::write(&victim, "CONTENT OF a/two").unwrap();
    fs::File::options().write(true).open(&victim).unwrap().set_modified(time).unwrap();
    let third = upload(&sshd, &source, &remote, &options).await.unwrap();
    assert_eq!((third.files, third.unchanged), (1, 2));
    assert_eq!(fs::read(&victim).unwrap(), b"content of a/two");

    // A local change costs no look at contents on the host: only the manifest is compared.
    fs::write(source.join("one"), "new").unwrap();
    fs::set_permissions(source.join("a/two"), Permissions::from_mode(0o600)).unwrap();
    let fourth = upload(&sshd, &source, &remote, &options).await.unwrap();
    assert_eq!((fourth.files, fourth.modes, fourth.unchanged), (1, 1, 2), "{fourth:?}");
    assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o600);
    fs::remove_dir_all(state.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn what_vanished_goes_only_when_asked_and_only_if_it_was_ours() {
    let sshd = Sshd::start();
    let (source, remote) = tree(&sshd);
    upload(&sshd, &source, &remote, &Upload::default()).await.unwrap();
    fs::write(remote.join("a/theirs"), "stays").unwrap();
    fs::remove_dir_all(source.join("a")).unwrap();
    upload(&sshd, &source, &remote, &Upload::default()).await.unwrap();
    assert!(remote.join("a/b/three").exists());
    // A folder that became a link leads elsewhere.
    let outside = sshd.folder.path().join("outside");
    fs::rename(remote.join("a/b"), &outside).unwrap();
    symlink(&outside, remote.join("a/b")).unwrap();
    let options = Upload { delete: true, ..Upload::default() };
    let sent = upload(&sshd, &source, &remote, &options).await.unwrap();
    assert_eq!(sent.deleted, 1, "{sent:?}");
    assert!(!remote.join("a/two").exists());
    assert!(remote.join("a/theirs").exists() && outside.join("three").exists());
    assert!(!upload(&sshd, &source, &remote, &options).await.unwrap().changed());
}

#[tokio::test]
async fn no_link_below_the_destination_is_followed() {
    for further in ["", "Match all\nForceCommand internal-sftp"] {
        let sshd = Sshd::start_with(further);
        let (source, remote) = tree(&sshd);
        let outside = sshd.folder.path().join("outside");
        fs::create_dir_all(outside.join("b")).unwrap();
        fs::create_dir(&remote).unwrap();
        symlink(&outside, remote.join("a")).unwrap();
        let error = upload(&sshd, &source, &remote, &Upload::default()).await.unwrap_err();
        assert_eq!(error.code(), Some("InTheWay"), "{error}");
        assert!(!outside.join("two").exists() && temporaries(&remote).is_empty());
        // The destination itself may be one: it is what the user named.
        fs::remove_file(remote.join("a")).unwrap();
        let link = sshd.folder.path().join("link");
        symlink(&remote, &link).unwrap();
        upload(&sshd, &source, &link, &Upload::default()).await.unwrap();
        assert!(remote.join("a/two").exists());
    }
}

#[tokio::test]
async fn patterns_are_left_out() {
    let sshd = Sshd::start();
    let (source, remote) = tree(&sshd);
    fs::write(source.join(".spotignore"), "/a/*\n!/a/two\n").unwrap();
    fs::write(source.join("x.log"), "").unwrap();
    let what = Source::new(&source, vec!["*.log".into()]);
    assert_eq!(upload(&sshd, &what, &remote, &Upload::default()).await.unwrap().files, 2);
    assert!(remote.join("a/two").exists() && !remote.join("a/b").exists());
    assert!(!remote.join("x.log").exists() && !remote.join(".spotignore").exists());
}

#[tokio::test]
async fn a_place_that_nobody_may_write_to_is_named() {
    let sshd = Sshd::start();
    let (source, _) = tree(&sshd);
    for from in [source.join("one"), source] {
        // Not even root can make anything there.
        let error = upload(&sshd, &from, Path::new("/proc/1/x"), &Upload::default()).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Ssh);
        assert!(error.message().starts_with("cannot write /proc/1/x on "), "{error}");
    }
}

#[tokio::test]
async fn an_archive_is_built_once_for_all_hosts() {
    let sshd = Sshd::start();
    let (source, _) = tree(&sshd);
    let source = Source::from(&source);
    let to = |number: u32| sshd.folder.path().join(format!("to/{number}"));
    let (ssh, target, options) = (sshd.ssh(), sshd.target(), Upload::default());
    for number in 0..4 {
        let to = to(number);
        ssh.upload(&target, &source, to.to_str().unwrap(), &options, &quiet).await.unwrap();
        // The source is read once: what changes later goes with the next upload.
        fs::write(source.root().join("one"), "later").unwrap();
        assert_eq!(fs::read(to.join("one")).unwrap(), b"content of one");
    }
    tokio::time::timeout(Duration::from_secs(30), ssh.close()).await.unwrap();
}
