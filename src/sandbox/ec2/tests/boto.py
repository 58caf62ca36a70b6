# Who and where
identity = session.client("sts").get_caller_identity()
assert identity["Account"] == "123456789012"
assert identity["Arn"] == "arn:aws:iam::123456789012:user/sandbox"
regions = ec2.describe_regions(AllRegions=True)["Regions"]
assert len([r for r in regions if r["OptInStatus"] == "opt-in-not-required"]) == 17
assert len([r for r in regions if r["OptInStatus"] == "not-opted-in"]) > 10
zones = ec2.describe_availability_zones(Filters=[by("state", "available")])["AvailabilityZones"]
assert [z["ZoneName"] for z in zones] == ["us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"]

# What can be had
images = ec2.describe_images(
    Owners=["099720109477"],
    Filters=[
        by("name", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*"),
        by("architecture", "x86_64"),
        by("state", "available"),
    ],
)["Images"]
image = max(images, key=lambda i: i["CreationDate"])
assert image["Name"].endswith("20260915") and image["RootDeviceName"] == "/dev/sda1", image
assert ec2.describe_images(Owners=["self"])["Images"] == []
refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=["ami-0123456789abcdef0"])
types = list(ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 10}))
assert sum(len(page["InstanceTypes"]) for page in types) >= 40
medium = ec2.describe_instance_types(InstanceTypes=["t3.medium"])["InstanceTypes"][0]
assert medium["VCpuInfo"]["DefaultVCpus"] == 2 and medium["MemoryInfo"]["SizeInMiB"] == 4096
refused("InvalidInstanceType", ec2.describe_instance_types, InstanceTypes=["t9.huge"])
offers = ec2.describe_instance_type_offerings(
    LocationType="availability-zone", Filters=[by("instance-type", "t3.*")]
)["InstanceTypeOfferings"]
assert {o["Location"] for o in offers} == {z["ZoneName"] for z in zones}
prices = ec2.describe_spot_price_history(
    InstanceTypes=["t3.medium"], ProductDescriptions=["Linux/UNIX"], StartTime=time.time()
)["SpotPriceHistory"]
assert {p["AvailabilityZone"] for p in prices} == {z["ZoneName"] for z in zones}
assert all(0.01 < float(p["SpotPrice"]) < 0.03 for p in prices), prices
history = ec2.get_paginator("describe_spot_price_history").paginate(
    InstanceTypes=["t3.medium", "m5.large"], StartTime=time.time() - 5 * 86400, PaginationConfig={"PageSize": 500}
)
assert sum(len(page["SpotPriceHistory"]) for page in history) > 1000

# A network of one's own
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tags("vpc", Name="net", team="a&b<c>"))["Vpc"]["VpcId"]
ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
assert ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"]
found = ec2.describe_vpcs(Filters=[by("tag:Name", "n?t"), by("is-default", "false")])["Vpcs"]
assert [v["VpcId"] for v in found] == [vpc]
assert {t["Value"] for t in found[0]["Tags"]} == {"net", "a&b<c>"}
ec2.get_waiter("vpc_available").wait(VpcIds=[vpc])
refused("InvalidVpc.Range", ec2.create_vpc, CidrBlock="10.0.0.0/8")
refused("InvalidParameterValue", ec2.describe_vpcs, Filters=[by("colour", "red")])
subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone="us-west-2b")["Subnet"]["SubnetId"]
refused("InvalidSubnet.Conflict", ec2.create_subnet, VpcId=vpc, CidrBlock="10.0.1.128/25")
refused("InvalidSubnet.Range", ec2.create_subnet, VpcId=vpc, CidrBlock="10.9.0.0/24")
ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
table = ec2.create_route_table(VpcId=vpc, ClientToken="table")["RouteTable"]["RouteTableId"]
assert ec2.create_route_table(VpcId=vpc, ClientToken="table")["RouteTable"]["RouteTableId"] == table
refused("InvalidParameterValue", ec2.create_route, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
refused("Resource.AlreadyAssociated", ec2.attach_internet_gateway, InternetGatewayId=gateway, VpcId=vpc)
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
refused("RouteAlreadyExists", ec2.create_route, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
tables = ec2.describe_route_tables(Filters=[by("association.subnet-id", subnet)])["RouteTables"]
assert [r["State"] for r in tables[0]["Routes"]] == ["active", "active"]
main = ec2.describe_route_tables(Filters=[by("vpc-id", vpc), by("association.main", "true")])["RouteTables"]
assert len(main) == 1 and main[0]["RouteTableId"] != table

# Groups and rules
group = ec2.create_security_group(
    GroupName="web", Description="web", VpcId=vpc, TagSpecifications=tags("security-group", Name="web")
)["GroupId"]
refused("InvalidGroup.Duplicate", ec2.create_security_group, GroupName="web", Description="x", VpcId=vpc)
ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "ssh"}]}
inside = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
v6 = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
rules = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh, inside, v6])["SecurityGroupRules"]
assert len(rules) == 3 and rules[0]["CidrIpv4"] == "0.0.0.0/0"
message = refused("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[ssh])
assert "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW" in message
refused("InvalidParameterValue", ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[{**ssh, "FromPort": 70000}])
ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[v6])
described = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
assert len(described["IpPermissions"]) == 3 and len(described["IpPermissionsEgress"]) == 2
assert len(ec2.describe_security_group_rules(Filters=[by("group-id", group)])["SecurityGroupRules"]) == 5
ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rules[2]["SecurityGroupRuleId"]])
ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[v6])
refused("InvalidPermission.NotFound", ec2.revoke_security_group_ingress, GroupId=group, IpPermissions=[v6])
other = ec2.create_security_group(GroupName="db", Description="db", VpcId=vpc)["GroupId"]
ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[inside])
refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=[inside])
ec2.delete_security_group(GroupId=other)
refused("InvalidGroupId.Malformed", ec2.describe_security_groups, GroupIds=["web"])
default = ec2.describe_security_groups(Filters=[by("vpc-id", vpc), by("group-name", "default")])["SecurityGroups"]
refused("CannotDelete", ec2.delete_security_group, GroupId=default[0]["GroupId"])

