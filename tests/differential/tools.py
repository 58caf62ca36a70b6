"""Tools that know nothing of either cloud: boto3's waiters and paginators, and the AWS command line."""

import json
import os
import shutil
import subprocess

from cloud import by


def paginators(c):
    names = [f"group-{number:02}" for number in range(12)]
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for name in names:
        c.ask(f"make {name}", "create_security_group", GroupName=name, Description=name, VpcId=vpc, only=[])
    pages = c.ec2.get_paginator("describe_security_groups").paginate(
        Filters=[by("vpc-id", vpc)], PaginationConfig={"PageSize": 5}
    )
    pages = [page["SecurityGroups"] for page in pages]
    c.note("sizes of pages", "DescribeSecurityGroups", sum(map(len, pages)))
    c.note("on pages", "DescribeSecurityGroups", sorted(group["GroupName"] for page in pages for group in page))
    for paginator, result in (
        ("describe_instances", "Reservations"), ("describe_volumes", "Volumes"), ("describe_route_tables", "RouteTables"),
        ("describe_vpcs", "Vpcs"), ("describe_subnets", "Subnets"), ("describe_internet_gateways", "InternetGateways"),
        ("describe_tags", "Tags"), ("describe_network_interfaces", "NetworkInterfaces"), ("describe_launch_templates", "LaunchTemplates"),
    ):
        total = sum(len(page[result]) for page in c.ec2.get_paginator(paginator).paginate(PaginationConfig={"PageSize": 5}))
        c.note("in all pages", c.ec2.meta.method_to_api_mapping[paginator], total)


def waiters(c):
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    c.wait("vpc_exists", VpcIds=[vpc])
    c.wait("vpc_available", VpcIds=[vpc])
    subnet = c.ask("subnet", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=c.region + "a")["Subnet"]["SubnetId"]
    c.wait("subnet_available", SubnetIds=[subnet])
    group = c.ask("group", "create_security_group", GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    c.wait("security_group_exists", GroupIds=[group])
    machine = c.ask("instance", "run_instances", ImageId=c.image(), InstanceType="t3.micro", MinCount=1, MaxCount=1, only=[])
    machine = machine["Instances"][0]["InstanceId"]
    for state in ("instance_exists", "instance_running", "instance_status_ok", "system_status_ok"):
        c.wait(state, InstanceIds=[machine])
        c.note(state, "DescribeInstances", "reached")
    c.ask("instance", "terminate_instances", InstanceIds=[machine], only=[])
    c.wait("instance_terminated", InstanceIds=[machine])
    disk = c.ask("disk", "create_volume", AvailabilityZone=c.region + "a", Size=1, only=["Size"])["VolumeId"]
    c.wait("volume_available", VolumeIds=[disk])
    c.ask("disk", "delete_volume", VolumeId=disk)
    c.wait("volume_deleted", VolumeIds=[disk])
    c.note("volume_deleted", "DescribeVolumes", "reached")


def command_line(c):
    """The `aws` command, if it is there."""
    if shutil.which("aws") is None:
        return

    def aws(*words):
        environment = {
            **os.environ, "AWS_ENDPOINT_URL": c.url, "AWS_DEFAULT_REGION": c.region, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": "",
        }
        done = subprocess.run(["aws", *words, "--output", "json"], env=environment, capture_output=True, text=True, timeout=60)
        answer = json.loads(done.stdout) if done.stdout.strip() else {}
        c.note(" ".join(words[:2]), "aws", {"exit": done.returncode, "members": sorted(answer)})
        return answer

    vpc = aws("ec2", "create-vpc", "--cidr-block", "10.0.0.0/16")["Vpc"]["VpcId"]
    aws("ec2", "describe-vpcs", "--vpc-ids", vpc, "--query", "Vpcs[0].{Id: VpcId}")
    aws("ec2", "delete-vpc", "--vpc-id", vpc)


SCENARIOS = [paginators, waiters, command_line]
