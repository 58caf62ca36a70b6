"""What spot keeps elsewhere: objects with conditional writes, and metrics with alarms and dashboards."""

from datetime import datetime, timedelta, timezone


def objects(c):
    bucket = f"differential-{c.region}"
    place = {} if c.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": c.region}}

    def ask(step, action, only=None, **parameters):
        return c.ask(step, action, service="s3", only=only, Bucket=bucket, **parameters)

    ask("no bucket yet", "put_object", Key="state", Body=b"one")
    ask("no bucket yet", "head_bucket")
    ask("bucket", "create_bucket", only=["Location"], **place)
    ask("bucket", "head_bucket", only=[])
    ask("no object yet", "get_object", Key="state")
    ask("no object yet", "head_object", Key="state")
    first = ask("only if there is none", "put_object", Key="state", Body=b"one", IfNoneMatch="*", only=["ETag"])
    ask("there is one", "put_object", Key="state", Body=b"two", IfNoneMatch="*")
    ask("unchanged", "get_object", Key="state", only=["Body", "ETag", "ContentLength"])
    second = ask("if it is the first", "put_object", Key="state", Body=b"two", IfMatch=first["ETag"], only=["ETag"])
    ask("no longer the first", "put_object", Key="state", Body=b"three", IfMatch=first["ETag"])
    ask("if it were", "put_object", Key="nothing", Body=b"x", IfMatch=first["ETag"])
    ask("changed", "get_object", Key="state", only=["Body", "ETag", "ContentLength"])
    ask("if it has changed", "get_object", Key="state", IfNoneMatch=second["ETag"])
    ask("if it is another", "get_object", Key="state", IfMatch=first["ETag"])
    ask("a part", "get_object", Key="state", Range="bytes=1-2", only=["Body", "ContentRange", "ContentLength"])
    ask("beyond the end", "get_object", Key="state", Range="bytes=100-200")
    ask("with metadata", "put_object", Key="a/one", Body=b"x", Metadata={"by": "spot"}, ContentType="text/plain", only=["ETag"])
    ask("with metadata", "head_object", Key="a/one", only=["Metadata", "ContentType", "ContentLength", "ETag"])
    ask("all", "list_objects_v2", only=["KeyCount", "IsTruncated", "Name"])
    ask("below", "list_objects_v2", Prefix="a/", only=["KeyCount", "Prefix"])
    ask("by folder", "list_objects_v2", Delimiter="/", only=["KeyCount", "CommonPrefixes"])
    ask("a page", "list_objects_v2", MaxKeys=1, only=["KeyCount", "IsTruncated", "MaxKeys"])
    ask("not empty", "delete_bucket")
    for key in ("state", "a/one", "never"):
        ask(key, "delete_object", Key=key)
    ask("gone", "get_object", Key="state")
    ask("empty", "delete_bucket")
    ask("gone", "delete_bucket")


def metrics(c):
    now = datetime.now(timezone.utc).replace(second=0, microsecond=0) - timedelta(minutes=10)
    space, dimensions = "Spot", [{"Name": "InstanceId", "Value": "i-0123456789abcdef0"}]

    def ask(step, action, only=None, **parameters):
        return c.ask(step, action, service="cloudwatch", only=only, **parameters)

    def datum(**more):
        return {"MetricName": "Load", "Dimensions": dimensions, "Timestamp": now, **more}

    ask("values", "put_metric_data", Namespace=space, MetricData=[datum(Value=1.0), datum(Value=3.0)])
    ask("a set", "put_metric_data", Namespace=space, MetricData=[
        datum(StatisticValues={"SampleCount": 2, "Sum": 8, "Minimum": 3, "Maximum": 5}),
    ])
    ask("no name", "put_metric_data", Namespace=space, MetricData=[{"Value": 1.0}])
    ask("no namespace", "put_metric_data", MetricData=[datum(Value=1.0)])
    ask("reserved", "put_metric_data", Namespace="AWS/EC2", MetricData=[datum(Value=1.0)])
    ask("all", "list_metrics", Namespace=space)
    ask("of nothing", "list_metrics", Namespace="Nothing")
    times = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5), "Period": 300}
    ask("statistics", "get_metric_statistics", Namespace=space, MetricName="Load", Dimensions=dimensions,
        Statistics=["Average", "Sum", "Minimum", "Maximum", "SampleCount"], **times)
    ask("of nothing", "get_metric_statistics", Namespace=space, MetricName="Nothing", Statistics=["Sum"], **times)
    ask("no such statistic", "get_metric_statistics", Namespace=space, MetricName="Load", Statistics=["Most"], **times)
    ask("backwards", "get_metric_statistics", Namespace=space, MetricName="Load", Statistics=["Sum"],
        StartTime=now, EndTime=now - timedelta(minutes=5), Period=300)
    alarm = dict(AlarmName="idle", Namespace=space, MetricName="Load", Dimensions=dimensions, Statistic="Average",
                 Period=300, EvaluationPeriods=1, Threshold=0.5, ComparisonOperator="LessThanThreshold")
    ask("alarm", "put_metric_alarm", **alarm)
    ask("no such operator", "put_metric_alarm", **{**alarm, "ComparisonOperator": "Roughly"})
    told = ["AlarmName", "MetricName", "Namespace", "Statistic", "Period", "Threshold", "ComparisonOperator"]
    alarms = ask("all", "describe_alarms", only=[])
    found = alarms["MetricAlarms"][0] if alarms["MetricAlarms"] else {}
    c.note("alarm", "DescribeAlarms", {name: found[name] for name in told} if found else None)
    ask("by name", "describe_alarms", AlarmNames=["nothing"], only=["MetricAlarms"])
    ask("alarm", "delete_alarms", AlarmNames=["idle"])
    ask("gone", "describe_alarms", only=["MetricAlarms"])
    ask("dashboard", "put_dashboard", DashboardName="fleet", DashboardBody='{"widgets": []}')
    ask("no JSON", "put_dashboard", DashboardName="fleet", DashboardBody="nonsense")
    ask("one", "get_dashboard", DashboardName="fleet", only=["DashboardBody", "DashboardName"])
    ask("unknown", "get_dashboard", DashboardName="nothing")
    ask("dashboard", "delete_dashboards", DashboardNames=["fleet"])
    ask("gone", "delete_dashboards", DashboardNames=["fleet"])


SCENARIOS = [objects, metrics]
