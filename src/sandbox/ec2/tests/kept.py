# What an earlier process kept
ssm, secrets, cw, s3 = (session.client(name) for name in ("ssm", "secretsmanager", "cloudwatch", "s3"))
assert ssm.get_parameter(Name="/app/db/password", WithDecryption=True)["Parameter"]["Value"] == "s3cret"
assert secrets.get_secret_value(SecretId="app/key")["SecretString"] == "two"
assert [a["AlarmName"] for a in cw.describe_alarms()["MetricAlarms"]] == ["many"]
assert len(cw.list_metrics(MetricName="Hosts")["Metrics"]) == 1
kept = s3.get_object(Bucket="spot-state", Key="a b/ü+%.txt")
assert kept["Body"].read() == b"hello" and kept["Metadata"] == {"owner": "me"} and kept["ContentType"] == "text/plain"
