import datetime, json

# SSM: parameters of one's own
ssm = session.client("ssm")
assert ssm.put_parameter(Name="/app/db/host", Value="db.internal", Type="String", Description="where")["Version"] == 1
refused("ParameterAlreadyExists", ssm.put_parameter, Name="/app/db/host", Value="x", Type="String")
assert ssm.put_parameter(Name="/app/db/host", Value="db2.internal", Overwrite=True)["Version"] == 2
ssm.put_parameter(Name="/app/db/password", Value="s3cret", Type="SecureString")
ssm.put_parameter(Name="/app/mode", Value="a,b", Type="StringList")
refused("ValidationException", ssm.put_parameter, Name="/app/none", Value="x")
refused("AccessDeniedException", ssm.put_parameter, Name="/aws/mine", Value="x", Type="String")
refused("ValidationException", ssm.put_parameter, Name="/app/long", Value="x" * 4097, Type="String")
ssm.put_parameter(Name="/app/long", Value="x" * 4097, Type="String", Tier="Advanced")
one = ssm.get_parameter(Name="/app/db/host")["Parameter"]
assert one["Value"] == "db2.internal" and one["Version"] == 2 and one["ARN"].endswith(":parameter/app/db/host")
assert ssm.get_parameter(Name="/app/db/host:1")["Parameter"]["Value"] == "db.internal"
refused("ParameterVersionNotFound", ssm.get_parameter, Name="/app/db/host:9")
assert ssm.get_parameter(Name="/app/db/password", WithDecryption=True)["Parameter"]["Value"] == "s3cret"
assert "s3cret" not in ssm.get_parameter(Name="/app/db/password")["Parameter"]["Value"]
names = lambda **more: [p["Name"] for page in ssm.get_paginator("get_parameters_by_path").paginate(**more) for p in page["Parameters"]]
assert names(Path="/app") == ["/app/long", "/app/mode"]
assert names(Path="/app/", Recursive=True) == ["/app/db/host", "/app/db/password", "/app/long", "/app/mode"]
first = ssm.get_parameters_by_path(Path="/app", Recursive=True, MaxResults=3)
assert len(first["Parameters"]) == 3
assert len(ssm.get_parameters_by_path(Path="/app", Recursive=True, MaxResults=3, NextToken=first["NextToken"])["Parameters"]) == 1
refused("InvalidNextToken", ssm.get_parameters_by_path, Path="/app", NextToken="nonsense")
gone = ssm.delete_parameters(Names=["/app/long", "/app/none"])
assert gone["DeletedParameters"] == ["/app/long"] and gone["InvalidParameters"] == ["/app/none"]
ssm.delete_parameter(Name="/app/mode")
refused("ParameterNotFound", ssm.delete_parameter, Name="/app/mode")
refused("ParameterNotFound", session.client("ssm", region_name="eu-west-1").get_parameter, Name="/app/db/host")

# Secrets Manager
secrets = session.client("secretsmanager")
token = "0123456789abcdef0123456789abcdef"
made = secrets.create_secret(Name="app/key", SecretString="one", ClientRequestToken=token, Tags=[{"Key": "a", "Value": "b"}])
assert made["VersionId"] == token and made["ARN"].startswith("arn:aws:secretsmanager:us-west-2:123456789012:secret:app/key-")
assert secrets.create_secret(Name="app/key", SecretString="one", ClientRequestToken=token)["ARN"] == made["ARN"]
refused("ResourceExistsException", secrets.create_secret, Name="app/key", SecretString="two")
put = secrets.put_secret_value(SecretId="app/key", SecretString="two")
assert put["VersionStages"] == ["AWSCURRENT"]
for name in ("app/key", made["ARN"], made["ARN"][:-7]):
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "two"
assert secrets.get_secret_value(SecretId="app/key", VersionStage="AWSPREVIOUS")["SecretString"] == "one"
assert secrets.get_secret_value(SecretId="app/key", VersionId=token)["SecretString"] == "one"
refused("ResourceExistsException", secrets.put_secret_value, SecretId="app/key", SecretString="other", ClientRequestToken=token)
secrets.create_secret(Name="binary", SecretBinary=b"\0\1")
assert secrets.get_secret_value(SecretId="binary")["SecretBinary"] == b"\0\1"
assert [s["Name"] for s in secrets.list_secrets()["SecretList"]] == ["app/key", "binary"]
assert len(secrets.describe_secret(SecretId="app/key")["VersionIdsToStages"]) == 2
secrets.delete_secret(SecretId="app/key", RecoveryWindowInDays=7)
refused("InvalidRequestException", secrets.get_secret_value, SecretId="app/key")
secrets.restore_secret(SecretId="app/key")
assert secrets.get_secret_value(SecretId="app/key")["SecretString"] == "two"
refused("InvalidParameterException", secrets.delete_secret, SecretId="app/key", RecoveryWindowInDays=3)
secrets.delete_secret(SecretId="binary", ForceDeleteWithoutRecovery=True)
refused("ResourceNotFoundException", secrets.get_secret_value, SecretId="binary")

