//! The `spot.toml` that `spot setup` writes.

use super::checks::project;

/// A commented `spot.toml` for a project of this name, which says the same as no file at all.
///
/// A name that cannot be used as it is (spaces, other scripts) is made usable.
pub fn template(name: &str) -> String {
    TEMPLATE.replace("{{name}}", &project::usable_name(name))
}

pub(super) const TEMPLATE: &str = r#"# What `spot create` launches, and how. Every key has a default: a line
# that starts with `#` shows it, or an example. Paths start in this folder.

[project]
name = "{{name}}"          # in the names and tags of everything that spot makes
# deployment = "staging"               # what commands work on without --deployment; see `spot state deployments`
# state = "s3://my-bucket/{{name}}"      # shared with a team; otherwise the state is in this folder alone
# state_kms_key = "alias/my-key"       # encrypts the shared state; otherwise as the bucket does by default

[fleet]
count = 3                              # instances in all regions together
regions = ["us-west-2", "us-east-1"]   # spread evenly over these
types = ["t3.medium", "t3a.medium"]    # any of these will do
# image = "auto"                       # the newest Ubuntu, an "ami-…", or a name pattern
# market = "spot"                      # or "on-demand"
# max_price = 0.05                     # USD per instance and hour; default: the on-demand price
# max_hourly = 0.50                    # USD per hour for all of them; more is not launched
# ttl = "6h"                           # instances shut themselves down after so long; default: never
# on_failure = "keep"                  # or "rollback": what a failed run made is removed again; "ask"
# on_demand_fallback = false           # true: on-demand for what no spot pool gives
# disk_gb = 50
# user = "ubuntu"
# public_ip = true

# What differs in one region:
# [fleet.region.us-east-1]
# types = ["t3.large"]
# count = 1

[network]
# dedicated = false                    # true: a VPC for this project alone, removed by `spot destroy`
# ssh_from = ["auto"]                  # who may connect: your own address, or blocks like "203.0.113.0/24"
# ports = []                           # further TCP ports to open to them, like 8080 or "9000-9100"

[ssh]
# private_key = "~/.ssh/id_ed25519"    # default: the project gets a key of its own in .spot/
# port = 22
# address = "public"                   # or "private", from inside the VPC
# first_contact = "console"            # or "confirmed": nothing is sent before a host's key is seen on its console
# connect_timeout = 10                 # seconds for one attempt
# wait_timeout = 300                   # seconds until a new instance must let us in

[deploy]
# files = "deploy/files"               # goes to /opt/deployment; or a list:
# files = [{ source = "deploy/files", destination = "/opt/app", mode = "0755" }]
# setup = "deploy/setup.sh"            # runs on each instance after the upload
# setup_timeout = 1800                 # seconds

# Variables for the setup script. Keep secrets out of this file.
# [deploy.environment]
# STAGE = "test"

[tags]
# team = "research"                    # on everything that spot makes
"#;
