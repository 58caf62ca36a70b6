//! Removals that somebody else interferes with, and in which order they go.

use super::*;

fn owner() -> Owner {
    Owner::Project("web".to_owned())
}

fn position(wire: &Wire, action: &str) -> usize {
    let calls = wire.calls.lock().unwrap();
    calls.iter().position(|form| form["Action"] == action).unwrap_or_else(|| panic!("no {action}"))
}

#[tokio::test]
async fn what_holds_a_group_is_named_when_the_time_is_over() {
    let wire = Wire::start(|action, form| match action {
        "DescribeSecurityGroups" if form.values().any(|value| value == "ip-permission.group-id") => {
            Reply::Ok("<securityGroupInfo><item><groupId>sg-7</groupId><groupName>balancer</groupName></item></securityGroupInfo>".to_owned())
        }
        "DescribeSecurityGroups" if form.values().any(|value| value == "egress.ip-permission.group-id") => Reply::Ok(String::new()),
        "DescribeSecurityGroups" => Reply::Ok("<securityGroupInfo><item><groupId>sg-1</groupId><groupName>spot-web</groupName></item></securityGroupInfo>".to_owned()),
        "DeleteSecurityGroup" => Reply::Refused(400, "DependencyViolation", "resource sg-1 has a dependent object".to_owned()),
        "DescribeNetworkInterfaces" if form.values().any(|value| value == "group-id") => Reply::Ok("<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><description>Primary</description><attachment><instanceId>i-9</instanceId></attachment></item></networkInterfaceSet>".to_owned()),
        "DescribeInstances" if form.values().any(|value| value == "i-9") => {
            Reply::Ok("<reservationSet><item><instancesSet><item><instanceId>i-9</instanceId><tagSet><item><key>Name</key><value>bastion</value></item></tagSet></item></instancesSet></item></reservationSet>".to_owned())
        }
        _ => Reply::Ok(String::new()),
    })
    .await;
    let record = Remembered::default();
    let error = wire.cloud().delete_network("us-west-2", &owner(), &record).await.unwrap_err();
    assert_eq!(error.code(), Some(RESOURCES_REMAIN));
    for part in [
        "the security group sg-1, held by the network interface eni-1 of i-9 (bastion) (Primary)",
        "a rule of the security group sg-7 (balancer)",
    ] {
        assert!(error.message().contains(part), "`{part}`: {error}");
    }
    assert!(wire.count("DeleteSecurityGroup") > 1);
    assert_eq!(record.entries()[0].closed, Some(false));
}

#[tokio::test]
async fn what_else_is_in_a_vpc_is_named() {
    let wire = Wire::start(|action, form| match action {
        "DescribeVpcs" => Reply::Ok("<vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>".to_owned()),
        "DeleteVpc" => refused("DependencyViolation"),
        "DescribeVpcEndpoints" => Reply::Ok("<vpcEndpointSet><item><vpcEndpointId>vpce-1</vpcEndpointId><serviceName>com.amazonaws.s3</serviceName><state>available</state></item></vpcEndpointSet>".to_owned()),
        "DescribeNatGateways" => Reply::Ok("<natGatewaySet><item><natGatewayId>nat-1</natGatewayId></item></natGatewaySet>".to_owned()),
        "DescribeVpcPeeringConnections" if form.values().any(|it| it == "requester-vpc-info.vpc-id") => {
            Reply::Ok("<vpcPeeringConnectionSet><item><vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId></item></vpcPeeringConnectionSet>".to_owned())
        }
        "DescribeVpcPeeringConnections" => refused("UnauthorizedOperation"),
        "DescribeSecurityGroups" if form.values().any(|value| value == "vpc-id") => Reply::Ok("<securityGroupInfo><item><groupId>sg-0</groupId><groupName>default</groupName></item><item><groupId>sg-2</groupId><groupName>theirs</groupName></item></securityGroupInfo>".to_owned()),
        _ => Reply::Ok(String::new()),
    })
    .await;
    let error = wire.cloud().delete_network("us-west-2", &owner(), &Unrecorded).await.unwrap_err();
    let text = error.message();
    for part in [
        "the VPC vpc-1, held by",
        "the endpoint vpce-1 (com.amazonaws.s3)",
        "the NAT gateway nat-1",
        "the peering connection pcx-1",
        "the security group sg-2 (theirs, not made by spot)",
    ] {
        assert!(text.contains(part), "`{part}`: {text}");
    }
    assert!(!text.contains("sg-0"), "{text}");
}

