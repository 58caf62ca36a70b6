# In the end all of it is seen
(instance,) = [i["InstanceId"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
assert "plain" in [t["LaunchTemplateName"] for t in ec2.describe_launch_templates()["LaunchTemplates"]]
(group,) = ec2.describe_security_groups(GroupNames=["web"])["SecurityGroups"]
ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="10.0.0.0/8")
ec2.create_tags(Resources=[instance], Tags=[{"Key": "a", "Value": "b"}])
ec2.terminate_instances(InstanceIds=[instance])
