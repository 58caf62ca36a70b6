//! Security groups that somebody else interferes with.

use super::*;

/// A default VPC with one subnet; security groups as `answer` says.
fn default_vpc(action: &str) -> Reply {
    match action {
        "DescribeVpcs" => Reply::Ok("<vpcSet><item><vpcId>vpc-1</vpcId><isDefault>true</isDefault></item></vpcSet>".to_owned()),
        "DescribeSubnets" => Reply::Ok("<subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><availabilityZone>a</availabilityZone></item></subnetSet>".to_owned()),
        _ => Reply::Ok("<return>true</return>".to_owned()),
    }
}

fn group_xml(project: &str) -> String {
    format!(
        "<securityGroupInfo><item><groupId>sg-1</groupId><groupName>spot-web</groupName><vpcId>vpc-1</vpcId><tagSet><item><key>ManagedBy</key><value>spot</value></item><item><key>spot:project</key><value>{project}</value></item></tagSet></item></securityGroupInfo>"
    )
}

fn network() -> NetworkRequest {
    NetworkRequest {
        region: "us-west-2".to_owned(),
        project: "web".to_owned(),
        sources: vec!["203.0.113.7".to_owned()],
        ..NetworkRequest::default()
    }
}

#[tokio::test]
async fn a_group_whose_answer_was_lost_is_found_by_its_token() {
    let made = Mutex::new(false);
    let wire = Wire::start(move |action, form| match action {
        "CreateSecurityGroup" => {
            *made.lock().unwrap() = true;
            Reply::Dropped
        }
        "DescribeSecurityGroups" if !*made.lock().unwrap() => Reply::Ok(String::new()),
        "DescribeSecurityGroups" if form.values().any(|name| name == "tag:spot:token") => {
            Reply::Ok(group_xml("web"))
        }
        _ => default_vpc(action),
    })
    .await;
    let record = Remembered::default();
    let network = wire.cloud().ensure_network(&network(), &record).await.unwrap();
    assert_eq!(network.security_group_id, "sg-1");
    assert_eq!(wire.count("CreateSecurityGroup"), 1);
    assert!(record.open().is_empty());
}

#[tokio::test]
async fn a_group_that_another_process_made_meanwhile_is_as_good() {
    let looks = Mutex::new(0);
    let wire = Wire::start(move |action, _| match action {
        "CreateSecurityGroup" => refused("InvalidGroup.Duplicate"),
        "DescribeSecurityGroups" => {
            *looks.lock().unwrap() += 1;
            Reply::Ok(if *looks.lock().unwrap() == 1 { String::new() } else { group_xml("web") })
        }
        _ => default_vpc(action),
    })
    .await;
    let network = wire.cloud().ensure_network(&network(), &Unrecorded).await.unwrap();
    assert_eq!(network.security_group_id, "sg-1");
    assert!(network.created.is_empty());
    assert_eq!(wire.count("AuthorizeSecurityGroupIngress"), 1);
}

#[tokio::test]
async fn a_group_of_the_same_name_that_is_not_ours_is_left_alone() {
    let wire = Wire::start(|action, _| match action {
        "DescribeSecurityGroups" => Reply::Ok(group_xml("another")),
        _ => default_vpc(action),
    })
    .await;
    let error = wire.cloud().ensure_network(&network(), &Unrecorded).await.unwrap_err();
    assert!(error.message().contains("sg-1") && error.hint().is_some(), "{error}");
    assert_eq!(wire.count("AuthorizeSecurityGroupIngress"), 0);
}

#[tokio::test]
async fn a_region_without_a_default_vpc_is_told_what_to_do() {
    let wire = Wire::start(|_, _| Reply::Ok(String::new())).await;
    let error = wire.cloud().ensure_network(&network(), &Unrecorded).await.unwrap_err();
    assert_eq!(error.code(), Some("DefaultVpcDoesNotExist"));
    assert!(error.hint().is_some_and(|hint| hint.contains("create-default-vpc --region us-west-2")));
    assert_eq!(wire.count("CreateSecurityGroup"), 0);
}
