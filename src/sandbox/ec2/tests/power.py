# Stop, start, reboot
launch = dict(ImageId=newest(), InstanceType="t3.micro", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": "us-west-2a"})
pair = ec2.create_key_pair(KeyName="made", KeyType="ed25519", TagSpecifications=tags("key-pair", a="b"))
assert pair["KeyMaterial"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----") and pair["Tags"]
refused("InvalidKeyPair.Duplicate", ec2.create_key_pair, KeyName="made", KeyType="ed25519")
refused("UnsupportedOperation", ec2.create_key_pair, KeyName="other")
i = ec2.run_instances(**launch, KeyName="made", DisableApiTermination=True)["Instances"][0]["InstanceId"]
state = lambda: ec2.describe_instances(InstanceIds=[i])["Reservations"][0]["Instances"][0]
eventually(lambda: state()["State"]["Name"] == "running")
refused("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[i])
refused("IncorrectInstanceState", ec2.modify_instance_attribute, InstanceId=i, InstanceType={"Value": "t3.small"})
ec2.reboot_instances(InstanceIds=[i])
stopped = ec2.stop_instances(InstanceIds=[i])["StoppingInstances"][0]
assert (stopped["CurrentState"]["Name"], stopped["PreviousState"]["Name"]) == ("stopping", "running")
eventually(lambda: state()["State"] == {"Code": 80, "Name": "stopped"})
assert "PublicIpAddress" not in state() and state()["PrivateIpAddress"]
refused("IncorrectInstanceState", ec2.reboot_instances, InstanceIds=[i])
ec2.modify_instance_attribute(InstanceId=i, InstanceType={"Value": "t3.small"})
refused("InvalidParameterCombination", ec2.modify_instance_attribute, InstanceId=i, InstanceType={"Value": "t3.small"}, EbsOptimized={"Value": True})
refused("InvalidParameterValue", ec2.modify_instance_attribute, InstanceId=i, InstanceType={"Value": "t4g.small"})
assert ec2.start_instances(InstanceIds=[i])["StartingInstances"][0]["CurrentState"]["Name"] == "pending"
eventually(lambda: state()["State"]["Name"] == "running")
assert state()["InstanceType"] == "t3.small" and state()["PublicIpAddress"]
told = ec2.modify_instance_metadata_options(InstanceId=i, HttpTokens="optional", HttpPutResponseHopLimit=3)["InstanceMetadataOptions"]
assert told["HttpTokens"] == "optional" and state()["MetadataOptions"]["HttpPutResponseHopLimit"] == 3
refused("InvalidParameterValue", ec2.modify_instance_metadata_options, InstanceId=i, HttpTokens="maybe")
spot = ec2.run_instances(**launch, InstanceMarketOptions={"MarketType": "spot"})["Instances"][0]["InstanceId"]
eventually(lambda: ec2.describe_instances(InstanceIds=[spot])["Reservations"][0]["Instances"][0]["State"]["Name"] == "running")
refused("UnsupportedOperation", ec2.stop_instances, InstanceIds=[spot])

# Volumes
volume = ec2.create_volume(AvailabilityZone="us-west-2a", Size=3, ClientToken="v")["VolumeId"]
assert ec2.create_volume(AvailabilityZone="us-west-2a", Size=3, ClientToken="v")["VolumeId"] == volume
refused("IdempotentParameterMismatch", ec2.create_volume, AvailabilityZone="us-west-2a", Size=4, ClientToken="v")
far = ec2.create_volume(AvailabilityZone="us-west-2b", Size=3)["VolumeId"]
refused("InvalidVolume.ZoneMismatch", ec2.attach_volume, VolumeId=far, InstanceId=i, Device="/dev/sdf")
refused("InvalidParameterValue", ec2.attach_volume, VolumeId=volume, InstanceId=i, Device="/dev/sda1")
assert ec2.attach_volume(VolumeId=volume, InstanceId=i, Device="/dev/sdf")["State"] == "attaching"
refused("VolumeInUse", ec2.attach_volume, VolumeId=volume, InstanceId=i, Device="/dev/sdg")
assert {m["DeviceName"] for m in state()["BlockDeviceMappings"]} == {"/dev/sda1", "/dev/sdf"}
root = state()["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
refused("OperationNotPermitted", ec2.detach_volume, VolumeId=root)
refused("InvalidAttachment.NotFound", ec2.detach_volume, VolumeId=volume, InstanceId=spot)
assert ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
refused("IncorrectState", ec2.detach_volume, VolumeId=volume)
assert len(state()["BlockDeviceMappings"]) == 1
ec2.attach_volume(VolumeId=volume, InstanceId=i, Device="/dev/sdf")
ec2.modify_instance_attribute(InstanceId=i, DisableApiTermination={"Value": False})
assert ec2.describe_instance_attribute(InstanceId=i, Attribute="disableApiTermination")["DisableApiTermination"]["Value"] is False
ec2.terminate_instances(InstanceIds=[i, spot])
eventually(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available")
names = {a["AttributeName"] for a in ec2.describe_account_attributes()["AccountAttributes"]}
assert {"default-vpc", "supported-platforms"} <= names
page = ec2.describe_instance_types(MaxResults=5)["NextToken"]
refused("InvalidNextToken", ec2.describe_instance_type_offerings, MaxResults=5, NextToken=page)
