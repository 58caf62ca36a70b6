# The endpoint's clock is ten minutes ahead
refused("RequestExpired", ec2.describe_vpcs)
refused("SignatureDoesNotMatch", session.client("sts").get_caller_identity)
refused("InvalidSignatureException", session.client("ssm").get_parameter, Name="/a")
refused("RequestTimeTooSkewed", session.client("s3").get_object, Bucket="a", Key="b")
