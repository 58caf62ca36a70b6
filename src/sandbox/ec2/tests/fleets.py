# Launch templates
image = newest()
subnets = {s["AvailabilityZone"]: s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]}
ec2.create_placement_group(GroupName="near", Strategy="cluster", TagSpecifications=tags("placement-group", team="x"))
refused("InvalidPlacementGroup.Duplicate", ec2.create_placement_group, GroupName="near")
assert ec2.describe_placement_groups(GroupNames=["near"])["PlacementGroups"][0]["Tags"][0]["Value"] == "x"
data = dict(
    ImageId=image,
    UserData="IyEvYmluL3NoCg==",
    IamInstanceProfile={"Name": "web"},
    MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    InstanceInitiatedShutdownBehavior="terminate",
    Monitoring={"Enabled": True},
    CreditSpecification={"CpuCredits": "standard"},
    Placement={"GroupName": "near"},
    CapacityReservationSpecification={"CapacityReservationPreference": "none"},
    BlockDeviceMappings=[
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 30, "VolumeType": "gp3", "Iops": 4000, "Throughput": 250, "Encrypted": True, "KmsKeyId": "alias/x"}},
    ],
    NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": True, "DeleteOnTermination": True}],
    TagSpecifications=tags("instance", Name="from-template", app="a") + tags("volume", app="a"),
)
made = ec2.create_launch_template(
    LaunchTemplateName="web", ClientToken="t1", VersionDescription="first", LaunchTemplateData=data,
    TagSpecifications=tags("launch-template", team="x"),
)["LaunchTemplate"]
template = made["LaunchTemplateId"]
again = ec2.create_launch_template(
    LaunchTemplateName="web", ClientToken="t1", VersionDescription="first", LaunchTemplateData=data,
    TagSpecifications=tags("launch-template", team="x"),
)["LaunchTemplate"]
assert again["LaunchTemplateId"] == template and made["Tags"] == [{"Key": "team", "Value": "x"}]
refused("IdempotentParameterMismatch", ec2.create_launch_template, LaunchTemplateName="other", ClientToken="t1", LaunchTemplateData=data)
refused("InvalidLaunchTemplateName.AlreadyExistsException", ec2.create_launch_template, LaunchTemplateName="web", LaunchTemplateData=data)
refused("UnknownParameter", ec2.create_launch_template, LaunchTemplateName="odd", LaunchTemplateData={"RamDiskId": "x"})
second = ec2.create_launch_template_version(LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.small"})
assert second["LaunchTemplateVersion"]["VersionNumber"] == 2
found = ec2.describe_launch_templates(Filters=[by("tag:team", "x")])["LaunchTemplates"]
assert [(t["LaunchTemplateName"], t["LatestVersionNumber"], t["DefaultVersionNumber"]) for t in found] == [("web", 2, 1)]
assert ec2.describe_launch_templates(Filters=[by("tag:team", "y")])["LaunchTemplates"] == []
refused("InvalidLaunchTemplateName.NotFoundException", ec2.describe_launch_templates, LaunchTemplateNames=["none"])
versions = ec2.describe_launch_template_versions(LaunchTemplateName="web")["LaunchTemplateVersions"]
assert [v["VersionNumber"] for v in versions] == [2, 1]
told = versions[0]["LaunchTemplateData"]
assert told["InstanceType"] == "t3.small" and told["BlockDeviceMappings"][0]["Ebs"]["Throughput"] == 250
assert told["TagSpecifications"][0]["Tags"] and told["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is True
latest = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Latest"])["LaunchTemplateVersions"]
assert [v["VersionNumber"] for v in latest] == [2]

# RunInstances from a template, and what it takes besides
one = ec2.run_instances(
    LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"}, MinCount=1, MaxCount=1,
    TagSpecifications=tags("instance", Name="mine"),
)["Instances"][0]
labels = {t["Key"]: t["Value"] for t in one["Tags"]}
assert labels == {"Name": "mine", "app": "a", "aws:ec2launchtemplate:id": template, "aws:ec2launchtemplate:version": "2"}, labels
assert one["InstanceType"] == "t3.small" and one["Placement"]["GroupName"] == "near"
assert one["IamInstanceProfile"]["Arn"].endswith(":instance-profile/web")
assert one["CapacityReservationSpecification"]["CapacityReservationPreference"] == "none"
volume = ec2.describe_volumes(Filters=[by("attachment.instance-id", one["InstanceId"])])["Volumes"][0]
assert (volume["Size"], volume["Iops"], volume["Throughput"], volume["KmsKeyId"]) == (30, 4000, 250, "alias/x")
refused("InvalidPlacementGroup.InUse", ec2.delete_placement_group, GroupName="near")
for wrong in ({"Arn": "arn:aws:iam::1:role/x"}, {"Name": "a b"}):
    refused("InvalidParameterValue", ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile=wrong)
refused("InvalidPlacementGroup.Unknown", ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1, Placement={"GroupName": "far"})
refused("InvalidParameterCombination", ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1,
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp2", "Iops": 3000}}])
refused("MissingParameter", ec2.run_instances, MinCount=1, MaxCount=1)

# An instant fleet over types and zones
pools = [
    {"InstanceType": kind, "SubnetId": subnets[zone], "Priority": float(n)}
    for n, kind in enumerate(["t3.medium", "t3a.medium"]) for zone in ["us-west-2a", "us-west-2b"]
]
fleet_request = dict(
    Type="instant", ClientToken="f1",
    LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"}, "Overrides": pools}],
    TargetCapacitySpecification={"TotalTargetCapacity": 5, "OnDemandTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
    SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
    OnDemandOptions={"AllocationStrategy": "prioritized"},
    TagSpecifications=tags("fleet", team="x") + tags("instance", run="7") + tags("spot-instances-request", run="7"),
)
refused("DryRunOperation", ec2.create_fleet, **fleet_request, DryRun=True)
fleet = ec2.create_fleet(**fleet_request)
ids = [i for group in fleet["Instances"] for i in group["InstanceIds"]]
assert len(ids) == 5 and fleet["Errors"] == []
by_life = {group["Lifecycle"]: group for group in fleet["Instances"]}
assert by_life["on-demand"]["InstanceType"] == "t3.medium" and len(by_life["on-demand"]["InstanceIds"]) == 1
assert by_life["spot"]["LaunchTemplateAndOverrides"]["Overrides"]["SubnetId"] in subnets.values()
repeated = ec2.create_fleet(**fleet_request)
assert repeated["FleetId"] == fleet["FleetId"] and [i for g in repeated["Instances"] for i in g["InstanceIds"]] == ids
refused("IdempotentParameterMismatch", ec2.create_fleet, **{**fleet_request, "SpotOptions": {"AllocationStrategy": "lowest-price"}})
launched = [i for r in ec2.describe_instances(Filters=[by("tag:aws:ec2:fleet-id", fleet["FleetId"])])["Reservations"] for i in r["Instances"]]
assert sorted(i["InstanceId"] for i in launched) == sorted(ids)
labels = {t["Key"]: t["Value"] for t in launched[0]["Tags"]}
assert (labels["run"], labels["app"], labels["aws:ec2launchtemplate:version"]) == ("7", "a", "1"), labels
assert len(ec2.describe_spot_instance_requests(Filters=[by("tag:run", "7")])["SpotInstanceRequests"]) == 4
assert ec2.describe_fleets()["Fleets"] == []
told = ec2.describe_fleets(FleetIds=[fleet["FleetId"]], Filters=[by("type", "instant"), by("tag:team", "x")])["Fleets"][0]
assert told["FleetState"] == "active" and told["FulfilledCapacity"] == 5.0 and told["FulfilledOnDemandCapacity"] == 1.0
assert len(told["Instances"]) == len(fleet["Instances"]) and len(told["LaunchTemplateConfigs"][0]["Overrides"]) == 4
assert len(ec2.describe_fleet_instances(FleetId=fleet["FleetId"])["ActiveInstances"]) == 5

# Other ways to ask
plain = ec2.create_launch_template(LaunchTemplateName="plain", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.medium"})
config = lambda *overrides: [{"LaunchTemplateSpecification": {"LaunchTemplateName": "plain", "Version": "$Latest"}, "Overrides": list(overrides)}]
spread = ec2.create_fleet(
    Type="instant", LaunchTemplateConfigs=config(*pools),
    TargetCapacitySpecification={"TotalTargetCapacity": 8, "DefaultTargetCapacityType": "spot"}, SpotOptions={"AllocationStrategy": "diversified"},
)
assert sorted(len(g["InstanceIds"]) for g in spread["Instances"]) == [2, 2, 2, 2]
heavy = ec2.create_fleet(
    Type="instant", LaunchTemplateConfigs=config({"InstanceType": "m5.xlarge", "WeightedCapacity": 4.0}),
    TargetCapacitySpecification={"TotalTargetCapacity": 6, "DefaultTargetCapacityType": "on-demand"},
)
assert len(heavy["Instances"][0]["InstanceIds"]) == 2
single = ec2.create_fleet(
    Type="instant", LaunchTemplateConfigs=config(*pools), SpotOptions={"SingleInstanceType": True, "MinTargetCapacity": 3},
    TargetCapacitySpecification={"TotalTargetCapacity": 3, "DefaultTargetCapacityType": "spot"},
)
assert len({g["InstanceType"] for g in single["Instances"]}) == 1
cheap = ec2.create_fleet(
    Type="instant", LaunchTemplateConfigs=config(*pools), SpotOptions={"MaxTotalPrice": "0.05"},
    TargetCapacitySpecification={"TotalTargetCapacity": 20, "DefaultTargetCapacityType": "spot"},
)
assert 1 <= sum(len(g["InstanceIds"]) for g in cheap["Instances"]) < 5
assert {e["ErrorCode"] for e in cheap["Errors"]} == {"MaxTotalPriceExceeded"}
by_need = ec2.create_fleet(
    Type="instant",
    LaunchTemplateConfigs=config({"InstanceRequirements": {
        "VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 8192, "Max": 8192}, "CpuManufacturers": ["intel"]}}),
    TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
)
assert by_need["Instances"][0]["InstanceType"] in ("m5.large", "m6i.large", "m7i.large")
refused("InvalidParameterCombination", ec2.create_fleet, Type="instant", LaunchTemplateConfigs=config(), SpotOptions={"MinTargetCapacity": 1},
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"})
refused("UnsupportedOperation", ec2.create_fleet, Type="maintain", LaunchTemplateConfigs=config(), TargetCapacitySpecification={"TotalTargetCapacity": 1})
refused("InvalidLaunchTemplateName.NotFoundException", ec2.create_fleet, Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateName": "gone", "Version": "1"}}],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"})
refused("InvalidLaunchTemplateId.VersionNotFound", ec2.create_fleet, Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateName": "web", "Version": "9"}}],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"})

# The end
fleets = [f["FleetId"] for f in (fleet, spread, heavy, single, cheap, by_need)]
refused("NoTerminateInstancesNotSupported", ec2.delete_fleets, FleetIds=fleets, TerminateInstances=False)
unknown = "fleet-00000000-0000-0000-0000-000000000000"
gone = ec2.delete_fleets(FleetIds=fleets + [unknown], TerminateInstances=True)
assert len(gone["SuccessfulFleetDeletions"]) == 6 and gone["UnsuccessfulFleetDeletions"][0]["Error"]["Code"] == "fleetIdDoesNotExist"
ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
state = lambda: ec2.describe_fleets(FleetIds=[fleet["FleetId"]])["Fleets"][0]["FleetState"]
eventually(lambda: state() == "deleted")
ec2.delete_launch_template(LaunchTemplateId=template)
ec2.delete_launch_template(LaunchTemplateName="plain")
refused("InvalidLaunchTemplateId.NotFound", ec2.delete_launch_template, LaunchTemplateId=template)
ec2.delete_placement_group(GroupName="near")
