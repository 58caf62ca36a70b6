# IPv6
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
block = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
vpc = vpc["VpcId"]
assert block.endswith("/56")
half = lambda n: block.split("::")[0][:-2] + f"{n:02x}::/64"
subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24", Ipv6CidrBlock=half(1), AvailabilityZone="us-west-2a")["Subnet"]
assert subnet["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"] == half(1), subnet
subnet = subnet["SubnetId"]
refused("InvalidSubnet.Conflict", ec2.create_subnet, VpcId=vpc, CidrBlock="10.0.2.0/24", Ipv6CidrBlock=half(1))
refused("InvalidSubnet.Range", ec2.create_subnet, VpcId=vpc, CidrBlock="10.0.2.0/24", Ipv6CidrBlock="2001:db8::/64")
bare = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.3.0/24")["Subnet"]["SubnetId"]
refused("InvalidParameterValue", ec2.modify_subnet_attribute, SubnetId=bare, AssignIpv6AddressOnCreation={"Value": True})
added = ec2.associate_subnet_cidr_block(SubnetId=bare, Ipv6CidrBlock=half(3))
assert added["Ipv6CidrBlockAssociation"]["Ipv6CidrBlock"] == half(3) and added["SubnetId"] == bare
ec2.disassociate_subnet_cidr_block(AssociationId=added["Ipv6CidrBlockAssociation"]["AssociationId"])
ec2.modify_subnet_attribute(SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": True})
assert ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AssignIpv6AddressOnCreation"]
way_out = ec2.create_egress_only_internet_gateway(
    VpcId=vpc, ClientToken="e", TagSpecifications=tags("egress-only-internet-gateway", a="b"))["EgressOnlyInternetGateway"]
assert way_out["Tags"] == [{"Key": "a", "Value": "b"}] and way_out["Attachments"][0]["VpcId"] == vpc
way_out = way_out["EgressOnlyInternetGatewayId"]
found = ec2.describe_egress_only_internet_gateways(Filters=[by("tag:a", "b")])["EgressOnlyInternetGateways"]
assert [g["EgressOnlyInternetGatewayId"] for g in found] == [way_out]
main = ec2.describe_route_tables(Filters=[by("vpc-id", vpc), by("association.main", "true")])["RouteTables"][0]["RouteTableId"]
gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
ec2.create_route(RouteTableId=main, DestinationIpv6CidrBlock="::/0", EgressOnlyInternetGatewayId=way_out)
refused("RouteAlreadyExists", ec2.create_route, RouteTableId=main, DestinationIpv6CidrBlock="::/0", GatewayId=gateway)
ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
routes = ec2.describe_route_tables(RouteTableIds=[main])["RouteTables"][0]["Routes"]
assert {r.get("DestinationIpv6CidrBlock") for r in routes} == {None, block, "::/0"} and len(routes) == 4
image = newest()
one = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=2, MaxCount=2, SubnetId=subnet)["Instances"]
assert all(len(i["NetworkInterfaces"][0]["Ipv6Addresses"]) == 1 for i in one)
assert one[0]["Ipv6Address"] != one[1]["Ipv6Address"]
refused("InvalidParameterValue", ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1, SubnetId=bare, Ipv6AddressCount=1)
other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
later = ec2.associate_vpc_cidr_block(VpcId=other, AmazonProvidedIpv6CidrBlock=True)["Ipv6CidrBlockAssociation"]
refused("CidrLimitExceeded", ec2.associate_vpc_cidr_block, VpcId=other, AmazonProvidedIpv6CidrBlock=True)
told = ec2.describe_vpcs(VpcIds=[other])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]
assert told["Ipv6CidrBlockState"]["State"] == "associated" and told["Ipv6CidrBlock"] == later["Ipv6CidrBlock"]
ec2.disassociate_vpc_cidr_block(AssociationId=later["AssociationId"])
ec2.delete_vpc(VpcId=other)

