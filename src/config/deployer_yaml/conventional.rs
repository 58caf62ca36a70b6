//! The `deployment` folder of Spot Deployer: what it means by the names of what is in it.

use std::path::{Path, PathBuf};

use crate::config::checks::deploy::DEFAULT_DESTINATION;
use crate::config::convention;
use crate::config::place::Place;
use crate::config::report::Report;
use crate::config::settings::{Deploy, FileTransfer};

/// The folder by its name in the project.
const NAME: &str = "deployment";
/// Files that say which packages are needed.
const MARKERS: &[(&str, &[&str])] = &[
    ("requirements.txt", &["python3", "python3-pip"]),
    ("package.json", &["nodejs", "npm"]),
    ("Gemfile", &["ruby", "bundler"]),
    ("go.mod", &["golang"]),
    ("Cargo.toml", &["cargo"]),
    ("docker-compose.yml", &["docker.io", "docker-compose"]),
    ("docker-compose.yaml", &["docker.io", "docker-compose"]),
];
/// Folders with a place of their own on the instances, and the mode of their files.
const FOLDERS: [(&str, &str, u32); 2] = [("configs", "/opt/configs", 0o644), ("files", "/opt/files", 0o644)];
/// What Spot Deployer promised to run, and never did.
const NEVER_RUN: [&str; 3] = ["install.sh", "start.sh", "scripts"];

/// The folder, in a project that is deployed by it.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder, if it is what is uploaded.
    pub(super) fn find(place: &Place, files: &[FileTransfer]) -> Option<Self> {
        let folder = place.resolve(NAME);
        files.iter().any(|file| file.source == folder).then_some(Folder(folder))
    }

    /// What the names in the folder add.
    pub(super) fn complete(&self, report: &Report, place: &Place, mut deploy: Deploy) -> Deploy {
        for transfer in deploy.files.iter_mut().filter(|transfer| transfer.source == self.0) {
            transfer.exclude = vec!["/secrets/".to_owned(), "/.env".to_owned()];
        }
        for (name, destination, mode) in FOLDERS {
            self.add(&mut deploy, name, destination, Some(mode));
        }
        self.add(&mut deploy, ".env", &format!("{DEFAULT_DESTINATION}/.env"), Some(0o600));
        deploy.secrets = convention::secrets(report, place, &format!("{NAME}/secrets"));
        for (marker, packages) in MARKERS.iter().filter(|(marker, _)| self.has(marker)) {
            let new = packages.iter().filter(|name| !deploy.packages.iter().any(|known| known == *name));
            let new: Vec<String> = new.map(|name| (*name).to_owned()).collect();
            report.file_warning(format!("{NAME}/{marker}: {} will be installed", new.join(", ")), None);
            deploy.packages.extend(new);
        }
        deploy.packages.extend(convention::packages(report, place, &format!("{NAME}/packages.txt")));
        for folder in ["services", "systemd", "."] {
            deploy.services.extend(convention::services(report, place, &format!("{NAME}/{folder}")));
        }
        for service in &deploy.services {
            let message = format!(
                "{} was never installed by Spot Deployer; here it is installed, enabled and started",
                place.shown(&service.file).display()
            );
            report.file_warning(message, Some("move it out of the folder if that is not wanted".to_owned()));
        }
        for name in NEVER_RUN.iter().filter(|name| self.has(name)) {
            let message = format!("{NAME}/{name} never ran in Spot Deployer, and does not run here");
            report.file_warning(message, Some(format!("call it from {NAME}/setup.sh")));
        }
        deploy
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    fn add(&self, deploy: &mut Deploy, name: &str, destination: &str, mode: Option<u32>) {
        let source: &Path = &self.0.join(name);
        if source.exists() {
            deploy.files.push(FileTransfer {
                source: source.to_path_buf(),
                destination: destination.to_owned(),
                mode,
                sudo: true,
                owner: None,
                template: false,
                exclude: Vec::new(),
            });
        }
    }
}
