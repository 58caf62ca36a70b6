//! How the descriptions of each kind of resource look: where the items are and what identifies them.

/// One kind of resource and its description.
#[derive(Debug)]
pub(super) struct Shape {
    /// The first part of its ids, which names its placeholders too.
    pub(super) kind: &'static str,
    /// The action that describes it.
    pub(super) action: &'static str,
    /// The set in the answer.
    pub(super) set: &'static str,
    /// The element of an item with its id.
    pub(super) id: &'static str,
    /// The parameter with the ids that are asked for.
    pub(super) parameter: &'static str,
}

macro_rules! shapes {
    ($($kind:literal $action:literal $set:literal $id:literal $parameter:literal;)*) => {
        &[$(Shape { kind: $kind, action: $action, set: $set, id: $id, parameter: $parameter }),*]
    };
}

/// All kinds that a plan can make, change or remove.
pub(super) const SHAPES: &[Shape] = shapes! {
    "i" "DescribeInstances" "reservationSet" "instanceId" "InstanceId";
    "i" "DescribeInstanceStatus" "instanceStatusSet" "instanceId" "InstanceId";
    "vpc" "DescribeVpcs" "vpcSet" "vpcId" "VpcId";
    "subnet" "DescribeSubnets" "subnetSet" "subnetId" "SubnetId";
    "igw" "DescribeInternetGateways" "internetGatewaySet" "internetGatewayId" "InternetGatewayId";
    "eigw" "DescribeEgressOnlyInternetGateways" "egressOnlyInternetGatewaySet" "egressOnlyInternetGatewayId" "EgressOnlyInternetGatewayId";
    "rtb" "DescribeRouteTables" "routeTableSet" "routeTableId" "RouteTableId";
    "sg" "DescribeSecurityGroups" "securityGroupInfo" "groupId" "GroupId";
    "sgr" "DescribeSecurityGroupRules" "securityGroupRuleSet" "securityGroupRuleId" "SecurityGroupRuleId";
    "lt" "DescribeLaunchTemplates" "launchTemplates" "launchTemplateId" "LaunchTemplateId";
    "fleet" "DescribeFleets" "fleetSet" "fleetId" "FleetId";
    "vol" "DescribeVolumes" "volumeSet" "volumeId" "VolumeId";
    "sir" "DescribeSpotInstanceRequests" "spotInstanceRequestSet" "spotInstanceRequestId" "SpotInstanceRequestId";
    "eni" "DescribeNetworkInterfaces" "networkInterfaceSet" "networkInterfaceId" "NetworkInterfaceId";
    "key" "DescribeKeyPairs" "keySet" "keyPairId" "KeyPairId";
    "eipalloc" "DescribeAddresses" "addressesSet" "allocationId" "AllocationId";
    "pg" "DescribePlacementGroups" "placementGroupSet" "groupId" "GroupId";
    "tag" "DescribeTags" "tagSet" "resourceId" "";
};

/// How the answer to an action looks, if it describes such resources.
pub(super) fn of_action(action: &str) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.action == action)
}