# Interfaces that hold a group and a subnet
group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
assert len(ec2.describe_security_group_rules(Filters=[by("group-id", group)])["SecurityGroupRules"]) == 2
card = ec2.create_network_interface(
    SubnetId=bare, Groups=[group], Description="left over by a tool", TagSpecifications=tags("network-interface", a="b"))["NetworkInterface"]
assert card["Status"] == "available" and card["PrivateIpAddress"].startswith("10.0.3.") and card["TagSet"]
found = ec2.describe_network_interfaces(Filters=[by("group-id", group)])["NetworkInterfaces"]
assert [(f["Description"], f["OwnerId"]) for f in found] == [("left over by a tool", "123456789012")]
refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
refused("DependencyViolation", ec2.delete_subnet, SubnetId=bare)
refused("InvalidNetworkInterface.InUse", ec2.delete_network_interface, NetworkInterfaceId=one[0]["NetworkInterfaces"][0]["NetworkInterfaceId"])
ec2.delete_network_interface(NetworkInterfaceId=card["NetworkInterfaceId"])
refused("InvalidNetworkInterfaceID.NotFound", ec2.delete_network_interface, NetworkInterfaceId=card["NetworkInterfaceId"])

# Addresses
address = ec2.allocate_address(Domain="vpc", TagSpecifications=tags("elastic-ip", a="b"))
allocation = address["AllocationId"]
ids = [i["InstanceId"] for i in one]
association = ec2.associate_address(AllocationId=allocation, InstanceId=ids[0])["AssociationId"]
found = ec2.describe_addresses(Filters=[by("tag:a", "b")])["Addresses"]
assert found[0]["InstanceId"] == ids[0] and found[0]["PublicIp"] == address["PublicIp"] and found[0]["AssociationId"] == association
refused("InvalidIPAddress.InUse", ec2.release_address, AllocationId=allocation)
ec2.disassociate_address(AssociationId=association)
ec2.associate_address(AllocationId=allocation, InstanceId=ids[1])
refused("InvalidAllocationID.NotFound", ec2.release_address, AllocationId="eipalloc-0123456789abcdef0")

# Volumes
volume = ec2.create_volume(AvailabilityZone="us-west-2a", Size=10, VolumeType="gp3", Throughput=200, Encrypted=True, TagSpecifications=tags("volume", a="b"))
assert volume["State"] == "available" and volume["Throughput"] == 200 and volume["Tags"] == [{"Key": "a", "Value": "b"}]
refused("InvalidParameterCombination", ec2.create_volume, AvailabilityZone="us-west-2a", Size=10, VolumeType="gp2", Throughput=200)
refused("InvalidZone.NotFound", ec2.create_volume, AvailabilityZone="us-west-2z", Size=10)
refused("MissingParameter", ec2.create_volume, AvailabilityZone="us-west-2a")
assert [v["VolumeId"] for v in ec2.describe_volumes(Filters=[by("status", "available"), by("tag:a", "b")])["Volumes"]] == [volume["VolumeId"]]

# One call tells them all by their tags
listed = ec2.describe_tags(Filters=[by("key", "a"), by("value", "b")])["Tags"]
assert {t["ResourceType"] for t in listed} == {"egress-only-internet-gateway", "elastic-ip", "volume"}, listed

# The end
ec2.terminate_instances(InstanceIds=ids)
eventually(lambda: not ec2.describe_network_interfaces()["NetworkInterfaces"])
assert "InstanceId" not in ec2.describe_addresses()["Addresses"][0]
ec2.release_address(AllocationId=allocation)
ec2.delete_volume(VolumeId=volume["VolumeId"])
ec2.delete_security_group(GroupId=group)
for s in (subnet, bare):
    ec2.delete_subnet(SubnetId=s)
ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
ec2.delete_internet_gateway(InternetGatewayId=gateway)
refused("DependencyViolation", ec2.delete_vpc, VpcId=vpc)
ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=way_out)
ec2.delete_vpc(VpcId=vpc)
