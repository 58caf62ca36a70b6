from botocore.config import Config

def of(name, secret="sandbox", key="AKIDSANDBOX"):
    return boto3.client(name, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-west-2",
                        config=Config(retries={"total_max_attempts": 1}))

# What is signed as it should be is believed, whatever service is asked
of("ec2").describe_instances(Filters=[by("tag:a b+c", "ü/&=")])
of("sts").get_caller_identity()
of("iam").get_role(RoleName="AWSServiceRoleForEC2Spot")
of("ssm").put_parameter(Name="/a", Value="ü", Type="String")
of("cloudwatch").put_metric_data(Namespace="Spot", MetricData=[{"MetricName": f"m{i:04}", "Value": i} for i in range(800)])
s3 = of("s3")
s3.create_bucket(Bucket="signed", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
s3.put_object(Bucket="signed", Key="a b/ü+%~.txt", Body=b"x", Metadata={"a": "b  c"})
assert s3.get_object(Bucket="signed", Key="a b/ü+%~.txt")["Body"].read() == b"x"
assert s3.list_objects_v2(Bucket="signed", Prefix="a b/", Delimiter="/", MaxKeys=3)["KeyCount"] == 1

# Another secret, another key
bucket = dict(Bucket="signed", Key="x")
for name, call, arguments, mismatch, unknown in [
    ("ec2", "describe_vpcs", {}, "SignatureDoesNotMatch", "AuthFailure"),
    ("sts", "get_caller_identity", {}, "SignatureDoesNotMatch", "InvalidClientTokenId"),
    ("iam", "get_role", {"RoleName": "x"}, "SignatureDoesNotMatch", "InvalidClientTokenId"),
    ("ssm", "get_parameter", {"Name": "/a"}, "InvalidSignatureException", "UnrecognizedClientException"),
    ("s3", "get_object", bucket, "SignatureDoesNotMatch", "InvalidAccessKeyId"),
]:
    refused(mismatch, getattr(of(name, secret="other"), call), **arguments)
    refused(unknown, getattr(of(name, key="AKIDOTHER"), call), **arguments)
