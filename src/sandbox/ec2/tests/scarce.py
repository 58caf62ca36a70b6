image = newest()
ec2.create_launch_template(LaunchTemplateName="plain", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.medium"})


def fleet(total, *overrides, kind="spot", **options):
    return ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateName": "plain", "Version": "1"}, "Overrides": list(overrides)}],
        TargetCapacitySpecification={"TotalTargetCapacity": total, "DefaultTargetCapacityType": kind},
        **options,
    )


def pool(zone, kind="t3.medium", **more):
    return {"InstanceType": kind, "AvailabilityZone": zone, **more}


def count(fleet):
    return sum(len(group["InstanceIds"]) for group in fleet["Instances"])


def errors(fleet):
    return {(e["LaunchTemplateAndOverrides"]["Overrides"].get("AvailabilityZone"), e["Lifecycle"]): e["ErrorCode"] for e in fleet["Errors"]}


# Partial capacity: what came is kept, and each pool says why it gave no more
part = fleet(5, pool("us-west-2a"), pool("us-west-2b"))
assert count(part) == 2
assert errors(part) == {("us-west-2a", "spot"): "InsufficientInstanceCapacity", ("us-west-2b", "spot"): "InsufficientInstanceCapacity"}
# On-demand has a capacity of its own
other = fleet(2, pool("us-west-2b"), kind="on-demand")
assert count(other) == 2 and other["Errors"] == []
none = fleet(1, pool("us-west-2c"), kind="on-demand")
assert count(none) == 0 and errors(none) == {("us-west-2c", "on-demand"): "InsufficientInstanceCapacity"}
assert none["FleetId"].startswith("fleet-")
# A least that is not reached launches nothing
before = len(ec2.describe_instances()["Reservations"])
least = fleet(3, pool("us-west-2b"), SpotOptions={"SingleAvailabilityZone": True, "MinTargetCapacity": 3})
assert count(least) == 0 and least["Errors"] and len(ec2.describe_instances()["Reservations"]) == before
# Refusals by code, a price that is too low, a type that is not there
odd = fleet(2, pool("us-west-2b", "m7i.large"), pool("us-west-2d", MaxPrice="0.02"), pool("us-west-2c"), pool("us-east-1e"))
assert count(odd) == 2
assert {e["ErrorCode"] for e in fleet(1, pool("us-west-2b", "m7i.large"))["Errors"]} == {"UnfulfillableCapacity"}
low = fleet(1, pool("us-west-2d", MaxPrice="0.02"))
assert low["Errors"][0]["ErrorCode"] == "SpotMaxPriceTooLow" and "0.0411" in low["Errors"][0]["ErrorMessage"]
message = refused("SpotMaxPriceTooLow", ec2.run_instances, ImageId=image, InstanceType="t3.medium", MinCount=1, MaxCount=1,
                  Placement={"AvailabilityZone": "us-west-2d"}, InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.02"}})
assert "0.0411" in message
told = ec2.describe_spot_price_history(InstanceTypes=["t3.medium"], AvailabilityZone="us-west-2d", ProductDescriptions=["Linux/UNIX"], StartTime=time.time())
assert [p["SpotPrice"] for p in told["SpotPriceHistory"]] == ["0.041100"]

# Quotas count virtual processors: 24 for spot, of which 4 instances hold 8
quota = fleet(20, pool("us-west-2c"))
assert count(quota) == 8, quota
assert errors(quota) == {("us-west-2c", "spot"): "MaxSpotInstanceCountExceeded"}
refused("MaxSpotInstanceCountExceeded", ec2.run_instances, ImageId=image, InstanceType="t3.medium", MinCount=1, MaxCount=1,
        Placement={"AvailabilityZone": "us-west-2c"}, InstanceMarketOptions={"MarketType": "spot"})
ec2.run_instances(ImageId=image, InstanceType="t3.medium", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": "us-west-2b"})
west = session.client("ec2", region_name="eu-west-1")
picture = west.describe_images(Filters=[by("architecture", "x86_64")])["Images"][0]["ImageId"]
message = refused("VcpuLimitExceeded", west.run_instances, ImageId=picture, InstanceType="t3.medium", MinCount=3, MaxCount=3)
assert "limit of 4" in message
assert len(west.run_instances(ImageId=picture, InstanceType="t3.medium", MinCount=1, MaxCount=3)["Instances"]) == 2

# Placement scores follow the capacity
scores = ec2.get_spot_placement_scores(
    InstanceTypes=["t3.medium", "m5.large", "m6i.large"], TargetCapacity=10, RegionNames=["us-west-2", "eu-west-1"])["SpotPlacementScores"]
assert {s["Region"] for s in scores} == {"us-west-2", "eu-west-1"} and all(s["Score"] == 10 for s in scores)
few = ec2.get_spot_placement_scores(InstanceTypes=["t3.medium"], TargetCapacity=10, RegionNames=["eu-west-1"])["SpotPlacementScores"]
assert 1 <= few[0]["Score"] <= 3
zones = ec2.get_spot_placement_scores(
    InstanceTypes=["t3.medium", "m5.large", "m6i.large"], TargetCapacity=2000, SingleAvailabilityZone=True, RegionNames=["us-west-2"])["SpotPlacementScores"]
assert len(zones) == 4 and all(s["AvailabilityZoneId"].startswith("usw2-az") and s["Score"] < 5 for s in zones), zones
need = {"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 4096, "Max": 8192}, "BurstablePerformance": "included"}
scores = ec2.get_spot_placement_scores(
    InstanceRequirementsWithMetadata={"ArchitectureTypes": ["x86_64"], "VirtualizationTypes": ["hvm"], "InstanceRequirements": need}, TargetCapacity=4)
assert len(scores["SpotPlacementScores"]) == 10
types = ec2.get_instance_types_from_instance_requirements(ArchitectureTypes=["arm64"], VirtualizationTypes=["hvm"], InstanceRequirements=need)
names = {t["InstanceType"] for t in types["InstanceTypes"]}
assert "t4g.medium" in names and "c7g.xlarge" in names and "t3.medium" not in names and "m7g.xlarge" not in names
gpu = {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}, "AcceleratorCount": {"Min": 1}, "AcceleratorNames": ["t4"]}
types = ec2.get_instance_types_from_instance_requirements(ArchitectureTypes=["x86_64"], VirtualizationTypes=["hvm"], InstanceRequirements=gpu)
assert {t["InstanceType"].split(".")[0] for t in types["InstanceTypes"]} == {"g4dn"}

# Instance types by what they are
found = ec2.describe_instance_types(Filters=[
    by("processor-info.supported-architecture", "arm64"), by("vcpu-info.default-vcpus", "2"), by("memory-info.size-in-mib", "8192"),
    by("supported-usage-class", "spot"), by("bare-metal", "false"), by("burstable-performance-supported", "false")])["InstanceTypes"]
assert {t["InstanceType"] for t in found} == {"m6g.large", "m7g.large", "m8g.large"}
metal = ec2.describe_instance_types(Filters=[by("bare-metal", "true")])["InstanceTypes"]
assert len(metal) == 4 and "Hypervisor" not in metal[0]
big = ec2.describe_instance_types(InstanceTypes=["g4dn.12xlarge"])["InstanceTypes"][0]
assert big["GpuInfo"]["Gpus"][0]["Count"] == 4 and big["GpuInfo"]["TotalGpuMemoryInMiB"] == 65536