fn group_naming(id: &str, other: &str) -> String {
    let rules = format!(
        "<item><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort><groups><item><groupId>{other}</groupId></item></groups></item>"
    );
    format!(
        "<item><groupId>{id}</groupId><groupName>{id}</groupName><ipPermissions>{rules}</ipPermissions><ipPermissionsEgress>{rules}</ipPermissionsEgress></item>"
    )
}

#[tokio::test]
async fn groups_that_name_each_other_lose_those_rules_first() {
    let wire = Wire::start(|action, _| match action {
        "DescribeSecurityGroups" => {
            let groups = [group_naming("sg-1", "sg-2"), group_naming("sg-2", "sg-1")].concat();
            Reply::Ok(format!("<securityGroupInfo>{groups}</securityGroupInfo>"))
        }
        _ => Reply::Ok("<return>true</return>".to_owned()),
    })
    .await;
    let record = Remembered::default();
    let removed = wire.cloud().delete_network("us-west-2", &owner(), &record).await.unwrap();
    assert_eq!(removed.len(), 2, "{removed:?}");
    assert_eq!((wire.count("RevokeSecurityGroupIngress"), wire.count("RevokeSecurityGroupEgress")), (2, 2));
    let last = wire.last("RevokeSecurityGroupEgress");
    assert!(last.values().any(|value| value == "sg-1" || value == "sg-2"), "{last:?}");
    let calls = wire.calls.lock().unwrap();
    let last_revoke = calls.iter().rposition(|form| form["Action"].starts_with("Revoke")).unwrap();
    let first_delete = calls.iter().position(|form| form["Action"] == "DeleteSecurityGroup").unwrap();
    assert!(last_revoke < first_delete);
    assert!(record.open().is_empty());
}

/// Lists one thing of each kind; deletions succeed.
fn one_of_each(action: &str, form: &Form) -> Reply {
    Reply::Ok(match action {
        "DescribeFleets" => "<fleetSet><item><fleetId>fleet-1</fleetId><fleetState>active</fleetState><type>maintain</type><tagSet><item><key>ManagedBy</key><value>spot</value></item></tagSet></item><item><fleetId>fleet-2</fleetId><fleetState>deleted</fleetState><type>maintain</type><tagSet><item><key>ManagedBy</key><value>spot</value></item></tagSet></item><item><fleetId>fleet-3</fleetId><fleetState>active</fleetState><type>maintain</type></item></fleetSet>",
        "DescribeSpotInstanceRequests" => "<spotInstanceRequestSet><item><spotInstanceRequestId>sir-1</spotInstanceRequestId><state>active</state></item></spotInstanceRequestSet>",
        // Once for the list; gone when it is waited for.
        "DescribeInstances" if form.values().any(|value| value == "instance-state-name") => "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceType>t3.micro</instanceType><instanceLifecycle>spot</instanceLifecycle><instanceState><code>16</code><name>running</name></instanceState><placement><availabilityZone>us-west-2a</availabilityZone></placement></item></instancesSet></item></reservationSet>",
        "DescribeInstances" => "<reservationSet/>",
        "DescribeLaunchTemplates" => "<launchTemplates><item><launchTemplateId>lt-1</launchTemplateId><launchTemplateName>web</launchTemplateName></item></launchTemplates>",
        "DescribeVolumes" => "<volumeSet><item><volumeId>vol-1</volumeId></item></volumeSet>",
        "DescribeAddresses" => "<addressesSet><item><allocationId>eipalloc-1</allocationId><associationId>eipassoc-1</associationId><publicIp>203.0.113.9</publicIp></item></addressesSet>",
        "DescribeNetworkInterfaces" => "<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId></item></networkInterfaceSet>",
        "DescribeKeyPairs" => "<keySet><item><keyPairId>key-1</keyPairId><keyName>web</keyName></item></keySet>",
        "DescribeSecurityGroups" => "<securityGroupInfo><item><groupId>sg-1</groupId><groupName>spot-web</groupName></item></securityGroupInfo>",
        "DescribeSubnets" => "<subnetSet><item><subnetId>subnet-1</subnetId></item></subnetSet>",
        "DescribeRouteTables" => "<routeTableSet><item><routeTableId>rtb-1</routeTableId><associationSet><item><routeTableAssociationId>rtbassoc-1</routeTableAssociationId><main>false</main></item></associationSet></item></routeTableSet>",
        "DescribeInternetGateways" => "<internetGatewaySet><item><internetGatewayId>igw-1</internetGatewayId><attachmentSet><item><vpcId>vpc-1</vpcId></item></attachmentSet></item></internetGatewaySet>",
        "DescribeEgressOnlyInternetGateways" => "<egressOnlyInternetGatewaySet><item><egressOnlyInternetGatewayId>eigw-1</egressOnlyInternetGatewayId></item></egressOnlyInternetGatewaySet>",
        "DescribeVpcs" => "<vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>",
        _ => "",
    }
    .to_owned())
}

