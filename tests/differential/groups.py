"""Security groups, key pairs and tags."""

from cloud import by, tags

KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq1r0tOlvvnFfm8Q0DZMvlm5vP2uzAPxZTBD7jJoZOm me@x"
SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "ssh"}]}
WEB = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}


def groups(c):
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    web = c.ask(
        "tagged", "create_security_group", GroupName="web", Description="for the web", VpcId=vpc,
        TagSpecifications=tags("security-group", Name="web"),
    )["GroupId"]
    other = c.ask("in the default network", "create_security_group", GroupName="plain", Description="plain")["GroupId"]
    c.ask("same name", "create_security_group", GroupName="web", Description="x", VpcId=vpc)
    c.ask("of none", "create_security_group", GroupName="x", Description="x", VpcId="vpc-0123456789abcdef0")
    c.ask("no description", "create_security_group", GroupName="x", VpcId=vpc)
    c.ask("no name", "create_security_group", Description="x", VpcId=vpc)
    c.ask("like an id", "create_security_group", GroupName="sg-x", Description="x", VpcId=vpc)
    c.ask("dry", "create_security_group", GroupName="x", Description="x", VpcId=vpc, DryRun=True)
    c.ask("new", "describe_security_groups", GroupIds=[web])
    c.ask("ssh", "authorize_security_group_ingress", GroupId=web, IpPermissions=[SSH])
    c.ask("again", "authorize_security_group_ingress", GroupId=web, IpPermissions=[SSH])
    c.ask("two kinds", "authorize_security_group_ingress", GroupId=web, IpPermissions=[
        WEB, {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": web, "Description": "each other"}]}
    ])
    c.ask("udp", "authorize_security_group_ingress", GroupId=web, IpPermissions=[
        {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "IpRanges": [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "192.0.2.7/32"}]}
    ])
    c.ask("ping", "authorize_security_group_ingress", GroupId=web, IpPermissions=[
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ])
    c.ask("flat", "authorize_security_group_ingress", GroupId=web, IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="0.0.0.0/0")
    c.ask("of none", "authorize_security_group_ingress", GroupId="sg-0123456789abcdef0", IpPermissions=[SSH])
    c.ask("malformed", "authorize_security_group_ingress", GroupId="web", IpPermissions=[SSH])
    c.ask("no rules", "authorize_security_group_ingress", GroupId=web)
    c.ask("not a block", "authorize_security_group_ingress", GroupId=web, IpPermissions=[{**SSH, "IpRanges": [{"CidrIp": "300.0.0.0/8"}]}])
    c.ask("from no group", "authorize_security_group_ingress", GroupId=web, IpPermissions=[
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-0123456789abcdef0"}]}
    ])
    c.ask("dry", "authorize_security_group_ingress", GroupId=web, IpPermissions=[{**SSH, "FromPort": 23, "ToPort": 23}], DryRun=True)
    c.ask("out", "authorize_security_group_egress", GroupId=web, IpPermissions=[WEB])
    c.ask("out again", "authorize_security_group_egress", GroupId=web, IpPermissions=[WEB])
    c.ask("out, everything", "authorize_security_group_egress", GroupId=web, IpPermissions=[
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ])
    c.ask("with rules", "describe_security_groups", GroupIds=[web])
    for name, value in (
        ("group-name", "web"), ("description", "for*"), ("tag:Name", "w?b"), ("ip-permission.cidr", "0.0.0.0/0"),
        ("ip-permission.from-port", "22"), ("ip-permission.protocol", "udp"), ("ip-permission.group-id", web),
        ("egress.ip-permission.cidr", "0.0.0.0/0"), ("ip-permission.ipv6-cidr", "::/0"), ("group-id", web),
    ):
        c.ask(f"by {name}", "describe_security_groups", Filters=[by("vpc-id", vpc), by(name, value)])
    c.ask("by name in the default network", "describe_security_groups", GroupNames=["plain"])
    c.ask("no such name", "describe_security_groups", GroupNames=["nothing"])
    c.ask("unknown filter", "describe_security_groups", Filters=[by("colour", "red")])
    c.ask("not found", "describe_security_groups", GroupIds=["sg-0123456789abcdef0"])
    c.ask("malformed", "describe_security_groups", GroupIds=["web"])
    c.ask("of a group", "describe_security_group_rules", Filters=[by("group-id", web)])
    c.ask("not found", "describe_security_group_rules", SecurityGroupRuleIds=["sgr-0123456789abcdef0"])
    c.ask("ssh", "revoke_security_group_ingress", GroupId=web, IpPermissions=[SSH])
    c.ask("again", "revoke_security_group_ingress", GroupId=web, IpPermissions=[SSH])
    c.ask("of none", "revoke_security_group_ingress", GroupId="sg-0123456789abcdef0", IpPermissions=[SSH])
    c.ask("out", "revoke_security_group_egress", GroupId=web, IpPermissions=[WEB])
    c.ask("out again", "revoke_security_group_egress", GroupId=web, IpPermissions=[WEB])
    rules = c.ask("what is left", "describe_security_group_rules", Filters=[by("group-id", web)])["SecurityGroupRules"]
    flat = [rule for rule in rules if rule.get("FromPort") == 443] if isinstance(rules, list) else []
    c.ask("by id", "revoke_security_group_ingress", GroupId=web, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"] for rule in flat])
    db = c.ask("another", "create_security_group", GroupName="db", Description="db", VpcId=vpc)["GroupId"]
    c.ask("from the first", "authorize_security_group_ingress", GroupId=db, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": web}]}
    ])
    c.ask("dry", "delete_security_group", GroupId=db, DryRun=True)
    c.ask("first", "delete_security_group", GroupId=db)
    c.ask("again", "delete_security_group", GroupId=db)
    c.ask("malformed", "delete_security_group", GroupId="db")
    c.ask("nothing named", "delete_security_group")
    refers = c.ask("refers", "create_security_group", GroupName="refers", Description="refers", VpcId=vpc)["GroupId"]
    c.ask("refers", "authorize_security_group_ingress", GroupId=refers, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": web}]}
    ])
    default = c.ask("default", "describe_security_groups", Filters=[by("vpc-id", vpc), by("group-name", "default")])
    c.ask("the default", "delete_security_group", GroupId=default["SecurityGroups"][0]["GroupId"])
    c.ask("by name", "delete_security_group", GroupName="plain")
    c.ask("gone", "describe_security_groups", GroupIds=[other])
    c.ask("referred to", "delete_security_group", GroupId=web)
    c.ask("with a group", "delete_vpc", VpcId=vpc)


