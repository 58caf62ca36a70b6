//! The folder of a host, and what it holds before the host first boots.
//!
//! ```text
//! FOLDER/             0700, ours
//!   host_key          the SSH host key
//!   user-data.done    the user data has been run
//!   machine/          where isolate.sh starts
//!     rootfs/         the host's files, its own
//!     local/          its /usr/local, its own
//!     runtime/        our scripts and metadata, read-only inside: /run/sandbox
//! ```

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use super::faults::CommandFault;
use super::host::Account;
use super::isolation::Identity;
use super::metadata;
use super::spec::HostSpec;
use crate::error::{Error, Result};

/// Stand-ins for commands that would need the network, a service manager or real users, with the
/// further names under which each is found.
const COMMANDS: [(&str, &str, &[&str]); 12] = [
    ("sudo", include_str!("guest/commands/sudo"), &[]),
    ("whoami", include_str!("guest/commands/whoami"), &[]),
    ("id", include_str!("guest/commands/id"), &[]),
    ("chown", include_str!("guest/commands/chown"), &["chgrp"]),
    (
        "useradd",
        include_str!("guest/commands/useradd"),
        &["adduser", "groupadd", "addgroup", "usermod", "gpasswd", "userdel"],
    ),
    ("systemctl", include_str!("guest/commands/systemctl"), &["service"]),
    ("shutdown", include_str!("guest/commands/shutdown"), &["poweroff", "halt"]),
    ("apt-get", include_str!("guest/commands/apt-get"), &["apt"]),
    ("docker", include_str!("guest/commands/docker"), &["docker-compose"]),
    ("journalctl", include_str!("guest/commands/journalctl"), &[]),
    ("snap", include_str!("guest/commands/snap"), &[]),
    ("cloud-init", include_str!("guest/commands/cloud-init"), &[]),
];

/// What `runtime` holds.
const RUNTIME: [(&str, &str); 11] = [
    ("isolate.sh", include_str!("guest/isolate.sh")),
    ("init.sh", include_str!("guest/init.sh")),
    ("session.sh", include_str!("guest/session.sh")),
    ("metadata.pl", include_str!("guest/metadata.pl")),
    ("disk.sh", include_str!("guest/disk.sh")),
    ("stand-in.sh", include_str!("guest/stand-in.sh")),
    ("real.sh", include_str!("guest/real.sh")),
    ("unit.sh", include_str!("guest/unit.sh")),
    ("limits.sh", include_str!("guest/limits.sh")),
    ("terminal.sh", include_str!("guest/terminal.sh")),
    ("empty", ""),
];

