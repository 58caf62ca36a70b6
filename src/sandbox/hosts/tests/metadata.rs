//! The metadata service, asked by clients that were not written here.

use super::*;

/// Asks with the client of botocore, through a forwarded port.
const BOTOCORE: &str = "
import os
from botocore.utils import IMDSFetcher, InstanceMetadataFetcher, InstanceMetadataRegionFetcher
where = dict(timeout=20, num_attempts=2, base_url=os.environ['ENDPOINT'])
region = InstanceMetadataRegionFetcher(**where)
print(region.retrieve_region())
fetcher = IMDSFetcher(**where)
token = fetcher._fetch_metadata_token()
get = lambda path: fetcher._get_request(path, None, token).text
print(get('latest/meta-data/instance-id'), get('latest/dynamic/instance-identity/document').count('us-west-2'))
print(InstanceMetadataFetcher(**where).retrieve_iam_role_credentials())
";

#[test]
fn botocore_reads_what_a_host_is() {
    let stage = Stage::up(|_| {});
    stage.out("true");
    let (address, port) = free_address();
    let forward = format!("{address}:{port}:127.169.254.169:1338");
    let mut ssh = stage.client("ssh").args(["-N", "-L", &forward, &stage.target()]).spawn().unwrap();
    until("the forward is up", || TcpStream::connect((address, port)).is_ok());
    let output = Command::new("python3")
        .args(["-c", BOTOCORE])
        .env("ENDPOINT", format!("http://{address}:{port}/"))
        .env("AWS_CONFIG_FILE", "/dev/null")
        .output()
        .unwrap();
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "us-west-2\ni-0123456789abcdef0 2\n{}\n", "{output:?}");
}

#[test]
fn curl_reads_what_a_host_is() {
    let data = b"#!/bin/sh\necho ready >/root/ready\n";
    let stage = Stage::up(|spec| {
        spec.user_data = Some(data.to_vec());
        spec.metadata_tags = Some(vec![("Name".into(), "web 1".into()), ("../x".into(), "no".into())]);
    });
    if !stage.ssh("command -v curl").status.success() {
        return;
    }
    const TOKEN: &str = "e=$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest; h=X-aws-ec2-metadata-token
        t=$(curl -sf -X PUT -H $h-ttl-seconds:60 $e/api/token) || exit 9; get() { curl -s -H $h:$t $e/$1; }\n";
    let said = |script: &str| stage.out(&format!("{TOKEN}{script}"));
    assert_eq!(said("curl -s -o /dev/null -w '%{http_code}' $e/meta-data/instance-id"), "401");
    assert_eq!(
        said("curl -si -X PUT -H $h-ttl-seconds:60 $e/api/token | tr -d '\\r' | grep -i ttl"),
        "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60"
    );
    assert_eq!(said("get user-data"), String::from_utf8_lossy(data).trim_end());
    assert_eq!(said("get meta-data/tags/instance/; echo; get meta-data/tags/instance/Name"), "Name\nweb 1");
    assert_eq!(
        said("get meta-data/public-keys/; echo; get meta-data/public-keys/0/openssh-key"),
        format!("0=key-0\n{}", stage.spec.authorized_keys[0])
    );
    assert_eq!(said("curl -s -H $h:$t ${e%latest}2021-07-15/meta-data/placement/region"), "us-west-2");
    assert_eq!(
        said("get meta-data/ | tr '\\n' ' ' | grep -o 'instance-id\\|placement/'"),
        "instance-id\nplacement/"
    );
    let old = Stage::up(|spec| spec.metadata_v1 = true);
    assert_eq!(
        old.out("curl -sf $AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/meta-data/instance-id"),
        "i-0123456789abcdef0"
    );
    assert_eq!(old.out("curl -s -o /dev/null -w '%{http_code}' -H X-aws-ec2-metadata-token:x $AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/meta-data/"), "401");
}