#[tokio::test]
async fn every_kind_is_found_in_one_round_trip_and_removed_in_order() {
    let wire = Wire::start(one_of_each).await;
    let cloud = wire.cloud();
    let owned = cloud.owned("us-west-2", &Owner::Everything).await.unwrap();
    let kinds: Vec<ResourceKind> = owned.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ResourceKind::ALL, "{owned:?}");
    // One call for each kind, and nothing that waits for another.
    assert_eq!(wire.calls.lock().unwrap().len(), ResourceKind::ALL.len());
    let instance = owned.iter().find(|it| it.kind == ResourceKind::Instance).unwrap();
    assert_eq!((instance.instance_type.as_deref(), instance.market), (Some("t3.micro"), Some(Market::Spot)));

    let record = Remembered::default();
    let removals = cloud.remove("us-west-2", &owned, &record).await.unwrap();
    for removal in &removals {
        assert!(matches!(removal.fate, Fate::Removed), "{removal:?}");
    }
    assert_eq!(removals.len(), owned.len());
    assert!(record.open().is_empty());
    let order = [
        "DeleteFleets",
        "TerminateInstances",
        "DeleteVolume",
        "DeleteSecurityGroup",
        "DeleteRouteTable",
        "DeleteVpc",
    ];
    assert!(order.windows(2).all(|pair| position(&wire, pair[0]) < position(&wire, pair[1])));
    assert!(position(&wire, "CancelSpotInstanceRequests") < position(&wire, "TerminateInstances"));
    assert!(position(&wire, "DisassociateAddress") < position(&wire, "ReleaseAddress"));
    assert!(position(&wire, "DetachInternetGateway") < position(&wire, "DeleteInternetGateway"));
    assert_eq!(wire.last("DeleteFleets")["TerminateInstances"], "true");
    assert_eq!(wire.last("DeleteFleets")["FleetId.1"], "fleet-1");
}

#[tokio::test]
async fn a_fleet_that_refuses_inside_a_good_answer_has_failed() {
    let wire = Wire::start(|action, _| match action {
        "DeleteFleets" => Reply::Ok("<unsuccessfulFleetDeletionSet><item><fleetId>fleet-1</fleetId><error><code>fleetNotInDeletableState</code><message>not now</message></error></item></unsuccessfulFleetDeletionSet>".to_owned()),
        _ => Reply::Ok(String::new()),
    })
    .await;
    let fleet = Owned::new(ResourceKind::Fleet, "fleet-1", "us-west-2");
    let removals = wire.cloud().remove("us-west-2", &[fleet], &Unrecorded).await.unwrap();
    assert!(
        matches!(&removals[0].fate, Fate::Failed(error) if error.code() == Some("fleetNotInDeletableState")),
        "{removals:?}"
    );
}