/// Folders of a new host beside those that set-up makes anyway.
const FOLDERS: [(&str, u32); 22] = [
    ("etc/ssh", 0o755),
    ("etc/ssl", 0o755),
    ("etc/systemd/system", 0o755),
    ("etc/apt/sources.list.d", 0o755),
    ("etc/cron.d", 0o755),
    ("etc/profile.d", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run/lock", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("var/cache", 0o755),
    ("var/lib/cloud/data", 0o755),
    ("var/lib/cloud/instance/scripts", 0o755),
    ("var/lib/sandbox", 0o755),
    ("var/log", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
];

const OS_RELEASE: &str = r#"PRETTY_NAME="Ubuntu 24.04 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"#;

const LSB_RELEASE: &str = r#"DISTRIB_ID=Ubuntu
DISTRIB_RELEASE=24.04
DISTRIB_CODENAME=noble
DISTRIB_DESCRIPTION="Ubuntu 24.04 LTS"
"#;

const PROFILE: &str = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for script in /etc/profile.d/*.sh; do [ ! -r \"$script\" ] || . \"$script\"; done
unset script
";

const BASHRC: &str = r"case $- in *i*) ;; *) return ;; esac
PS1='\u@\h:\w\$ '
";

const BASH_PROFILE: &str = r#"[ ! -f "$HOME/.bashrc" ] || [ -z "$BASH_VERSION" ] || . "$HOME/.bashrc"
"#;

/// The folder of one host.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// The layout in a folder, which need not exist.
    pub(super) fn new(folder: &Path) -> Layout {
        Layout { folder: folder.to_path_buf() }
    }

    /// The file with the SSH host key.
    pub(super) fn host_key(&self) -> PathBuf {
        self.folder.join("host_key")
    }

    /// The file whose existence says that the user data has been run.
    pub(super) fn user_data_mark(&self) -> PathBuf {
        self.folder.join("user-data.done")
    }

    /// Where the set-up script starts.
    pub(super) fn machine(&self) -> PathBuf {
        self.folder.join("machine")
    }

    /// The host's files, without what is mounted over them while it runs.
    pub(super) fn rootfs(&self) -> PathBuf {
        self.machine().join("rootfs")
    }

    /// The host's `/usr/local`.
    pub(super) fn local(&self) -> PathBuf {
        self.machine().join("local")
    }

    /// Sets what `limits.sh` reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn tell_limits(&self, text: &str) -> std::io::Result<()> {
        file(&self.machine().join("runtime/limits"), text, 0o644)
    }

    /// Writes down which commands fail, where `stand-in.sh` looks: a file per fault in a folder per command,
    /// with status, times, mark and pattern in a line each, and after them what is said.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub(super) fn tell_command_faults(&self, faults: &[CommandFault]) -> std::io::Result<()> {
        let folder_of_all = self.machine().join("runtime/faults");
        match fs::remove_dir_all(&folder_of_all) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The mark tells what is counted now from what was counted before.
        let mark = jiff::Timestamp::now().as_nanosecond();
        for (number, fault) in faults.iter().enumerate() {
            let folder = folder_of_all.join(&fault.command);
            fs::create_dir_all(&folder)?;
            let times = fault.times.map(|times| times.to_string()).unwrap_or_default();
            let pattern = fault.arguments.as_deref().unwrap_or("*");
            let text = format!("{}\n{times}\n{mark}-{number}\n{pattern}\n{}", fault.status, fault.stderr);
            file(&folder.join(format!("{number:04}")), &text, 0o644)?;
        }
        Ok(())
    }

    /// Sets what the host's metadata service tells at a path below `latest/meta-data`; none removes it.
    ///
    /// # Errors
    /// When the path is not made of plain names, or the file cannot be written.
    pub(super) fn tell(&self, path: &str, text: Option<&str>) -> std::io::Result<()> {
        if !metadata::is_plain(path) {
            return Err(std::io::Error::new(
                ErrorKind::InvalidInput,
                format!("`{path}` is not a plain path"),
            ));
        }
        let path = metadata::file(&self.machine().join("runtime"), path);
        match text {
            Some(text) => {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
                file(&path, text, 0o644)
            }
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Makes the folder, and the host's files if it is new; existing files of the host stay untouched.
    /// `accounts` are those that may log in, the first of them the host's main account.
    ///
    /// # Errors
    /// When something cannot be written.
    pub(super) fn prepare(&self, spec: &HostSpec, accounts: &[Account], identity: Identity) -> Result<()> {
        self.try_prepare(spec, accounts, identity).map_err(|error| {
            let folder = self.folder.display();
            Error::config(format!("cannot prepare the files of {} in {folder}: {error}", spec.id))
                .with_source(error)
        })
    }

    fn try_prepare(&self, spec: &HostSpec, accounts: &[Account], identity: Identity) -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))?;
        let runtime = self.machine().join("runtime");
        folder(&self.machine(), 0o755)?;
        folder(&runtime, 0o755)?;
        for (name, text) in RUNTIME {
            file(&runtime.join(name), text, 0o755)?;
        }
        folder(&runtime.join("disk"), 0o755)?;
        self.tell_limits(&spec.limits.for_shell())?;
        metadata::forget(&runtime)?;
        for (path, content) in metadata::of(spec) {
            let path = runtime.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&runtime))?;
            file(&path, &content, 0o644)?;
        }
        if self.rootfs().exists() {
            return Ok(());
        }
        // The rootfs appears complete or not at all: a crash in between starts over.
        let (local, files) = (self.machine().join("local"), self.machine().join("rootfs.new"));
        for unfinished in [&local, &files] {
            match fs::remove_dir_all(unfinished) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => folder(unfinished, 0o755)?,
            }
        }
        write_local(&local)?;
        write_files(&files, spec, accounts)?;
        if let Some((user, group)) = identity.owner() {
            give(&local, user.as_raw(), group.as_raw())?;
            give(&files, user.as_raw(), group.as_raw())?;
        }
        fs::rename(&files, self.rootfs())
    }
}

/// `/usr/local` of a new host: the stand-ins.
fn write_local(local: &Path) -> std::io::Result<()> {
    for name in ["bin", "etc", "include", "lib", "sbin", "share", "src"] {
        folder(&local.join(name), 0o755)?;
    }
    for (name, text, others) in COMMANDS {
        file(&local.join("bin").join(name), text, 0o755)?;
        for other in others {
            symlink(name, local.join("bin").join(other))?;
        }
    }
    Ok(())
}

/// The root of a new host.
fn write_files(root: &Path, spec: &HostSpec, accounts: &[Account]) -> std::io::Result<()> {
    for (path, mode) in FOLDERS {
        fs::create_dir_all(root.join(path))?;
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode))?;
    }
    symlink("/run", root.join("var/run"))?;
    symlink("/proc/self/mounts", root.join("etc/mtab"))?;
    symlink("../usr/share/zoneinfo/Etc/UTC", root.join("etc/localtime"))?;

    // One number is mapped, so all accounts share it; its first name is the one `ls -l` shows.
    let mut passwd = String::new();
    let mut group = String::new();
    for Account { name, .. } in accounts.iter().filter(|account| account.name != "root") {
        passwd += &format!("{name}:x:0:0::/home/{name}:/bin/bash\n");
        group += &format!("{name}:x:0:\n");
    }
    passwd += "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n";
    passwd += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    group +=
        "root:x:0:\nadm:x:4:\nsudo:x:27:\nwww-data:x:33:\nusers:x:100:\ndocker:x:999:\nnogroup:x:65534:\n";

    let name = spec.hostname();
    let etc = root.join("etc");
    let hosts =
        format!("127.0.0.1 localhost\n::1 ip6-localhost\n127.0.1.1 {name}\n{} {name}\n", spec.private_ip);
    for (path, text) in [
        ("passwd", passwd.as_str()),
        ("group", &group),
        ("hostname", &format!("{name}\n")),
        ("hosts", &hosts),
        ("os-release", OS_RELEASE),
        ("lsb-release", LSB_RELEASE),
        ("resolv.conf", "nameserver 127.0.0.53\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ("profile", PROFILE),
        ("bash.bashrc", BASHRC),
        ("environment", ""),
        ("shells", "/bin/sh\n/bin/bash\n"),
        ("timezone", "Etc/UTC\n"),
    ] {
        file(&etc.join(path), text, 0o644)?;
    }
    write_home(&root.join("root"))?;
    for account in accounts {
        let home = root.join(account.home().trim_start_matches('/'));
        write_home(&home)?;
        let mut keys = account.authorized_keys.join("\n");
        keys.push('\n');
        file(&home.join(".ssh/authorized_keys"), &keys, 0o600)?;
    }
    if spec.user_data.as_ref().is_none_or(Vec::is_empty) {
        file(&root.join("var/lib/cloud/instance/boot-finished"), "", 0o644)?;
    }

    // What a script inside may want to know about its instance.
    let instance = serde_json::json!({
        "v1": {
            "cloud_name": "aws", "instance_id": spec.id, "region": spec.region, "availability_zone": spec.zone,
            "local_hostname": name, "platform": "ec2", "distro": "ubuntu", "distro_version": "24.04",
        },
        "ds": { "meta_data": {
            "ami_id": spec.image_id, "instance_type": spec.instance_type, "local_ipv4": spec.private_ip,
        } },
    });
    file(&root.join("var/lib/cloud/data/instance-data.json"), format!("{instance:#}\n"), 0o644)?;
    file(&root.join("var/lib/cloud/data/instance-id"), format!("{}\n", spec.id), 0o644)
}

fn write_home(home: &Path) -> std::io::Result<()> {
    fs::create_dir_all(home)?;
    folder(&home.join(".ssh"), 0o700)?;
    file(&home.join(".bashrc"), BASHRC, 0o644)?;
    file(&home.join(".profile"), BASH_PROFILE, 0o644)
}

fn folder(path: &Path, mode: u32) -> std::io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
    }
}

/// Writes a file through a temporary one, so that a reader never sees half of it.
fn file(path: &Path, content: impl AsRef<[u8]>, mode: u32) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content.as_ref())?;
    fs::rename(&temporary, path)
}

/// Gives a tree that nobody else has touched yet to its owner.
fn give(path: &Path, user: u32, group: u32) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    lchown(path, Some(user), Some(group))
}
