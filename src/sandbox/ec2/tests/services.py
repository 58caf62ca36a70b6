import json

# SSM
ssm = session.client("ssm")
ubuntu = "/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id"
amazon = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
answer = ssm.get_parameters(Names=[ubuntu.format("amd64"), ubuntu.format("arm64"), amazon.format("x86_64"), "/aws/service/none"])
assert answer["InvalidParameters"] == ["/aws/service/none"]
values = {p["Name"]: p["Value"] for p in answer["Parameters"]}
assert values[ubuntu.format("amd64")] == newest() and values[ubuntu.format("arm64")] == newest("arm64")
image = ec2.describe_images(ImageIds=[values[amazon.format("x86_64")]])["Images"][0]
assert image["RootDeviceName"] == "/dev/xvda" and image["OwnerId"] == "137112412989" and image["Architecture"] == "x86_64"
one = ssm.get_parameter(Name=ubuntu.format("amd64").replace("24.04", "noble"))["Parameter"]
assert one["Value"] == newest() and one["DataType"] == "aws:ec2:image" and one["LastModifiedDate"].year == 2026
jammy = ubuntu.format("amd64").replace("24.04", "22.04").replace("gp3", "gp2")
assert ssm.get_parameter(Name=jammy)["Parameter"]["Value"].startswith("ami-")
refused("ParameterNotFound", ssm.get_parameter, Name="/none")
refused("UnknownOperationException", ssm.describe_parameters)
assert "al2023" in image["Name"]
# A deprecated image is shown to who asks for it
name = [by("name", "ubuntu/images/*24.04-amd64-server-20240423")]
assert ec2.describe_images(Filters=name)["Images"] == []
old = ec2.describe_images(Filters=name, IncludeDeprecated=True)["Images"][0]
assert old["DeprecationTime"].startswith("2026-04-23")

# Service Quotas
quotas = session.client("service-quotas")
spot = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-34B43A08")["Quota"]
assert spot["Value"] == 32.0 and spot["QuotaName"].startswith("All Standard")
assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]["Value"] > 32
assert quotas.get_service_quota(ServiceCode="vpc", QuotaCode="L-F678F1CE")["Quota"]["Value"] == 1.0
pages = list(quotas.get_paginator("list_service_quotas").paginate(ServiceCode="ec2", PaginationConfig={"PageSize": 2}))
assert len(pages) > 1 and "L-DB2E81BA" in [q["QuotaCode"] for p in pages for q in p["Quotas"]]
refused("NoSuchResourceException", quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-00000000")
refused("NoSuchResourceException", quotas.list_service_quotas, ServiceCode="nothing")
refused("VpcLimitExceeded", ec2.create_vpc, CidrBlock="10.0.0.0/16")

# IAM: without its role, Spot launches nothing
iam = session.client("iam")
refused("NoSuchEntity", iam.get_role, RoleName="AWSServiceRoleForEC2Spot")
launch = dict(ImageId=newest(), InstanceType="t3.micro", MinCount=1, MaxCount=1, InstanceMarketOptions={"MarketType": "spot"})
refused("AuthFailure.ServiceLinkedRoleCreationNotPermitted", ec2.run_instances, **launch)
made = iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")["Role"]
assert made["RoleName"] == "AWSServiceRoleForEC2Spot" and made["Path"] == "/aws-service-role/spot.amazonaws.com/"
assert iam.get_role(RoleName="AWSServiceRoleForEC2Spot")["Role"]["Arn"] == made["Arn"]
refused("InvalidInput", iam.create_service_linked_role, AWSServiceName="spot.amazonaws.com")
refused("NoSuchEntity", iam.get_role, RoleName="AWSServiceRoleForEC2Fleet")
iam.create_service_linked_role(AWSServiceName="ec2fleet.amazonaws.com")
ec2.run_instances(**launch)

# Pricing
pricing = session.client("pricing", region_name="us-east-1")
match = lambda **fields: [{"Type": "TERM_MATCH", "Field": f, "Value": v} for f, v in fields.items()]
common = dict(operatingSystem="Linux", tenancy="Shared", preInstalledSw="NA", capacitystatus="Used")
found = pricing.get_products(ServiceCode="AmazonEC2", Filters=match(instanceType="m5.large", regionCode="us-east-1", **common))["PriceList"]
product = json.loads(found[0])
assert len(found) == 1 and product["product"]["attributes"]["instanceType"] == "m5.large"
(term,) = product["terms"]["OnDemand"].values()
(dimension,) = term["priceDimensions"].values()
assert float(dimension["pricePerUnit"]["USD"]) == 0.096 and dimension["unit"] == "Hrs"
pages = pricing.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=match(regionCode="eu-west-1", **common))
names = {json.loads(p)["product"]["attributes"]["instanceType"] for page in pages for p in page["PriceList"]}
assert len(names) > 150 and "t3.medium" in names
assert pricing.get_products(ServiceCode="AmazonEC2", Filters=match(operatingSystem="Windows"))["PriceList"] == []