def key_pairs(c):
    pair = c.ask("tagged", "import_key_pair", KeyName="mine", PublicKeyMaterial=KEY, TagSpecifications=tags("key-pair", a="b"))
    c.ask("same name", "import_key_pair", KeyName="mine", PublicKeyMaterial=KEY)
    c.ask("dry", "import_key_pair", KeyName="dry", PublicKeyMaterial=KEY, DryRun=True)
    c.ask("another", "import_key_pair", KeyName="other", PublicKeyMaterial=KEY)
    c.ask("not a key", "import_key_pair", KeyName="bad", PublicKeyMaterial=b"nonsense")
    c.ask("an old kind", "import_key_pair", KeyName="bad", PublicKeyMaterial=b"ssh-dss AAAA")
    c.ask("no key", "import_key_pair", KeyName="bad")
    c.ask("all", "describe_key_pairs")
    c.ask("one", "describe_key_pairs", KeyNames=["mine"])
    c.ask("with the key", "describe_key_pairs", KeyNames=["mine"], IncludePublicKey=True)
    c.ask("by id", "describe_key_pairs", KeyPairIds=[pair["KeyPairId"]])
    c.ask("by name", "describe_key_pairs", Filters=[by("key-name", "m*")])
    c.ask("by tag", "describe_key_pairs", Filters=[by("tag:a", "b")])
    c.ask("unknown filter", "describe_key_pairs", Filters=[by("colour", "red")])
    c.ask("no such name", "describe_key_pairs", KeyNames=["nothing"])
    c.ask("no such id", "describe_key_pairs", KeyPairIds=["key-0123456789abcdef0"])
    c.ask("dry", "delete_key_pair", KeyName="mine", DryRun=True)
    c.ask("first", "delete_key_pair", KeyName="mine")
    c.ask("again", "delete_key_pair", KeyName="mine")
    c.ask("nothing named", "delete_key_pair")
    c.ask("gone", "describe_key_pairs", KeyNames=["mine"])


