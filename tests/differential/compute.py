"""Instances from launch to end, their volumes and spot requests."""

from cloud import by, tags
from groups import KEY

# What a description tells of an image, a machine type or a time is compared with these left out.
SPOT = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}


def instances(c):
    image = c.image()
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = c.ask("subnet", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=c.region + "a")["Subnet"]["SubnetId"]
    group = c.ask("group", "create_security_group", GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    c.ask("key", "import_key_pair", KeyName="mine", PublicKeyMaterial=KEY)
    launch = dict(ImageId=image, InstanceType="t3.medium", MinCount=1, MaxCount=1)
    anywhere = dict(launch, Placement={"AvailabilityZone": c.region + "a"})
    placed = dict(launch, SubnetId=subnet, SecurityGroupIds=[group], KeyName="mine")
    c.ask("dry", "run_instances", **launch, DryRun=True)
    c.ask("no such image", "run_instances", **{**launch, "ImageId": "ami-0123456789abcdef0"})
    c.ask("malformed image", "run_instances", **{**launch, "ImageId": "nonsense"})
    c.ask("no such type", "run_instances", **{**launch, "InstanceType": "t3.gigantic"})
    c.ask("no such key", "run_instances", **launch, KeyName="nothing")
    c.ask("no such subnet", "run_instances", **launch, SubnetId="subnet-0123456789abcdef0")
    c.ask("no such group", "run_instances", **launch, SubnetId=subnet, SecurityGroupIds=["sg-0123456789abcdef0"])
    c.ask("nothing to launch", "run_instances", **{**launch, "MaxCount": 0})
    c.ask("more than there may be", "run_instances", **{**launch, "MinCount": 3, "MaxCount": 2})
    c.ask("no image", "run_instances", InstanceType="t3.medium", MinCount=1, MaxCount=1)
    c.ask("tags of a network", "run_instances", **launch, TagSpecifications=tags("vpc", a="b"))
    one = c.ask(
        "placed", "run_instances", **placed, UserData="#!/bin/sh\n",
        TagSpecifications=[*tags("instance", Name="one", stage="test"), *tags("volume", Name="disk")],
    )["Instances"][0]["InstanceId"]
    two = c.ask("in the default network", "run_instances", **anywhere)["Instances"][0]["InstanceId"]
    many = c.ask("three at once", "run_instances", **{**placed, "MinCount": 3, "MaxCount": 3}, only=["OwnerId", "ReservationId"])
    with_disks = c.ask(
        "disks", "run_instances", **placed,
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}},
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5, "DeleteOnTermination": False}},
        ],
        only=[],
    )["Instances"][0]["InstanceId"]
    public = c.ask(
        "interface", "run_instances", **launch,
        NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": True}],
    )["Instances"][0]["InstanceId"]
    c.ask("interface and subnet", "run_instances", **placed, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet}])
    c.wait("instance_running", InstanceIds=[one, two, with_disks, public])
    c.ask("running", "describe_instances", InstanceIds=[one])
    c.ask("public", "describe_instances", InstanceIds=[public])
    c.ask("with disks", "describe_instances", InstanceIds=[with_disks])
    everywhere = by("instance-id", one, two, public)
    for name, value in (
        ("instance-state-name", "running"), ("tag:Name", "o?e"), ("tag-key", "stage"), ("vpc-id", vpc), ("subnet-id", subnet),
        ("instance-type", "t3.*"), ("key-name", "mine"), ("image-id", image), ("instance.group-id", group),
        ("availability-zone", c.region + "a"), ("instance-state-code", "16"), ("architecture", "x86_64"),
        ("network-interface.subnet-id", subnet), ("instance-lifecycle", "spot"), ("root-device-type", "ebs"),
        ("private-ip-address", "10.0.*"), ("owner-id", "123456789012"), ("tenancy", "default"),
    ):
        told = c.ask(f"by {name}", "describe_instances", only=[], Filters=[everywhere, by(name, value)])
        found = [i["InstanceId"] for r in told["Reservations"] for i in r["Instances"]] if isinstance(told, dict) else []
        c.note(f"found by {name}", "DescribeInstances", sorted(["one", "two", "public"][[one, two, public].index(i)] for i in found))
    c.ask("by reservation", "describe_instances", only=[], Filters=[by("reservation-id", many["ReservationId"])])
    c.ask("unknown filter", "describe_instances", Filters=[by("colour", "red")])
    c.ask("not found", "describe_instances", InstanceIds=["i-0123456789abcdef0"])
    c.ask("two not found", "describe_instances", InstanceIds=["i-0123456789abcdef0", "i-12345678"])
    c.ask("malformed", "describe_instances", InstanceIds=["i-zzz"])
    c.ask("ids and a page", "describe_instances", InstanceIds=[one], MaxResults=5)
    c.ask("page too small", "describe_instances", MaxResults=1)
    c.ask("page too large", "describe_instances", MaxResults=5000)
    c.ask("no such page", "describe_instances", NextToken="nonsense")
    c.wait("instance_status_ok", InstanceIds=[one])
    c.ask("one", "describe_instance_status", InstanceIds=[one])
    c.ask("with all", "describe_instance_status", InstanceIds=[one], IncludeAllInstances=True)
    c.ask("not found", "describe_instance_status", InstanceIds=["i-0123456789abcdef0"])
    c.ask("malformed", "describe_instance_status", InstanceIds=["i-zzz"])
    c.ask("by state", "describe_instance_status", Filters=[by("instance-state-name", "running"), by("availability-zone", "mars*")])
    c.ask("of an instance", "describe_volumes", Filters=[by("attachment.instance-id", with_disks)])
    c.ask("of an instance", "describe_network_interfaces", Filters=[by("attachment.instance-id", one)])
    c.ask("one", "get_console_output", InstanceId=one, only=["InstanceId"])
    c.ask("not found", "get_console_output", InstanceId="i-0123456789abcdef0")
    c.ask("of an instance", "create_tags", Resources=[one], Tags=[{"Key": "stage", "Value": "live"}])
    c.ask("after the tag", "describe_instances", InstanceIds=[one], Filters=[by("tag:stage", "live")])
    c.ask("dry", "terminate_instances", InstanceIds=[one], DryRun=True)
    c.ask("not found", "terminate_instances", InstanceIds=["i-0123456789abcdef0"])
    c.ask("one of two not found", "terminate_instances", InstanceIds=[one, "i-0123456789abcdef0"])
    c.ask("malformed", "terminate_instances", InstanceIds=["i-zzz"])
    c.ask("nothing named", "terminate_instances")
    c.ask("first", "terminate_instances", InstanceIds=[one])
    c.wait("instance_terminated", InstanceIds=[one])
    c.ask("ended", "describe_instances", InstanceIds=[one])
    c.ask("again", "terminate_instances", InstanceIds=[one])
    c.ask("of an instance that ended", "describe_volumes", Filters=[by("attachment.instance-id", one)])
    c.ask("disks", "terminate_instances", InstanceIds=[with_disks])
    c.wait("instance_terminated", InstanceIds=[with_disks])
    c.ask("that stay", "describe_volumes", Filters=[by("status", "available"), by("size", "5")])
    c.ask("rest", "terminate_instances", InstanceIds=[two])
    c.ask("with an instance", "delete_subnet", SubnetId=subnet)
    c.ask("used by an instance", "delete_security_group", GroupId=group)
    c.ask("network of an instance", "delete_vpc", VpcId=vpc)
    c.ask("last", "terminate_instances", InstanceIds=[public])