# Keys
key = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq1r0tOlvvnFfm8Q0DZMvlm5vP2uzAPxZTBD7jJoZOm me@x"
imported = ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=key, TagSpecifications=tags("key-pair", a="b"))
assert len(imported["KeyFingerprint"]) == 44 and imported["Tags"] == [{"Key": "a", "Value": "b"}]
refused("InvalidKeyPair.Duplicate", ec2.import_key_pair, KeyName="mine", PublicKeyMaterial=key)
refused("InvalidKey.Format", ec2.import_key_pair, KeyName="bad", PublicKeyMaterial=b"ssh-dss AAAA")
pairs = ec2.describe_key_pairs(KeyNames=["mine"], IncludePublicKey=True)["KeyPairs"]
assert pairs[0]["PublicKey"] == key.decode() and pairs[0]["KeyType"] == "ed25519"
refused("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=["none"])

# Instances
launch = dict(
    ImageId=image["ImageId"], InstanceType="t3.medium", MinCount=1, MaxCount=3, KeyName="mine", UserData="#!/bin/sh\n",
    NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": True}],
    InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time", "MaxPrice": "0.04"}},
    BlockDeviceMappings=[
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}},
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5, "DeleteOnTermination": False}},
    ],
    MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    TagSpecifications=[t for kind in ("instance", "volume", "network-interface", "spot-instances-request") for t in tags(kind, Name="n1")],
)
refused("DryRunOperation", ec2.run_instances, **launch, DryRun=True)
reservation = ec2.run_instances(**launch)
ids = [i["InstanceId"] for i in reservation["Instances"]]
first = reservation["Instances"][0]
assert len(ids) == 3 and first["State"]["Name"] == "pending" and first["InstanceLifecycle"] == "spot"
assert first["PublicIpAddress"].startswith("127.") and 64 <= int(first["PublicIpAddress"].split(".")[1]) < 128
assert first["PrivateIpAddress"].startswith("10.0.1.") and first["Placement"]["AvailabilityZone"] == "us-west-2b"
ec2.get_waiter("instance_running").config.delay = 0.05
waiter = ec2.get_waiter("instance_running")
waiter.config.delay = 0.05
waiter.wait(InstanceIds=ids)
described = ec2.describe_instances(
    Filters=[by("instance-state-name", "running"), by("tag:Name", "n*"), by("vpc-id", vpc), by("key-name", "mine")]
)["Reservations"]
assert sorted(i["InstanceId"] for i in described[0]["Instances"]) == sorted(ids)
statuses = lambda: [s["InstanceStatus"]["Status"] for s in ec2.describe_instance_status(InstanceIds=ids)["InstanceStatuses"]]
eventually(lambda: statuses() == ["ok"] * 3)
assert "cloud-init" in ec2.get_console_output(InstanceId=ids[0])["Output"]
requests = ec2.describe_spot_instance_requests(Filters=[by("state", "active")])["SpotInstanceRequests"]
assert sorted(r["InstanceId"] for r in requests) == sorted(ids)
cancelled = ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[requests[0]["SpotInstanceRequestId"]])
assert cancelled["CancelledSpotInstanceRequests"][0]["State"] == "cancelled"
interfaces = ec2.describe_network_interfaces(Filters=[by("group-id", group)])["NetworkInterfaces"]
assert len(interfaces) == 3 and interfaces[0]["Attachment"]["InstanceId"] in ids
volumes = ec2.describe_volumes(Filters=[by("attachment.instance-id", ids[0])])["Volumes"]
assert sorted(v["Size"] for v in volumes) == [5, 20]
refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=["i-0123456789abcdef0"])
refused("InvalidInstanceID.Malformed", ec2.describe_instances, InstanceIds=["i-zzz"])
refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
refused("DependencyViolation", ec2.delete_subnet, SubnetId=subnet)
refused("DependencyViolation", ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=vpc)
refused("DependencyViolation", ec2.delete_vpc, VpcId=vpc)
refused("InvalidParameterCombination", ec2.describe_instances, InstanceIds=ids, MaxResults=5)

