# What was just made is not seen by others, and is found by who repeats the request
vpc = ec2.describe_vpcs(Filters=[by("is-default", "true")])["Vpcs"][0]["VpcId"]
group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
ingress = dict(GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="10.0.0.0/8")
refused("InvalidGroup.NotFound", ec2.authorize_security_group_ingress, **ingress)
refused("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[group])
assert group not in [g["GroupId"] for g in ec2.describe_security_groups()["SecurityGroups"]]
refused("InvalidGroup.Duplicate", ec2.create_security_group, GroupName="web", Description="web", VpcId=vpc)
launch = dict(ImageId=newest(), InstanceType="t3.micro", MinCount=1, MaxCount=1, ClientToken="once")
refused("InvalidGroup.NotFound", ec2.run_instances, **launch, SecurityGroupIds=[group])
instance = ec2.run_instances(**launch)["Instances"][0]["InstanceId"]
assert ec2.run_instances(**launch)["Instances"][0]["InstanceId"] == instance
refused("IdempotentParameterMismatch", ec2.run_instances, **{**launch, "InstanceType": "t3.small"})
refused("InvalidInstanceID.NotFound", ec2.create_tags, Resources=[instance], Tags=[{"Key": "a", "Value": "b"}])
refused("InvalidInstanceID.NotFound", ec2.terminate_instances, InstanceIds=[instance])
assert ec2.describe_instances()["Reservations"] == [] and ec2.describe_volumes()["Volumes"] == []
ec2.create_launch_template(LaunchTemplateName="plain", LaunchTemplateData={"ImageId": newest(), "InstanceType": "t3.micro"}, ClientToken="t")
refused("InvalidLaunchTemplateName.AlreadyExistsException", ec2.create_launch_template, LaunchTemplateName="plain", LaunchTemplateData={"ImageId": newest()})
refused("InvalidLaunchTemplateName.NotFoundException", ec2.run_instances, MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "plain"})
assert ec2.create_launch_template(LaunchTemplateName="plain", LaunchTemplateData={"ImageId": newest(), "InstanceType": "t3.micro"}, ClientToken="t")["LaunchTemplate"]
