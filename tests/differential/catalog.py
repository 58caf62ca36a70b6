"""What AWS offers, and the services beside EC2."""

from cloud import by


def places(c):
    c.ask("all", "describe_regions", only=[])
    c.ask("two", "describe_regions", RegionNames=["us-west-2", "eu-west-1"])
    c.ask("with a wildcard", "describe_regions", Filters=[by("region-name", "us-west-*")])
    c.ask("every one", "describe_regions", AllRegions=True, only=[])
    c.ask("unknown", "describe_regions", RegionNames=["mars-east-1"])
    c.ask("unknown filter", "describe_regions", Filters=[by("colour", "red")])
    c.ask("all", "describe_availability_zones")
    c.ask("one", "describe_availability_zones", ZoneNames=[c.region + "a"])
    c.ask("by state", "describe_availability_zones", Filters=[by("state", "available"), by("zone-name", "*b")])
    c.ask("unknown", "describe_availability_zones", ZoneNames=["mars-1a"])
    c.ask("unknown filter", "describe_availability_zones", Filters=[by("colour", "red")])


def images(c):
    one = c.image()
    c.ask("one", "describe_images", ImageIds=[one], only=[])
    c.ask("not found", "describe_images", ImageIds=["ami-0123456789abcdef0"])
    c.ask("two not found", "describe_images", ImageIds=["ami-0123456789abcdef0", "ami-12345678"])
    c.ask("malformed", "describe_images", ImageIds=["nonsense"])
    c.ask("no name fits", "describe_images", Filters=[by("name", "no-such-image-*")])
    c.ask("of nobody", "describe_images", Owners=["111111111111"])
    c.ask("own", "describe_images", Owners=["self"])
    c.ask("unknown filter", "describe_images", Filters=[by("colour", "red")])


def types(c):
    c.ask("one", "describe_instance_types", InstanceTypes=["t3.medium"])
    c.ask("arm", "describe_instance_types", InstanceTypes=["m6g.large"])
    c.ask("unknown", "describe_instance_types", InstanceTypes=["t3.gigantic"])
    c.ask("by size", "describe_instance_types", Filters=[by("instance-type", "t3.medium"), by("vcpu-info.default-vcpus", "2")], only=[])
    c.ask("unknown filter", "describe_instance_types", Filters=[by("colour", "red")])
    c.ask("of the region", "describe_instance_type_offerings", Filters=[by("instance-type", "t3.medium")])
    c.ask("of zones", "describe_instance_type_offerings", LocationType="availability-zone", Filters=[by("instance-type", "t3.medium"), by("location", c.region + "a")])
    c.ask("no such place", "describe_instance_type_offerings", LocationType="planet")
    c.ask("none", "describe_instance_type_offerings", Filters=[by("instance-type", "x.y")])
    c.ask("one type", "describe_spot_price_history", InstanceTypes=["t3.medium"], ProductDescriptions=["Linux/UNIX"], AvailabilityZone=c.region + "a", MaxResults=1, only=[])
    c.ask("no such type", "describe_spot_price_history", InstanceTypes=["x.y"])
    c.ask("unknown filter", "describe_spot_price_history", Filters=[by("colour", "red")])
    c.ask("none", "get_spot_placement_scores", InstanceTypes=["t3.medium"], TargetCapacity=5)
    c.ask("virtual processors", "get_instance_types_from_instance_requirements", ArchitectureTypes=["x86_64"], VirtualizationTypes=["hvm"],
          InstanceRequirements={"VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 4096, "Max": 4096}}, only=[])


def services(c):
    c.ask("plain", "get_caller_identity", service="sts", only=["Account"])
    ubuntu = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    c.ask("public", "get_parameter", service="ssm", Name=ubuntu, only=[])
    c.ask("unknown", "get_parameter", service="ssm", Name="/no/such/parameter")
    c.ask("unknown", "get_parameters", service="ssm", Names=["/no/such/parameter"])
    c.ask("none", "get_parameters", service="ssm", Names=[])
    c.ask("vpcs", "get_service_quota", service="service-quotas", ServiceCode="vpc", QuotaCode="L-F678F1CE")
    c.ask("unknown", "get_service_quota", service="service-quotas", ServiceCode="vpc", QuotaCode="L-00000000")
    c.ask("vpcs", "list_service_quotas", service="service-quotas", ServiceCode="vpc", only=[])
    c.ask("unknown", "list_service_quotas", service="service-quotas", ServiceCode="nothing")
    c.ask("unknown", "get_role", service="iam", RoleName="nothing")
    c.ask("spot", "get_role", service="iam", RoleName="AWSServiceRoleForEC2Spot")
    c.ask("again", "create_service_linked_role", service="iam", AWSServiceName="spot.amazonaws.com", only=[])
    c.ask("unknown", "get_products", service="pricing", ServiceCode="Nothing")
    c.ask("t3.medium", "get_products", service="pricing", ServiceCode="AmazonEC2", Filters=[
        {"Type": "TERM_MATCH", "Field": "instanceType", "Value": "t3.medium"},
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": c.region},
    ], MaxResults=1, only=[])


SCENARIOS = [places, images, types, services]