def tagging(c):
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = c.ask("subnet", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=c.region + "a")["Subnet"]["SubnetId"]
    spare = c.ask("spare", "create_vpc", CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    c.ask("two on two", "create_tags", Resources=[vpc, subnet], Tags=[{"Key": "stage", "Value": "test"}, {"Key": "Name", "Value": "x"}])
    c.ask("another value", "create_tags", Resources=[vpc], Tags=[{"Key": "stage", "Value": "live"}])
    c.ask("empty value", "create_tags", Resources=[vpc], Tags=[{"Key": "empty", "Value": ""}])
    c.ask("not found", "create_tags", Resources=["vpc-0123456789abcdef0"], Tags=[{"Key": "a", "Value": "b"}])
    c.ask("no kind", "create_tags", Resources=["what"], Tags=[{"Key": "a", "Value": "b"}])
    c.ask("no tags", "create_tags", Resources=[spare])
    c.ask("no resources", "create_tags", Tags=[{"Key": "a", "Value": "b"}])
    c.ask("reserved", "create_tags", Resources=[spare], Tags=[{"Key": "aws:x", "Value": "b"}])
    c.ask("too many", "create_tags", Resources=[spare], Tags=[{"Key": f"k{i}", "Value": "v"} for i in range(51)])
    c.ask("key too long", "create_tags", Resources=[spare], Tags=[{"Key": "k" * 129, "Value": "v"}])
    c.ask("value too long", "create_tags", Resources=[spare], Tags=[{"Key": "k", "Value": "v" * 257}])
    c.ask("dry", "create_tags", Resources=[vpc], Tags=[{"Key": "dry", "Value": "b"}], DryRun=True)
    for name, value in (("resource-id", vpc), ("key", "st*"), ("value", "live"), ("resource-type", "subnet"), ("tag:stage", "test")):
        c.ask(f"by {name}", "describe_tags", Filters=[by(name, value)])
    c.ask("by two", "describe_tags", Filters=[by("resource-id", vpc, subnet), by("key", "Name")])
    c.ask("none fits", "describe_tags", Filters=[by("resource-id", "vpc-0123456789abcdef0")])
    c.ask("unknown filter", "describe_tags", Filters=[by("colour", "red")])
    c.ask("of another value", "delete_tags", Resources=[vpc], Tags=[{"Key": "stage", "Value": "test"}])
    c.ask("still there", "describe_tags", Filters=[by("resource-id", vpc)])
    c.ask("of that value", "delete_tags", Resources=[vpc], Tags=[{"Key": "stage", "Value": "live"}])
    c.ask("by key", "delete_tags", Resources=[vpc, subnet], Tags=[{"Key": "Name"}])
    c.ask("absent", "delete_tags", Resources=[vpc], Tags=[{"Key": "nothing"}])
    c.ask("not found", "delete_tags", Resources=["vpc-0123456789abcdef0"], Tags=[{"Key": "a"}])
    c.ask("what is left", "describe_tags", Filters=[by("resource-id", vpc, subnet)])
    c.ask("with tags", "delete_subnet", SubnetId=subnet)
    c.ask("went with it", "describe_tags", Filters=[by("resource-id", subnet)])


SCENARIOS = [groups, key_pairs, tagging]