# CloudWatch
cw = session.client("cloudwatch")
now = datetime.datetime.now(datetime.timezone.utc)
minute = now.replace(second=0, microsecond=0)
hosts = [{"Name": "fleet", "Value": "web"}]
for back, value in ((2, 1.0), (1, 4.0)):
    at = minute - datetime.timedelta(minutes=back)
    cw.put_metric_data(Namespace="Spot", MetricData=[
        {"MetricName": "Hosts", "Dimensions": hosts, "Timestamp": at, "Value": value, "Unit": "Count"},
        {"MetricName": "Hosts", "Dimensions": hosts, "Timestamp": at, "Values": [1.0, 7.0], "Counts": [1.0, 2.0], "Unit": "Count"},
    ])
# boto3 compresses a request of this size
cw.put_metric_data(Namespace="Spot", MetricData=[{"MetricName": f"m{i:04}", "Value": i} for i in range(800)])
window = dict(StartTime=minute - datetime.timedelta(minutes=5), EndTime=minute)
told = cw.get_metric_statistics(Namespace="Spot", MetricName="Hosts", Dimensions=hosts, Period=60, Statistics=["Sum", "Maximum", "SampleCount"], **window)
points = sorted(told["Datapoints"], key=lambda p: p["Timestamp"])
assert [(p["Sum"], p["Maximum"], p["SampleCount"], p["Unit"]) for p in points] == [(16.0, 7.0, 4.0, "Count"), (19.0, 7.0, 4.0, "Count")], points
assert points[1]["Timestamp"] == minute - datetime.timedelta(minutes=1)
high = cw.get_metric_statistics(Namespace="Spot", MetricName="Hosts", Dimensions=hosts, Period=300, ExtendedStatistics=["p25", "p99"], **window)
assert all(p["ExtendedStatistics"]["p99"] == 7.0 for p in high["Datapoints"])
query = {"Id": "a", "MetricStat": {"Metric": {"Namespace": "Spot", "MetricName": "Hosts", "Dimensions": hosts}, "Period": 60, "Stat": "Average"}}
result = cw.get_metric_data(MetricDataQueries=[query], **window)["MetricDataResults"][0]
assert result["Values"] == [4.75, 4.0] and result["StatusCode"] == "Complete" and result["Timestamps"][0] > result["Timestamps"][1]
pages = list(cw.get_paginator("get_metric_data").paginate(MetricDataQueries=[query], MaxDatapoints=1, ScanBy="TimestampAscending", **window))
assert [v for page in pages for r in page["MetricDataResults"] for v in r["Values"]] == [4.0, 4.75]
listed = [m for page in cw.get_paginator("list_metrics").paginate(Namespace="Spot") for m in page["Metrics"]]
assert len(listed) == 801
assert cw.list_metrics(Dimensions=[{"Name": "fleet"}])["Metrics"] == [{"Namespace": "Spot", "MetricName": "Hosts", "Dimensions": hosts}]
refused("InvalidParameterValue", cw.put_metric_data, Namespace="AWS/EC2", MetricData=[{"MetricName": "a", "Value": 1}])
refused("InvalidParameterValue", cw.get_metric_statistics, Namespace="Spot", MetricName="Hosts", Period=61, Statistics=["Sum"], **window)
refused("InvalidParameterCombination", cw.get_metric_statistics, Namespace="Spot", MetricName="Hosts", Period=60, **window)
refused("InvalidParameterValue", cw.get_metric_statistics, Namespace="Spot", MetricName="Hosts", Period=60, Statistics=["Sum"], StartTime=now, EndTime=now)
alarm = dict(Namespace="Spot", MetricName="Hosts", Dimensions=hosts, Period=300, EvaluationPeriods=2, DatapointsToAlarm=1, Statistic="Maximum",
             ComparisonOperator="GreaterThanThreshold", AlarmActions=["arn:aws:sns:us-west-2:123456789012:x"])
cw.put_metric_alarm(AlarmName="many", Threshold=5, **alarm)
cw.put_metric_alarm(AlarmName="most", Threshold=50, **alarm)
cw.put_metric_alarm(AlarmName="unknown", Threshold=5, **{**alarm, "MetricName": "Nothing"})
states = {a["AlarmName"]: a["StateValue"] for a in cw.describe_alarms()["MetricAlarms"]}
assert states == {"many": "ALARM", "most": "OK", "unknown": "INSUFFICIENT_DATA"}, states
assert [a["AlarmName"] for a in cw.describe_alarms(AlarmNamePrefix="m", MaxRecords=1)["MetricAlarms"]] == ["many"]
refused("ValidationError", cw.put_metric_alarm, AlarmName="bad", Threshold=5, **{**alarm, "DatapointsToAlarm": 3})
cw.delete_alarms(AlarmNames=["most", "unknown"])
refused("ResourceNotFound", cw.delete_alarms, AlarmNames=["many", "most"])
assert [a["AlarmName"] for a in cw.describe_alarms()["MetricAlarms"]] == ["many"]
body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "hello"}}]})
assert cw.put_dashboard(DashboardName="fleet", DashboardBody=body)["DashboardValidationMessages"] == []
assert cw.get_dashboard(DashboardName="fleet")["DashboardBody"] == body
refused("InvalidParameterInput", cw.put_dashboard, DashboardName="fleet", DashboardBody="{")