#[tokio::test]
async fn a_protected_instance_stays_with_what_it_needs() {
    let wire = Wire::start(|action, _| match action {
        "DescribeInstances" => Reply::Ok("<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><vpcId>vpc-1</vpcId><instanceState><code>16</code><name>running</name></instanceState><groupSet><item><groupId>sg-1</groupId></item></groupSet><blockDeviceMapping><item><ebs><volumeId>vol-1</volumeId></ebs></item></blockDeviceMapping><tagSet><item><key>aws:ec2:fleet-id</key><value>fleet-1</value></item></tagSet></item></instancesSet></item></reservationSet>".to_owned()),
        "DescribeSecurityGroups" => Reply::Ok("<securityGroupInfo><item><groupId>sg-1</groupId></item><item><groupId>sg-2</groupId></item></securityGroupInfo>".to_owned()),
        "DescribeVpcs" => Reply::Ok("<vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>".to_owned()),
        "DescribeVolumes" => Reply::Ok("<volumeSet><item><volumeId>vol-1</volumeId></item></volumeSet>".to_owned()),
        _ => Reply::Ok(String::new()),
    })
    .await;
    let of = |kind, id: &str| Owned::new(kind, id, "us-west-2");
    let mut resources = vec![
        of(ResourceKind::Instance, "i-1"),
        of(ResourceKind::Fleet, "fleet-1"),
        of(ResourceKind::Volume, "vol-1"),
        of(ResourceKind::SecurityGroup, "sg-1"),
        of(ResourceKind::SecurityGroup, "sg-2"),
        of(ResourceKind::Vpc, "vpc-1"),
    ];
    resources[0].protected = true;
    let removals = wire.cloud().remove("us-west-2", &resources, &Unrecorded).await.unwrap();
    let fates: Vec<&str> = removals
        .iter()
        .map(|it| match &it.fate {
            Fate::Removed => "removed",
            Fate::Gone => "gone",
            Fate::Left(_) => "left",
            Fate::Failed(_) => "failed",
        })
        .collect();
    assert_eq!(fates, ["left", "left", "left", "left", "removed", "left"], "{removals:?}");
    assert_eq!(wire.count("TerminateInstances") + wire.count("DeleteFleets"), 0);
    assert_eq!(wire.last("DeleteSecurityGroup")["GroupId"], "sg-2");
    assert!(matches!(&removals[0].fate, Fate::Left(why) if why.contains("spot:protect")));
    assert!(matches!(&removals[3].fate, Fate::Left(why) if why.contains("i-1")));
}

#[tokio::test]
async fn termination_protection_is_told_and_costs_no_waiting() {
    let wire = Wire::start(|action, _| match action {
        "TerminateInstances" => Reply::Refused(
            400,
            "OperationNotPermitted",
            "The instance 'i-1' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.".to_owned(),
        ),
        _ => Reply::Ok(String::new()),
    })
    .await;
    let instance = Owned::new(ResourceKind::Instance, "i-1", "us-west-2");
    let removals = wire.cloud().remove("us-west-2", &[instance], &Unrecorded).await.unwrap();
    assert!(matches!(&removals[0].fate, Fate::Left(why) if why.contains("termination protection")));
}

#[tokio::test]
async fn a_removal_that_was_killed_goes_on_where_it_stopped() {
    let wire = Wire::start(one_of_each).await;
    let cloud = wire.cloud();
    let whole = Remembered::default();
    cloud.delete_network("us-west-2", &owner(), &whole).await.unwrap();
    let steps = whole.entries().len();
    assert!(steps >= 8, "{:?}", whole.actions());
    for limit in 0..steps {
        let killed = Remembered::until(limit);
        assert!(cloud.delete_network("us-west-2", &owner(), &killed).await.is_err(), "limit {limit}");
        // What an open intent announced is simply ordered again.
        for open in killed.open() {
            assert!(cloud.settle(&open).await.unwrap().is_empty());
        }
        assert!(cloud.delete_network("us-west-2", &owner(), &Unrecorded).await.is_ok());
    }
}
