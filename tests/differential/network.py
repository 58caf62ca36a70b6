"""Networks: VPCs, subnets, gateways, routes, addresses and interfaces."""

from cloud import by, tags


def vpcs(c):
    made = c.ask("plain", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    tagged = c.ask("tagged", "create_vpc", CidrBlock="10.1.0.0/16", TagSpecifications=tags("vpc", Name="net", team="a&b<c>"))
    tagged = tagged["Vpc"]["VpcId"]
    bits = c.ask("host bits", "create_vpc", CidrBlock="10.2.3.4/24")["Vpc"]["VpcId"]
    c.ask("host bits", "delete_vpc", VpcId=bits)
    six = c.ask("ipv6", "create_vpc", CidrBlock="10.3.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    c.ask("too wide", "create_vpc", CidrBlock="10.0.0.0/8")
    c.ask("too narrow", "create_vpc", CidrBlock="10.0.0.0/29")
    c.ask("not a block", "create_vpc", CidrBlock="10.0.0.0")
    c.ask("not an address", "create_vpc", CidrBlock="300.0.0.0/16")
    c.ask("no block", "create_vpc")
    c.ask("dry", "create_vpc", CidrBlock="10.9.0.0/16", DryRun=True)
    c.ask("tags of a subnet", "create_vpc", CidrBlock="10.9.0.0/16", TagSpecifications=tags("subnet", a="b"))
    c.ask("no tags", "create_vpc", CidrBlock="10.9.0.0/16", TagSpecifications=[{"ResourceType": "vpc"}])
    c.ask("one", "describe_vpcs", VpcIds=[made])
    c.ask("two", "describe_vpcs", VpcIds=[made, tagged])
    c.ask("with ipv6", "describe_vpcs", VpcIds=[six])
    c.ask("by tag", "describe_vpcs", Filters=[by("tag:Name", "net")])
    c.ask("by tag, wildcard", "describe_vpcs", Filters=[by("tag:Name", "n*")])
    c.ask("by tag, one letter", "describe_vpcs", Filters=[by("tag:Name", "n?t")])
    c.ask("by tag key", "describe_vpcs", Filters=[by("tag-key", "team")])
    c.ask("by tag value", "describe_vpcs", Filters=[by("tag:team", "a&b<c>", "other")])
    c.ask("by two filters", "describe_vpcs", Filters=[by("tag:Name", "net"), by("cidr", "10.1.0.0/16")])
    c.ask("by two filters that exclude each other", "describe_vpcs", Filters=[by("tag:Name", "net"), by("cidr", "10.0.0.0/16")])
    c.ask("by block", "describe_vpcs", Filters=[by("cidr", "10.0.0.0/16")])
    c.ask("by block of an association", "describe_vpcs", Filters=[by("cidr-block-association.cidr-block", "10.1.0.0/16")])
    c.ask("default", "describe_vpcs", Filters=[by("is-default", "true")])
    c.ask("default, old name", "describe_vpcs", Filters=[by("isDefault", "true")])
    c.ask("by state", "describe_vpcs", Filters=[by("state", "available"), by("vpc-id", made)])
    c.ask("none fits", "describe_vpcs", Filters=[by("vpc-id", "vpc-0123456789abcdef0")])
    c.ask("unknown filter", "describe_vpcs", Filters=[by("colour", "red")])
    c.ask("not found", "describe_vpcs", VpcIds=["vpc-0123456789abcdef0"])
    c.ask("two not found", "describe_vpcs", VpcIds=["vpc-0123456789abcdef0", "vpc-12345678"])
    c.ask("malformed", "describe_vpcs", VpcIds=["vpc-zzz"])
    c.ask("another kind", "describe_vpcs", VpcIds=["subnet-0123456789abcdef0"])
    c.ask("dry", "describe_vpcs", DryRun=True)
    c.ask("unknown parameter", "describe_vpcs", extra={"Colour": "red"})
    for name in ("enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics"):
        c.ask(name, "describe_vpc_attribute", VpcId=made, Attribute=name)
    c.ask("unknown attribute", "describe_vpc_attribute", VpcId=made, Attribute="colour")
    c.ask("of none", "describe_vpc_attribute", VpcId="vpc-0123456789abcdef0", Attribute="enableDnsSupport")
    c.ask("host names", "modify_vpc_attribute", VpcId=made, EnableDnsHostnames={"Value": True})
    c.ask("after the change", "describe_vpc_attribute", VpcId=made, Attribute="enableDnsHostnames")
    c.ask("support", "modify_vpc_attribute", VpcId=made, EnableDnsSupport={"Value": False})
    c.ask("after the second change", "describe_vpc_attribute", VpcId=made, Attribute="enableDnsSupport")
    c.ask("of none", "modify_vpc_attribute", VpcId="vpc-0123456789abcdef0", EnableDnsSupport={"Value": True})
    c.ask("there is one", "create_default_vpc")
    subnet = c.ask("in the way", "create_subnet", VpcId=made, CidrBlock="10.0.1.0/24", AvailabilityZone=c.region + "a")["Subnet"]["SubnetId"]
    c.ask("with a subnet", "delete_vpc", VpcId=made)
    c.ask("out of the way", "delete_subnet", SubnetId=subnet)
    spare = c.ask("spare", "create_vpc", CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    c.ask("dry", "delete_vpc", VpcId=spare, DryRun=True)
    c.ask("empty", "delete_vpc", VpcId=made)
    c.ask("again", "delete_vpc", VpcId=made)
    c.ask("not found", "delete_vpc", VpcId="vpc-0123456789abcdef0")
    c.ask("malformed", "delete_vpc", VpcId="nonsense")
    c.ask("nothing named", "delete_vpc")
    c.ask("tagged", "delete_vpc", VpcId=tagged)


def blocks(c):
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    six = c.ask("ipv6", "associate_vpc_cidr_block", VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)
    six = six["Ipv6CidrBlockAssociation"]
    c.ask("network with ipv6", "describe_vpcs", VpcIds=[vpc])
    c.ask("of none", "associate_vpc_cidr_block", VpcId="vpc-0123456789abcdef0", AmazonProvidedIpv6CidrBlock=True)
    c.ask("unknown", "disassociate_vpc_cidr_block", AssociationId="vpc-cidr-assoc-0123456789abcdef0")
    c.ask("ipv6", "disassociate_vpc_cidr_block", AssociationId=six["AssociationId"])
    subnet = c.ask("subnet", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=c.region + "a")["Subnet"]["SubnetId"]
    c.ask("unknown", "disassociate_subnet_cidr_block", AssociationId="subnet-cidr-assoc-0123456789abcdef0")
    c.ask("of none", "associate_subnet_cidr_block", SubnetId="subnet-0123456789abcdef0", Ipv6CidrBlock="2600:1f14:1:2::/64")
    c.ask("no block", "associate_subnet_cidr_block", SubnetId=subnet)


def subnets(c):
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zone = c.region + "a"
    one = c.ask("in a zone", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
    two = c.ask(
        "tagged", "create_subnet", VpcId=vpc, CidrBlock="10.0.2.0/28", AvailabilityZone=c.region + "b",
        TagSpecifications=tags("subnet", Name="small"),
    )["Subnet"]["SubnetId"]
    c.ask("taken", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=c.region + "b")
    c.ask("overlapping", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.128/25", AvailabilityZone=c.region + "b")
    c.ask("outside", "create_subnet", VpcId=vpc, CidrBlock="10.9.0.0/24", AvailabilityZone=c.region + "b")
    c.ask("too narrow", "create_subnet", VpcId=vpc, CidrBlock="10.0.5.0/29", AvailabilityZone=c.region + "b")
    c.ask("not a block", "create_subnet", VpcId=vpc, CidrBlock="what", AvailabilityZone=c.region + "b")
    c.ask("no block", "create_subnet", VpcId=vpc, AvailabilityZone=zone)
    c.ask("no network", "create_subnet", CidrBlock="10.0.7.0/24")
    c.ask("no such network", "create_subnet", VpcId="vpc-0123456789abcdef0", CidrBlock="10.0.7.0/24")
    c.ask("no such zone", "create_subnet", VpcId=vpc, CidrBlock="10.0.7.0/24", AvailabilityZone="mars-1a")
    c.ask("dry", "create_subnet", VpcId=vpc, CidrBlock="10.0.7.0/24", AvailabilityZone=c.region + "b", DryRun=True)
    c.ask("tags of a network", "create_subnet", VpcId=vpc, CidrBlock="10.0.7.0/24", AvailabilityZone=c.region + "b", TagSpecifications=tags("vpc", a="b"))
    c.ask("of the network", "describe_subnets", Filters=[by("vpc-id", vpc)])
    c.ask("one", "describe_subnets", SubnetIds=[one])
    c.ask("by zone", "describe_subnets", Filters=[by("vpc-id", vpc), by("availability-zone", zone)])
    c.ask("by zones with a wildcard", "describe_subnets", Filters=[by("vpc-id", vpc), by("availability-zone", c.region + "?")])
    c.ask("by block", "describe_subnets", Filters=[by("vpc-id", vpc), by("cidr-block", "10.0.2.0/28")])
    c.ask("by block, old name", "describe_subnets", Filters=[by("vpc-id", vpc), by("cidrBlock", "10.0.2.0/28")])
    c.ask("by tag", "describe_subnets", Filters=[by("tag:Name", "small", "smaller")])
    c.ask("by free addresses", "describe_subnets", Filters=[by("vpc-id", vpc), by("available-ip-address-count", "11")])
    c.ask("defaults", "describe_subnets", Filters=[by("default-for-az", "true"), by("availability-zone", zone)])
    c.ask("unknown filter", "describe_subnets", Filters=[by("colour", "red")])
    c.ask("not found", "describe_subnets", SubnetIds=["subnet-0123456789abcdef0"])
    c.ask("malformed", "describe_subnets", SubnetIds=["subnet-zzz"])
    c.ask("public addresses", "modify_subnet_attribute", SubnetId=one, MapPublicIpOnLaunch={"Value": True})
    c.ask("after the change", "describe_subnets", SubnetIds=[one])
    c.ask("by public addresses", "describe_subnets", Filters=[by("vpc-id", vpc), by("map-public-ip-on-launch", "true")])
    c.ask("of none", "modify_subnet_attribute", SubnetId="subnet-0123456789abcdef0", MapPublicIpOnLaunch={"Value": True})
    spare = c.ask("spare", "create_subnet", VpcId=vpc, CidrBlock="10.0.8.0/24", AvailabilityZone=c.region + "a")["Subnet"]["SubnetId"]
    c.ask("dry", "delete_subnet", SubnetId=spare, DryRun=True)
    c.ask("first", "delete_subnet", SubnetId=two)
    c.ask("again", "delete_subnet", SubnetId=two)
    c.ask("malformed", "delete_subnet", SubnetId="subnet-zzz")
    c.ask("nothing named", "delete_subnet")
    c.ask("after it is gone", "describe_subnets", SubnetIds=[two])


def gateways(c):
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = c.ask("plain", "create_internet_gateway", TagSpecifications=tags("internet-gateway", Name="way"))
    gateway = gateway["InternetGateway"]["InternetGatewayId"]
    other = c.ask("another", "create_internet_gateway")["InternetGateway"]["InternetGatewayId"]
    c.ask("dry", "create_internet_gateway", DryRun=True)
    c.ask("unattached", "describe_internet_gateways", InternetGatewayIds=[gateway])
    c.ask("not attached", "detach_internet_gateway", InternetGatewayId=gateway, VpcId=vpc)
    c.ask("first", "attach_internet_gateway", InternetGatewayId=gateway, VpcId=vpc)
    c.ask("again", "attach_internet_gateway", InternetGatewayId=gateway, VpcId=vpc)
    c.ask("to none", "attach_internet_gateway", InternetGatewayId=other, VpcId="vpc-0123456789abcdef0")
    c.ask("of none", "attach_internet_gateway", InternetGatewayId="igw-0123456789abcdef0", VpcId=vpc)
    c.ask("nothing named", "attach_internet_gateway")
    c.ask("attached", "describe_internet_gateways", InternetGatewayIds=[gateway])
    c.ask("by network", "describe_internet_gateways", Filters=[by("attachment.vpc-id", vpc)])
    c.ask("by state", "describe_internet_gateways", Filters=[by("attachment.state", "available"), by("attachment.vpc-id", vpc)])
    c.ask("by tag", "describe_internet_gateways", Filters=[by("tag:Name", "w*")])
    c.ask("by id", "describe_internet_gateways", Filters=[by("internet-gateway-id", gateway)])
    c.ask("not found", "describe_internet_gateways", InternetGatewayIds=["igw-0123456789abcdef0"])
    c.ask("malformed", "describe_internet_gateways", InternetGatewayIds=["igw-zzz"])
    c.ask("unknown filter", "describe_internet_gateways", Filters=[by("colour", "red")])
    c.ask("attached", "delete_internet_gateway", InternetGatewayId=gateway)
    c.ask("other network", "create_vpc", CidrBlock="10.1.0.0/16")
    c.ask("from another network", "detach_internet_gateway", InternetGatewayId=gateway, VpcId="vpc-0123456789abcdef0")
    c.ask("first", "detach_internet_gateway", InternetGatewayId=gateway, VpcId=vpc)
    c.ask("again", "detach_internet_gateway", InternetGatewayId=gateway, VpcId=vpc)
    c.ask("first", "delete_internet_gateway", InternetGatewayId=gateway)
    c.ask("again", "delete_internet_gateway", InternetGatewayId=gateway)
    c.ask("nothing named", "delete_internet_gateway")
    one = c.ask("one more", "create_internet_gateway")["InternetGateway"]["InternetGatewayId"]
    c.ask("attach", "attach_internet_gateway", InternetGatewayId=one, VpcId=vpc)
    c.ask("a second one", "attach_internet_gateway", InternetGatewayId=other, VpcId=vpc)
    out = c.ask("plain", "create_egress_only_internet_gateway", VpcId=vpc)
    out = out["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
    c.ask("of none", "create_egress_only_internet_gateway", VpcId="vpc-0123456789abcdef0")
    c.ask("one", "describe_egress_only_internet_gateways", EgressOnlyInternetGatewayIds=[out])
    c.ask("first", "delete_egress_only_internet_gateway", EgressOnlyInternetGatewayId=out)
    c.ask("again", "delete_egress_only_internet_gateway", EgressOnlyInternetGatewayId=out)


def routes(c):
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = c.ask("subnet", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=c.region + "a")["Subnet"]["SubnetId"]
    gateway = c.ask("gateway", "create_internet_gateway")["InternetGateway"]["InternetGatewayId"]
    table = c.ask("tagged", "create_route_table", VpcId=vpc, TagSpecifications=tags("route-table", Name="public"))
    table = table["RouteTable"]["RouteTableId"]
    c.ask("of none", "create_route_table", VpcId="vpc-0123456789abcdef0")
    c.ask("nothing named", "create_route_table")
    c.ask("dry", "create_route_table", VpcId=vpc, DryRun=True)
    everywhere = dict(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    odd = c.ask("odd", "create_route_table", VpcId=vpc)["RouteTable"]["RouteTableId"]
    c.ask("over an unattached gateway", "create_route", RouteTableId=odd, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    c.ask("over none", "create_route", RouteTableId=table, DestinationCidrBlock="10.7.0.0/16", GatewayId="igw-0123456789abcdef0")
    c.ask("in none", "create_route", RouteTableId="rtb-0123456789abcdef0", DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    c.ask("attach", "attach_internet_gateway", InternetGatewayId=gateway, VpcId=vpc)
    c.ask("default", "create_route", **everywhere, GatewayId=gateway)
    c.ask("again", "create_route", **everywhere, GatewayId=gateway)
    c.ask("not a block", "create_route", RouteTableId=table, DestinationCidrBlock="x", GatewayId=gateway)
    spare = c.ask("spare", "create_route_table", VpcId=vpc)["RouteTable"]["RouteTableId"]
    c.ask("the local one", "create_route", RouteTableId=spare, DestinationCidrBlock="10.0.0.0/16", GatewayId=gateway)
    c.ask("ipv6", "create_route", RouteTableId=table, DestinationIpv6CidrBlock="::/0", GatewayId=gateway)
    link = c.ask("first", "associate_route_table", RouteTableId=table, SubnetId=subnet)["AssociationId"]
    c.ask("again", "associate_route_table", RouteTableId=table, SubnetId=subnet)
    c.ask("with none", "associate_route_table", RouteTableId=table, SubnetId="subnet-0123456789abcdef0")
    c.ask("of none", "associate_route_table", RouteTableId="rtb-0123456789abcdef0", SubnetId=subnet)
    c.ask("one", "describe_route_tables", RouteTableIds=[table])
    c.ask("by subnet", "describe_route_tables", Filters=[by("association.subnet-id", subnet)])
    c.ask("main", "describe_route_tables", Filters=[by("vpc-id", vpc), by("association.main", "true")])
    c.ask("by gateway", "describe_route_tables", Filters=[by("route.gateway-id", gateway)])
    c.ask("by association", "describe_route_tables", Filters=[by("association.route-table-association-id", link)])
    c.ask("by destination", "describe_route_tables", Filters=[by("vpc-id", vpc), by("route.destination-cidr-block", "0.0.0.0/0")])
    c.ask("by tag", "describe_route_tables", Filters=[by("tag:Name", "pub*")])
    c.ask("not found", "describe_route_tables", RouteTableIds=["rtb-0123456789abcdef0"])
    c.ask("malformed", "describe_route_tables", RouteTableIds=["rtb-zzz"])
    c.ask("unknown filter", "describe_route_tables", Filters=[by("colour", "red")])
    c.ask("in use", "delete_route_table", RouteTableId=table)
    c.ask("unknown", "disassociate_route_table", AssociationId="rtbassoc-0123456789abcdef0")
    c.ask("malformed", "disassociate_route_table", AssociationId="nonsense")
    c.ask("first", "disassociate_route_table", AssociationId=link)
    c.ask("again", "disassociate_route_table", AssociationId=link)
    c.ask("unknown", "delete_route", RouteTableId=table, DestinationCidrBlock="10.99.0.0/16")
    c.ask("first", "delete_route", **everywhere)
    c.ask("again", "delete_route", **everywhere)
    c.ask("in none", "delete_route", RouteTableId="rtb-0123456789abcdef0", DestinationCidrBlock="0.0.0.0/0")
    c.ask("first", "delete_route_table", RouteTableId=table)
    c.ask("again", "delete_route_table", RouteTableId=table)
    c.ask("nothing named", "delete_route_table")


def interfaces(c):
    vpc = c.ask("network", "create_vpc", CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = c.ask("subnet", "create_subnet", VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=c.region + "a")["Subnet"]["SubnetId"]
    group = c.ask("group", "create_security_group", GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    card = c.ask(
        "plain", "create_network_interface", SubnetId=subnet, Groups=[group], Description="card",
        TagSpecifications=tags("network-interface", Name="card"),
    )["NetworkInterface"]["NetworkInterfaceId"]
    c.ask("with an address", "create_network_interface", SubnetId=subnet, PrivateIpAddress="10.0.1.77")
    c.ask("in none", "create_network_interface", SubnetId="subnet-0123456789abcdef0")
    c.ask("of no group", "create_network_interface", SubnetId=subnet, Groups=["sg-0123456789abcdef0"])
    c.ask("nothing named", "create_network_interface")
    c.ask("one", "describe_network_interfaces", NetworkInterfaceIds=[card])
    for name, value in (("group-id", group), ("subnet-id", subnet), ("vpc-id", vpc), ("description", "card"), ("tag:Name", "c*")):
        c.ask(f"by {name}", "describe_network_interfaces", Filters=[by("status", "available"), by(name, value)])
    c.ask("unknown filter", "describe_network_interfaces", Filters=[by("colour", "red")])
    c.ask("not found", "describe_network_interfaces", NetworkInterfaceIds=["eni-0123456789abcdef0"])
    c.ask("malformed", "describe_network_interfaces", NetworkInterfaceIds=["eni-zzz"])
    c.ask("first", "delete_network_interface", NetworkInterfaceId=card)
    c.ask("again", "delete_network_interface", NetworkInterfaceId=card)
    c.ask("nothing named", "delete_network_interface")
    c.ask("last", "create_network_interface", SubnetId=subnet, Groups=[group])
    c.ask("with an interface", "delete_subnet", SubnetId=subnet)
    c.ask("used by an interface", "delete_security_group", GroupId=group)


def addresses(c):
    one = c.ask("plain", "allocate_address", Domain="vpc")
    c.ask("tagged", "allocate_address", Domain="vpc", TagSpecifications=tags("elastic-ip", Name="ip"))
    c.ask("dry", "allocate_address", Domain="vpc", DryRun=True)
    c.ask("all", "describe_addresses")
    c.ask("one", "describe_addresses", AllocationIds=[one["AllocationId"]])
    c.ask("by address", "describe_addresses", PublicIps=[one["PublicIp"]])
    c.ask("by tag", "describe_addresses", Filters=[by("tag:Name", "i?")])
    c.ask("by id", "describe_addresses", Filters=[by("allocation-id", one["AllocationId"])])
    c.ask("not found", "describe_addresses", AllocationIds=["eipalloc-0123456789abcdef0"])
    c.ask("no such address", "describe_addresses", PublicIps=["192.0.2.1"])
    c.ask("unknown filter", "describe_addresses", Filters=[by("colour", "red")])
    machine = c.ask("instance", "run_instances", ImageId=c.image(), InstanceType="t3.micro", MinCount=1, MaxCount=1, only=[])
    machine = machine["Instances"][0]["InstanceId"]
    c.wait("instance_running", InstanceIds=[machine])
    c.ask("first", "associate_address", AllocationId=one["AllocationId"], InstanceId=machine)
    link = c.ask("associated", "describe_addresses", AllocationIds=[one["AllocationId"]])["Addresses"][0]["AssociationId"]
    c.ask("with none", "associate_address", AllocationId=one["AllocationId"], InstanceId="i-0123456789abcdef0")
    c.ask("of none", "associate_address", AllocationId="eipalloc-0123456789abcdef0", InstanceId=machine)
    c.ask("first", "disassociate_address", AssociationId=link)
    c.ask("again", "disassociate_address", AssociationId=link)
    c.ask("first", "release_address", AllocationId=one["AllocationId"])
    c.ask("again", "release_address", AllocationId=one["AllocationId"])
    two = c.ask("one more", "allocate_address", Domain="vpc")["AllocationId"]
    c.ask("second", "associate_address", AllocationId=two, InstanceId=machine)
    c.ask("in use", "release_address", AllocationId=two)
    c.ask("clean", "terminate_instances", InstanceIds=[machine])


SCENARIOS = [vpcs, blocks, subnets, gateways, routes, interfaces, addresses]