def tokens(c):
    image = c.image()
    launch = dict(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, ClientToken="launch-1")
    one = c.ask("first", "run_instances", **launch, only=["OwnerId"])["ReservationId"]
    two = c.ask("repeated", "run_instances", **launch, only=["OwnerId"])["ReservationId"]
    c.note("the same launch", "RunInstances", one == two)
    c.ask("another type", "run_instances", **{**launch, "InstanceType": "t3.small"}, only=["OwnerId"])
    c.ask("of the token", "describe_instances", Filters=[by("client-token", "launch-1")], only=[])
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    one = c.ask("first", "create_route_table", VpcId=vpc, ClientToken="table-1", only=[])
    two = c.ask("repeated", "create_route_table", VpcId=vpc, ClientToken="table-1", only=[])
    c.note("the same table", "CreateRouteTable", one["RouteTable"]["RouteTableId"] == two["RouteTable"]["RouteTableId"])
    zone = c.region + "a"
    one = c.ask("first", "create_volume", AvailabilityZone=zone, Size=1, ClientToken="disk-1", only=["Size"])
    two = c.ask("repeated", "create_volume", AvailabilityZone=zone, Size=1, ClientToken="disk-1", only=["Size"])
    c.note("the same volume", "CreateVolume", one["VolumeId"] == two["VolumeId"])