# Tags
ec2.create_tags(Resources=[ids[0], vpc], Tags=[{"Key": "stage", "Value": "test"}, {"Key": "Name", "Value": "new"}])
listed = list(ec2.get_paginator("describe_tags").paginate(Filters=[by("resource-id", ids[0])], PaginationConfig={"PageSize": 5}))
assert {(t["Key"], t["Value"], t["ResourceType"]) for t in listed[0]["Tags"]} == {
    ("stage", "test", "instance"), ("Name", "new", "instance")}
ec2.delete_tags(Resources=[ids[0]], Tags=[{"Key": "stage", "Value": "other"}, {"Key": "Name"}])
assert [t["Key"] for t in ec2.describe_tags(Filters=[by("resource-id", ids[0])])["Tags"]] == ["stage"]
refused("InvalidVpcID.NotFound", ec2.create_tags, Resources=["vpc-12345678"], Tags=[{"Key": "a", "Value": "b"}])

# The end of it all, in the order that works
ended = ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
assert {e["CurrentState"]["Name"] for e in ended} == {"shutting-down"}
waiter = ec2.get_waiter("instance_terminated")
waiter.config.delay = 0.05
waiter.wait(InstanceIds=ids)
assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
left = ec2.describe_volumes()["Volumes"]
assert [v["State"] for v in left] == ["available"] * 3
for volume in left:
    ec2.delete_volume(VolumeId=volume["VolumeId"])
closed = ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
assert sorted(r["State"] for r in closed) == ["cancelled", "closed", "closed"], closed
ec2.delete_security_group(GroupId=group)
ec2.disassociate_route_table(AssociationId=association)
ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
ec2.delete_route_table(RouteTableId=table)
ec2.delete_subnet(SubnetId=subnet)
ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
ec2.delete_internet_gateway(InternetGatewayId=gateway)
ec2.delete_vpc(VpcId=vpc)
ec2.delete_key_pair(KeyName="mine")
ec2.delete_key_pair(KeyName="mine")
refused("InvalidVpcID.NotFound", ec2.describe_vpcs, VpcIds=[vpc])
assert ec2.describe_tags(Filters=[by("resource-type", "vpc", "subnet", "volume", "network-interface")])["Tags"] == []

# The default VPC is everywhere, and can be deleted and made again
east = session.client("ec2", region_name="eu-west-1")
east.meta.events.register("before-parse.ec2.*", check)
default = east.describe_vpcs(Filters=[by("isDefault", "true")])["Vpcs"][0]["VpcId"]
assert len(east.describe_subnets(Filters=[by("default-for-az", "true")])["Subnets"]) == 3
refused("DefaultVpcAlreadyExists", east.create_default_vpc)
for s in east.describe_subnets(Filters=[by("vpc-id", default)])["Subnets"]:
    east.delete_subnet(SubnetId=s["SubnetId"])
gateways = east.describe_internet_gateways(Filters=[by("attachment.vpc-id", default)])["InternetGateways"]
east.detach_internet_gateway(InternetGatewayId=gateways[0]["InternetGatewayId"], VpcId=default)
east.delete_internet_gateway(InternetGatewayId=gateways[0]["InternetGatewayId"])
east.delete_vpc(VpcId=default)
image = east.describe_images(Filters=[by("architecture", "arm64")])["Images"][0]["ImageId"]
refused("VPCIdNotSpecified", east.run_instances, ImageId=image, InstanceType="t4g.nano", MinCount=1, MaxCount=1)
assert east.create_default_vpc()["Vpc"]["IsDefault"]
on_demand = east.run_instances(ImageId=image, InstanceType="t4g.nano", MinCount=1, MaxCount=1)["Instances"][0]
assert "InstanceLifecycle" not in on_demand and on_demand["PublicIpAddress"]
east.terminate_instances(InstanceIds=[on_demand["InstanceId"]])
refused("AuthFailure", session.client("ec2", region_name="af-south-1").describe_vpcs)

# Every one of these answers was held against the model
assert len(used) == 52, (len(used), sorted(used))
