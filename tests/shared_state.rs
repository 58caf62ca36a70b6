//! One state for a team: folders as of several machines, with one bucket between them. The bucket is moto's,
//! whose conditional writes nobody here wrote, or the sandbox's, which checks how requests are signed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use spot::sandbox::{Options, Sandbox};

use crate::moto::{Peer, free_port, start_sshd};
use crate::spot::{Finished, Spot, ended, eventually};

const BUCKET: &str = "team-bucket";
const REGION: &str = "us-west-2";

/// Connections to a server, which can all be cut.
struct Gate {
    port: u16,
    open: Arc<Mutex<Passage>>,
}

struct Passage {
    open: bool,
    connections: Vec<TcpStream>,
}

impl Gate {
    /// An open gate before the server at a port.
    fn before(server: u16) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Passage { open: true, connections: Vec::new() }));
        let passage = Arc::clone(&open);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut passage = passage.lock().unwrap();
                if !passage.open {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (client_end, server_end) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                passage.connections.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                std::thread::spawn(move || forward(client, server));
                std::thread::spawn(move || forward(server_end, client_end));
            }
        });
        Gate { port, open }
    }

    fn close(&self) {
        let mut passage = self.open.lock().unwrap();
        passage.open = false;
        for connection in passage.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn reopen(&self) {
        self.open.lock().unwrap().open = true;
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Read), to.shutdown(Shutdown::Write));
}

/// What the machines of a team have in common: an account at moto, hosts, and a bucket behind a gate.
struct Team {
    _moto: Peer,
    _sshd: Peer,
    common: Spot,
    gate: Gate,
    moto: u16,
    ssh: u16,
}

impl Team {
    fn new() -> Team {
        let common = Spot::new();
        let keygen = ["-q", "-t", "ed25519", "-N", "", "-f", "key"];
        let made = Command::new("ssh-keygen").args(keygen).current_dir(common.folder()).status().unwrap();
        assert!(made.success());
        std::fs::create_dir(common.folder().join("sshd")).unwrap();
        let (sshd, ssh) = start_sshd(&common.folder().join("sshd"), &common.read("key.pub"));
        let moto = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/moto_in_turn.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(moto.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        let server =
            Peer::of(command.spawn().expect("python3 with moto is missing: pip install 'moto[server,ec2]'"));
        eventually("moto answers", 60, || TcpStream::connect(("127.0.0.1", moto)).is_ok());
        let team = Team { _moto: server, _sshd: sshd, common, gate: Gate::before(moto), moto, ssh };
        team.does(&format!(
            "s3.create_bucket(Bucket='{BUCKET}', CreateBucketConfiguration=dict(LocationConstraint='{REGION}'))"
        ));
        team
    }

    /// The folder of one of its members, on a machine of their own.
    fn member(&self) -> Spot {
        let spot = Spot::new()
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.moto))
            .env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", self.gate.port))
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_REGION", REGION);
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
        let keys = self.common.folder().display();
        spot.write(
            "spot.toml",
            &format!(
                "state = \"s3://{BUCKET}/team/web\"\nstate_kms_key = \"alias/team\"\n\
                 [fleet]\ncount = 2\nregions = [\"{REGION}\"]\ntypes = [\"t3.micro\"]\nuser = \"{user}\"\n\
                 [network]\ndedicated = true\n\
                 [ssh]\nprivate_key = \"{keys}/key\"\npublic_key = \"{keys}/key.pub\"\nport = {}\naddress = \"127.0.0.1\"\n",
                self.ssh
            ),
        );
        spot
    }

    /// Runs Python with `s3` and `ec2`, and returns what it prints.
    #[track_caller]
    fn does(&self, code: &str) -> String {
        let program = format!(
            "import boto3\ndef client(name):\n  return boto3.client(name, region_name='{REGION}', \
             endpoint_url='http://127.0.0.1:{}', aws_access_key_id='testing', aws_secret_access_key='testing')\n\
             s3, ec2 = client('s3'), client('ec2')\n{code}",
            self.moto
        );
        let done = Command::new("python3").args(["-c", &program]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// The shared object; null if there is none.
    fn object(&self) -> Value {
        let code = format!(
            "held = s3.list_objects_v2(Bucket='{BUCKET}').get('Contents', [])\n\
             print(s3.get_object(Bucket='{BUCKET}', Key='team/web/default.json')['Body'].read().decode() if held else 'null')"
        );
        serde_json::from_str(&self.does(&code)).unwrap()
    }

    /// The instances that moto has and that are not terminated, sorted.
    fn running(&self) -> Vec<String> {
        let listed = self.does(
            "found = [i for r in ec2.describe_instances()['Reservations'] for i in r['Instances']]\n\
             print(' '.join(sorted(i['InstanceId'] for i in found if i['State']['Name'] != 'terminated')))",
        );
        listed.split_whitespace().map(str::to_owned).collect()
    }

    /// Asserts that nothing is left that spot made.
    #[track_caller]
    fn is_clean(&self) {
        assert!(self.running().is_empty());
        // Moto remembers the tags of what was deleted: what counts is what it still lists.
        let tagged = "\
kinds = dict(vpcs='Vpcs', subnets='Subnets', security_groups='SecurityGroups', route_tables='RouteTables',
             internet_gateways='InternetGateways', key_pairs='KeyPairs', launch_templates='LaunchTemplates',
             volumes='Volumes', network_interfaces='NetworkInterfaces')
mine = lambda item: any(t['Key'] == 'ManagedBy' for t in item.get('Tags', item.get('TagSet', [])))
print([item for kind, name in kinds.items()
       for item in getattr(ec2, 'describe_' + kind)()[name] if mine(item)])";
        assert_eq!(self.does(tagged), "[]");
    }
}