def volumes(c):
    zone = c.region + "a"
    disk = c.ask("tagged", "create_volume", AvailabilityZone=zone, Size=10, VolumeType="gp3", TagSpecifications=tags("volume", Name="disk"))
    disk = disk["VolumeId"]
    c.ask("plain", "create_volume", AvailabilityZone=zone, Size=3)
    c.ask("encrypted", "create_volume", AvailabilityZone=zone, Size=4, VolumeType="gp2", Encrypted=True)
    c.ask("fast", "create_volume", AvailabilityZone=zone, Size=100, VolumeType="io2", Iops=3000)
    c.ask("speed of the wrong kind", "create_volume", AvailabilityZone=zone, Size=100, VolumeType="gp2", Iops=3000)
    c.ask("throughput", "create_volume", AvailabilityZone=zone, Size=100, VolumeType="gp3", Throughput=250)
    c.ask("no size", "create_volume", AvailabilityZone=zone)
    c.ask("no zone", "create_volume", Size=1)
    c.ask("no such zone", "create_volume", AvailabilityZone="mars-1a", Size=1)
    c.ask("no such kind", "create_volume", AvailabilityZone=zone, Size=1, VolumeType="floppy")
    c.ask("dry", "create_volume", AvailabilityZone=zone, Size=1, DryRun=True)
    c.wait("volume_available", VolumeIds=[disk])
    c.ask("one", "describe_volumes", VolumeIds=[disk])
    for name, value in (("size", "10"), ("status", "available"), ("tag:Name", "d*"), ("encrypted", "true"), ("volume-type", "io2"), ("volume-id", disk)):
        c.ask(f"by {name}", "describe_volumes", Filters=[by("availability-zone", zone), by(name, value)])
    c.ask("unknown filter", "describe_volumes", Filters=[by("colour", "red")])
    c.ask("not found", "describe_volumes", VolumeIds=["vol-0123456789abcdef0"])
    c.ask("malformed", "describe_volumes", VolumeIds=["vol-zzz"])
    c.ask("dry", "delete_volume", VolumeId=disk, DryRun=True)
    c.ask("first", "delete_volume", VolumeId=disk)
    c.ask("again", "delete_volume", VolumeId=disk)
    c.ask("nothing named", "delete_volume")


def spot(c):
    image = c.image()
    launch = dict(ImageId=image, InstanceType="t3.medium", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": c.region + "a"})
    one = c.ask("spot", "run_instances", **launch, InstanceMarketOptions=SPOT, TagSpecifications=tags("spot-instances-request", Name="cheap"))
    one = one["Instances"][0]["InstanceId"]
    c.ask("no such market", "run_instances", **launch, InstanceMarketOptions={"MarketType": "black"})
    c.wait("instance_running", InstanceIds=[one])
    told = c.ask("spot", "describe_instances", InstanceIds=[one], only=[])
    request = told["Reservations"][0]["Instances"][0]["SpotInstanceRequestId"]
    c.ask("of the launch", "describe_spot_instance_requests", SpotInstanceRequestIds=[request])
    c.ask("active", "describe_spot_instance_requests", Filters=[by("state", "active")])
    c.ask("by tag", "describe_spot_instance_requests", Filters=[by("tag:Name", "cheap")], only=[])
    c.ask("not found", "describe_spot_instance_requests", SpotInstanceRequestIds=["sir-12345678"])
    c.ask("unknown filter", "describe_spot_instance_requests", Filters=[by("colour", "red")])
    c.ask("first", "cancel_spot_instance_requests", SpotInstanceRequestIds=[request])
    c.ask("again", "cancel_spot_instance_requests", SpotInstanceRequestIds=[request])
    c.ask("not found", "cancel_spot_instance_requests", SpotInstanceRequestIds=["sir-12345678"])
    c.ask("nothing named", "cancel_spot_instance_requests")
    c.ask("still runs", "describe_instances", InstanceIds=[one], only=[])
    c.ask("spot", "terminate_instances", InstanceIds=[one])


SCENARIOS = [instances, tokens, volumes, spot]
