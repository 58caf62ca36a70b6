import hashlib, io, os

s3 = session.client("s3")
place = {"CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}}
s3.create_bucket(Bucket="spot-state", **place)
refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket="spot-state", **place)
refused("IllegalLocationConstraintException", s3.create_bucket, Bucket="spot-other")
refused("InvalidBucketName", s3.create_bucket, Bucket="Spot-Other", **place)
s3.head_bucket(Bucket="spot-state")
refused("404", s3.head_bucket, Bucket="spot-none")
assert s3.get_bucket_location(Bucket="spot-state")["LocationConstraint"] == "us-west-2"
assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["spot-state"]
# A client of another region is sent to the right one
assert session.client("s3", region_name="eu-west-1").list_objects_v2(Bucket="spot-state")["KeyCount"] == 0

# Objects
name = "a b/ü+%.txt"
put = s3.put_object(Bucket="spot-state", Key=name, Body=b"hello", ContentType="text/plain", Metadata={"owner": "me"}, CacheControl="no-store")
assert put["ETag"] == '"%s"' % hashlib.md5(b"hello").hexdigest() and "ChecksumCRC32" in put, put
got = s3.get_object(Bucket="spot-state", Key=name)
assert got["Body"].read() == b"hello" and got["Metadata"] == {"owner": "me"} and got["ContentType"] == "text/plain" and got["CacheControl"] == "no-store"
head = s3.head_object(Bucket="spot-state", Key=name)
assert head["ContentLength"] == 5 and head["ETag"] == put["ETag"] and head["LastModified"].year >= 2026
refused("404", s3.head_object, Bucket="spot-state", Key="none")
refused("NoSuchKey", s3.get_object, Bucket="spot-state", Key="none")
refused("NoSuchBucket", s3.get_object, Bucket="spot-none", Key="none")
part = s3.get_object(Bucket="spot-state", Key=name, Range="bytes=1-2")
assert part["Body"].read() == b"el" and part["ContentRange"] == "bytes 1-2/5"
assert s3.get_object(Bucket="spot-state", Key=name, Range="bytes=-2")["Body"].read() == b"lo"
refused("InvalidRange", s3.get_object, Bucket="spot-state", Key=name, Range="bytes=9-")
refused("304", s3.get_object, Bucket="spot-state", Key=name, IfNoneMatch=put["ETag"])
refused("PreconditionFailed", s3.get_object, Bucket="spot-state", Key=name, IfMatch='"x"')
refused("BadDigest", s3.put_object, Bucket="spot-state", Key="bad", Body=b"hello", ContentMD5="AUFAKrxLKna5cZ2REBfFkg==")
s3.upload_fileobj(io.BytesIO(b"x" * 300_000), "spot-state", "large")
target = io.BytesIO()
s3.download_fileobj("spot-state", "large", target)
assert len(target.getvalue()) == 300_000
s3.delete_object(Bucket="spot-state", Key="large")
s3.delete_object(Bucket="spot-state", Key="large")
refused("NotImplemented", s3.create_multipart_upload, Bucket="spot-state", Key="parts")

# Listing
for i in range(25):
    s3.put_object(Bucket="spot-state", Key=f"list/{i // 10}/{i:02}", Body=b"")
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="spot-state", Prefix="list/", PaginationConfig={"PageSize": 10}))
assert [len(p["Contents"]) for p in pages] == [10, 10, 5] and [p["IsTruncated"] for p in pages] == [True, True, False]
assert [o["Key"] for p in pages for o in p["Contents"]] == [f"list/{i // 10}/{i:02}" for i in range(25)]
folded = list(s3.get_paginator("list_objects_v2").paginate(Bucket="spot-state", Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 2}))
assert [p["Prefix"] for page in folded for p in page.get("CommonPrefixes", [])] == ["list/0/", "list/1/", "list/2/"]
assert s3.list_objects_v2(Bucket="spot-state", Prefix="list/", StartAfter="list/2/23")["Contents"][0]["Key"] == "list/2/24"
assert [o["Key"] for o in s3.list_objects_v2(Bucket="spot-state", Prefix="a b/")["Contents"]] == [name]
refused("InvalidArgument", s3.list_objects_v2, Bucket="spot-state", ContinuationToken="nonsense")
refused("BucketNotEmpty", s3.delete_bucket, Bucket="spot-state")
s3.create_bucket(Bucket="spot-empty", **place)
s3.delete_bucket(Bucket="spot-empty")


def conditions(s3):
    """Writes under conditions, and what came of each: a status or an error code."""
    s3.create_bucket(Bucket="conditions", **place)

    def outcome(call, **arguments):
        try:
            return call(Bucket="conditions", **arguments)["ResponseMetadata"]["HTTPStatusCode"]
        except ClientError as error:
            told = error.response["Error"]
            return (error.response["ResponseMetadata"]["HTTPStatusCode"], told["Code"], told.get("Condition"))

    tag = lambda text: '"%s"' % hashlib.md5(text).hexdigest()
    return [
        outcome(s3.put_object, Key="lock", Body=b"one", IfNoneMatch="*"),
        outcome(s3.put_object, Key="lock", Body=b"two", IfNoneMatch="*"),
        outcome(s3.put_object, Key="lock", Body=b"two", IfMatch=tag(b"one")),
        outcome(s3.put_object, Key="lock", Body=b"three", IfMatch=tag(b"one")),
        outcome(s3.put_object, Key="lock", Body=b"three", IfMatch=tag(b"two").strip('"')),
        outcome(s3.put_object, Key="none", Body=b"x", IfMatch=tag(b"one")),
        outcome(s3.get_object, Key="lock", IfMatch=tag(b"three")),
        outcome(s3.get_object, Key="lock", IfMatch=tag(b"one")),
        outcome(s3.delete_object, Key="lock", IfMatch=tag(b"one")),
        outcome(s3.delete_object, Key="lock", IfMatch=tag(b"three")),
        outcome(s3.delete_object, Key="lock", IfMatch=tag(b"three")),
        outcome(s3.put_object, Key="lock", Body=b"four", IfNoneMatch="*"),
    ]


here = conditions(s3)
from moto import mock_aws

del os.environ["AWS_ENDPOINT_URL"]
with mock_aws():
    there = conditions(boto3.client("s3"))
assert here == there, "\n".join(f"sandbox {a}\nmoto    {b}" for a, b in zip(here, there) if a != b)
assert here[1] == (412, "PreconditionFailed", "If-None-Match") and here[5][1] == "NoSuchKey"