/// The ids of a document's instances, sorted.
fn ids(document: &Value) -> Vec<String> {
    let rows = document["instances"].as_array().into_iter().flatten();
    let mut ids: Vec<String> = rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// What a member's folder and the others know together.
#[track_caller]
fn seen(spot: &Spot) -> Vec<String> {
    let exported = spot.run(&["state", "export"]).expect(0);
    ids(&serde_json::from_str(&exported.stdout).unwrap_or_else(|error| panic!("{error}: {}", exported.all())))
}

fn finish(child: Child) -> Finished {
    let output = ended(child);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn start(spot: &Spot, arguments: &[&str]) -> Child {
    spot.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn what_one_member_made_another_sees_adds_to_and_destroys() {
    let team = Team::new();
    let (ann, bob) = (team.member(), team.member());
    ann.run(&["create"]).expect(0);
    let two = team.running();
    assert_eq!((two.len(), ids(&team.object()), seen(&bob)), (2, two.clone(), two.clone()));
    let listed = bob.run(&["list"]).expect(0);
    assert!(listed.stdout.contains("2 instances, 2 running"), "{}", listed.all());
    // Looking leaves nothing behind.
    assert!(!bob.folder().join("instances.json").exists());

    // Nobody else can read it: no list says so, and it is encrypted with the key that was asked for.
    let key = "Key='team/web/default.json'";
    let grants = team.does(&format!(
        "print([g['Permission'] for g in s3.get_object_acl(Bucket='{BUCKET}', {key})['Grants']])"
    ));
    assert_eq!(grants, "['FULL_CONTROL']");
    let encryption = team.does(&format!(
        "head = s3.head_object(Bucket='{BUCKET}', {key})\nprint(head['ServerSideEncryption'], head['SSEKMSKeyId'])"
    ));
    assert_eq!(encryption, "aws:kms alias/team");

    // Bob's fleet of three is the team's: one is missing.
    bob.run(&["create", "--count", "3"]).expect(0);
    let three = team.running();
    assert_eq!((three.len(), seen(&ann), ids(&team.object())), (3, three.clone(), three));
    // A machine that has just come, or lost all that it had, knows them too.
    std::fs::remove_dir_all(ann.folder().join(".spot")).unwrap();
    std::fs::remove_file(ann.folder().join("instances.json")).unwrap();
    ann.run(&["destroy", "--yes"]).expect(0);
    team.is_clean();
    assert!(seen(&bob).is_empty() && ids(&team.object()).is_empty());
    let nothing = bob.run(&["list"]).expect(0);
    assert!(!nothing.stdout.contains("i-"), "{}", nothing.all());
    assert_eq!(team.object()["runs"], serde_json::json!({}));
}

#[test]
fn deployments_of_a_team_are_objects_of_their_own() {
    let team = Team::new();
    let (ann, bob) = (team.member(), team.member());
    ann.run(&["create", "--deployment", "blue", "--count", "1"]).expect(0);
    let known = bob.run(&["state", "deployments"]).expect(0);
    assert!(known.stdout.contains("blue"), "{}", known.all());
    bob.run(&["destroy", "--deployment", "blue", "--yes"]).expect(0);
    team.is_clean();
}

#[test]
fn two_members_who_create_at_once_lose_nothing() {
    let team = Team::new();
    let (ann, bob) = (team.member(), team.member());
    let at_work = [start(&ann, &["create", "--count", "3"]), start(&bob, &["create", "--count", "2"])];
    for done in at_work.map(finish) {
        done.expect(0);
    }
    let running = team.running();
    // Who came first may have been seen by the other, whose fleet is then complete.
    assert!((3..=5).contains(&running.len()), "{running:?}");
    assert_eq!((ids(&team.object()), seen(&ann), seen(&bob)), (running.clone(), running.clone(), running));
    bob.run(&["destroy", "--yes"]).expect(0);
    team.is_clean();
    assert!(seen(&ann).is_empty());
    ann.run(&["state", "reconcile"]).expect(0);
}

#[test]
fn an_outage_in_the_middle_of_a_create_is_bridged_and_caught_up_with() {
    let team = Team::new();
    let (ann, bob) = (team.member(), team.member());
    let create = start(&ann, &["create"]);
    eventually("ann has agreed with the others", 60, || ann.folder().join(".spot/shared.json").exists());
    team.gate.close();
    let done = finish(create).expect(0);
    assert!(done.stderr.contains("the next command brings it up"), "{}", done.all());
    let running = team.running();
    assert_eq!(running.len(), 2);
    assert!(ids(&team.object()).len() < 2, "the outage came too late");

    // During the outage: Ann goes on with what she knows, Bob is not to begin another project.
    assert_eq!(seen(&ann), running);
    let refused = bob.run(&["create"]).expect(1);
    assert!(refused.stderr.contains("this folder has never seen its shared state"), "{}", refused.all());
    let listed = bob.run(&["list"]).expect(0);
    assert!(listed.stderr.contains("the shared state cannot be reached"), "{}", listed.all());

    team.gate.reopen();
    // Whatever changes something brings it up; here nothing is to be changed.
    ann.run(&["create"]).expect(0);
    assert_eq!(
        (team.running(), ids(&team.object()), seen(&bob)),
        (running.clone(), running.clone(), running)
    );
    bob.run(&["destroy", "--yes"]).expect(0);
    team.is_clean();
    assert!(seen(&ann).is_empty());
}

/// A machine that died in the middle of a launch: the others know of its call.
#[test]
fn a_call_of_a_machine_that_died_is_known_to_the_others() {
    let team = Team::new();
    let (ann, bob) = (team.member(), team.member());
    let mut create = start(&ann, &["create", "--count", "4"]);
    eventually("ann's run is known", 60, || ann.folder().join(".spot/shared.json").exists());
    create.kill().unwrap();
    create.wait().unwrap();
    // By its tags, what she launched is found; her run is told of until it counts as ended.
    bob.run(&["destroy", "--yes"]).expect(0);
    ann.run(&["destroy", "--yes"]).expect(0);
    team.is_clean();
    assert!(seen(&bob).is_empty());
}

#[test]
fn what_cannot_be_used_is_told() {
    let team = Team::new();
    let ann = team.member();
    let text = ann.read("spot.toml");
    ann.write("spot.toml", &text.replace(BUCKET, "nobodys-bucket"));
    let missing = ann.run(&["create"]).expect(1);
    assert!(missing.stderr.contains("aws s3 mb s3://nobodys-bucket"), "{}", missing.all());
    ann.write("spot.toml", &text.replace("s3://", "gs://"));
    let wrong = ann.run(&["list"]).expect(2);
    assert!(wrong.stderr.contains("expected \"s3://BUCKET/PREFIX\""), "{}", wrong.all());
    assert!(team.running().is_empty());
    team.does(&format!("s3.put_object(Bucket='{BUCKET}', Key='team/web/default.json', Body=b'{{\"version\": 99, \"instances\": []}}')"));
    ann.write("spot.toml", &text);
    for command in [["create"].as_slice(), &["list"], &["destroy", "--yes"]] {
        let newer = ann.run(command).expect(1);
        assert!(newer.stderr.contains("written by a newer spot (version 99"), "{}", newer.all());
    }
    assert_eq!(team.object()["version"], 99);
}

/// The sandbox has a bucket too, and refuses what is not signed as it should be.
#[test]
fn the_sandbox_shares_a_state_too() {
    let spot = Spot::new();
    spot.write(
        "spot.toml",
        "[project]\nstate = \"s3://team-bucket/web\"\n[fleet]\ncount = 2\nregions = [\"us-west-2\"]\n[network]\ndedicated = true\n",
    );
    let sandbox = Sandbox::start_with(spot.folder(), Options { shared: true, ..Options::default() }).unwrap();
    spot.sandbox(&["create"]).expect(0);
    let made = spot.instances(".spot/sandbox");
    assert_eq!(made.len(), 2);

    let access = sandbox.access();
    let other = Spot::new()
        .env("AWS_ENDPOINT_URL", access.url.clone())
        .env("AWS_ACCESS_KEY_ID", access.access_key.clone())
        .env("AWS_SECRET_ACCESS_KEY", access.secret_key.clone())
        .env("AWS_REGION", REGION);
    other.write("spot.toml", &spot.read("spot.toml"));
    assert_eq!(seen(&other).len(), 2);
    other.run(&["destroy", "--yes"]).expect(0);
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(!listed.stdout.contains("i-"), "{}", listed.all());
    let left = spot.sandbox(&["nuke", "--yes"]).expect(0);
    assert!(left.stderr.contains("has nothing that spot made"), "{}", left.all());
}
