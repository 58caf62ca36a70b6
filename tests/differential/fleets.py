"""Launch templates, fleets and placement groups."""

from cloud import by, tags


def templates(c):
    image = c.image()
    data = {"ImageId": image, "InstanceType": "t3.medium"}
    made = c.ask(
        "tagged", "create_launch_template", LaunchTemplateName="web", VersionDescription="first", LaunchTemplateData=data,
        TagSpecifications=tags("launch-template", Name="t"),
    )["LaunchTemplate"]["LaunchTemplateId"]
    c.ask("same name", "create_launch_template", LaunchTemplateName="web", LaunchTemplateData=data)
    c.ask("no data", "create_launch_template", LaunchTemplateName="other")
    c.ask("no name", "create_launch_template", LaunchTemplateData=data)
    c.ask("dry", "create_launch_template", LaunchTemplateName="other", LaunchTemplateData=data, DryRun=True)
    c.ask("second", "create_launch_template_version", LaunchTemplateId=made, LaunchTemplateData={**data, "InstanceType": "t3.large"}, VersionDescription="second")
    c.ask("from a version", "create_launch_template_version", LaunchTemplateName="web", SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.small"})
    c.ask("of none", "create_launch_template_version", LaunchTemplateName="nothing", LaunchTemplateData=data)
    c.ask("of no id", "create_launch_template_version", LaunchTemplateId="lt-0123456789abcdef0", LaunchTemplateData=data)
    spare = c.ask("spare", "create_launch_template", LaunchTemplateName="spare", LaunchTemplateData=data)["LaunchTemplate"]["LaunchTemplateId"]
    c.ask("from no version", "create_launch_template_version", LaunchTemplateId=spare, SourceVersion="99", LaunchTemplateData=data)
    c.ask("by id", "describe_launch_templates", LaunchTemplateIds=[made])
    c.ask("by name", "describe_launch_templates", LaunchTemplateNames=["web"])
    c.ask("by filter", "describe_launch_templates", Filters=[by("launch-template-name", "w*")])
    c.ask("by tag", "describe_launch_templates", Filters=[by("tag:Name", "t")])
    c.ask("no such name", "describe_launch_templates", LaunchTemplateNames=["nothing"])
    c.ask("no such id", "describe_launch_templates", LaunchTemplateIds=["lt-0123456789abcdef0"])
    c.ask("all", "describe_launch_template_versions", LaunchTemplateId=made)
    for version in ("1", "$Latest", "$Default"):
        c.ask(f"version {version}", "describe_launch_template_versions", LaunchTemplateName="web", Versions=[version])
    c.ask("range", "describe_launch_template_versions", LaunchTemplateId=made, MinVersion="2", MaxVersion="3")
    c.ask("of none", "describe_launch_template_versions", LaunchTemplateName="nothing")
    c.ask("no such version", "describe_launch_template_versions", LaunchTemplateId=made, Versions=["99"])
    launched = c.ask("from a template", "run_instances", MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateId": made, "Version": "1"}, Placement={"AvailabilityZone": c.region + "a"})
    c.ask("from no template", "run_instances", MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "nothing"})
    c.ask("from no version", "run_instances", MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateId": made, "Version": "99"})
    c.ask("by name and id", "run_instances", MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateId": made, "LaunchTemplateName": "web"})
    c.ask("of the template", "terminate_instances", InstanceIds=[launched["Instances"][0]["InstanceId"]])
    c.ask("dry", "delete_launch_template", LaunchTemplateId=made, DryRun=True)
    c.ask("first", "delete_launch_template", LaunchTemplateId=made)
    c.ask("again", "delete_launch_template", LaunchTemplateId=made)
    c.ask("no such name", "delete_launch_template", LaunchTemplateName="nothing")
    c.ask("nothing named", "delete_launch_template")


def fleets(c):
    image = c.image()
    made = c.ask("template", "create_launch_template", LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.medium"})
    made = made["LaunchTemplate"]["LaunchTemplateId"]
    config = {"LaunchTemplateSpecification": {"LaunchTemplateId": made, "Version": "1"}}
    pools = {**config, "Overrides": [{"InstanceType": "t3.medium"}, {"InstanceType": "t3a.medium"}]}

    def target(count, kind="spot"):
        return {"TotalTargetCapacity": count, "DefaultTargetCapacityType": kind}

    fleet = c.ask(
        "on demand", "create_fleet", Type="instant", LaunchTemplateConfigs=[config],
        TargetCapacitySpecification=target(2, "on-demand"), TagSpecifications=tags("fleet", Name="f"),
    )["FleetId"]
    spot = c.ask("spot", "create_fleet", Type="instant", LaunchTemplateConfigs=[pools], TargetCapacitySpecification=target(2))["FleetId"]
    c.ask("nothing", "create_fleet", Type="instant", LaunchTemplateConfigs=[config], TargetCapacitySpecification=target(0))
    c.ask("no pools", "create_fleet", Type="instant", TargetCapacitySpecification=target(1))
    c.ask("no target", "create_fleet", Type="instant", LaunchTemplateConfigs=[config])
    c.ask("no such template", "create_fleet", Type="instant", TargetCapacitySpecification=target(1), LaunchTemplateConfigs=[
        {"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-0123456789abcdef0", "Version": "1"}}
    ])
    c.ask("dry", "create_fleet", Type="instant", LaunchTemplateConfigs=[config], TargetCapacitySpecification=target(1), DryRun=True)
    c.ask("one", "describe_fleets", FleetIds=[fleet])
    c.ask("all", "describe_fleets")
    c.ask("not found", "describe_fleets", FleetIds=["fleet-11111111-1111-1111-1111-111111111111"])
    c.ask("one", "describe_fleet_instances", FleetId=fleet)
    c.ask("not found", "describe_fleet_instances", FleetId="fleet-11111111-1111-1111-1111-111111111111")
    c.ask("without its instances", "delete_fleets", FleetIds=[fleet], TerminateInstances=False)
    c.ask("first", "delete_fleets", FleetIds=[spot], TerminateInstances=True)
    c.ask("not found", "delete_fleets", FleetIds=["fleet-11111111-1111-1111-1111-111111111111"], TerminateInstances=True)
    c.ask("nothing named", "delete_fleets", TerminateInstances=True)


def placement_groups(c):
    c.ask("cluster", "create_placement_group", GroupName="near", Strategy="cluster", TagSpecifications=tags("placement-group", Name="p"))
    c.ask("spread", "create_placement_group", GroupName="far", Strategy="spread")
    c.ask("same name", "create_placement_group", GroupName="near", Strategy="cluster")
    c.ask("no such strategy", "create_placement_group", GroupName="x", Strategy="random")
    c.ask("no name", "create_placement_group", Strategy="cluster")
    c.ask("one", "describe_placement_groups", GroupNames=["near"])
    c.ask("by strategy", "describe_placement_groups", Filters=[by("strategy", "spread")])
    c.ask("not found", "describe_placement_groups", GroupNames=["nothing"])
    c.ask("in none", "run_instances", ImageId=c.image(), InstanceType="c5.large", MinCount=1, MaxCount=1, Placement={"GroupName": "nothing"})
    c.ask("first", "delete_placement_group", GroupName="near")
    c.ask("again", "delete_placement_group", GroupName="near")
    c.ask("nothing named", "delete_placement_group")


SCENARIOS = [templates, fleets, placement_groups]
