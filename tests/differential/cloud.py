"""One of the two clouds that are compared, and what it was asked and answered."""

import threading

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# No repetition: each request is one request. What boto3 would refuse by itself is to be refused by the cloud.
CONFIG = Config(
    parameter_validation=False,
    retries={"total_max_attempts": 1, "mode": "standard"},
    connect_timeout=10,
    read_timeout=30,
)

class Absent:
    """What a failed request did not answer; requests that need it are not sent."""

    def __getitem__(self, _):
        return self


ABSENT = Absent()


class Answer(dict):
    """An answer in which what is not there is [`ABSENT`]."""

    def __missing__(self, _):
        return ABSENT


def reach(value):
    """An answer whose every level tolerates what is not there."""
    if isinstance(value, dict):
        return Answer({key: reach(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return Items(reach(inner) for inner in value)
    return value


class Items(list):
    def __getitem__(self, index):
        try:
            return super().__getitem__(index)
        except IndexError:
            return ABSENT


def lacking(value):
    if isinstance(value, dict):
        return any(lacking(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return any(lacking(inner) for inner in value)
    return value is ABSENT


class Cloud:
    """A cloud in one region."""

    # Loading the API models takes longer than all requests: one session for all, made by one thread at a time.
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret")
    making = threading.Lock()
    clients = {}

    def __init__(self, name, url, region):
        self.name, self.url, self.region = name, url, region
        self.steps = []

    def client(self, service):
        key = (self.url, self.region, service)
        with Cloud.making:
            if key not in Cloud.clients:
                Cloud.clients[key] = Cloud.session.client(
                    service, region_name=self.region, endpoint_url=self.url, config=CONFIG
                )
            return Cloud.clients[key]

    @property
    def ec2(self):
        return self.client("ec2")

    def ask(self, step, action, service="ec2", extra=None, only=None, **parameters):
        """Sends a request and writes down what came of it.

        `extra` are parameters that boto3 does not know; `only` says which members of the answer count.
        """
        client = self.client(service)
        operation = client.meta.method_to_api_mapping[action]
        record = {"step": step, "action": operation}
        self.steps.append(record)
        if lacking(parameters):
            record["outcome"] = {"not sent": "an earlier request failed"}
            return ABSENT
        event = f"before-call.{service}.{operation}"
        add = lambda params, **_: params["body"].update(extra or {})
        if extra:
            client.meta.events.register(event, add)
        try:
            answer = getattr(client, action)(**parameters)
            if hasattr(answer.get("Body"), "read"):
                answer["Body"] = answer["Body"].read().decode()
        except ClientError as error:
            told = error.response
            record["outcome"] = {
                "error": {
                    "code": told["Error"].get("Code", ""),
                    "message": told["Error"].get("Message", ""),
                    "status": told["ResponseMetadata"].get("HTTPStatusCode"),
                }
            }
            return ABSENT
        except Exception as error:  # An answer that boto3 cannot read is a result too.
            record["outcome"] = {"error": {"code": type(error).__name__, "message": "unreadable", "status": 0}}
            return ABSENT
        finally:
            if extra:
                client.meta.events.unregister(event, add)
        answer.pop("ResponseMetadata")
        counted = answer if only is None else {name: answer.get(name) for name in only}
        record["outcome"] = {"answer": counted}
        return reach(answer)

    def note(self, step, action, value):
        """Writes down what a waiter or paginator came to."""
        self.steps.append({"step": step, "action": action, "outcome": {"answer": value}, "noted": True})

    def wait(self, name, **parameters):
        """Waits as boto3 does, but more often."""
        if lacking(parameters):
            return
        waiter = self.ec2.get_waiter(name)
        waiter.config.delay = 0.02
        waiter.config.max_attempts = 500
        waiter.wait(**parameters)

    def image(self, architecture="x86_64"):
        """An image of this cloud; their names and ages are not compared."""
        images = self.ec2.describe_images(
            Owners=["099720109477"], Filters=[{"Name": "architecture", "Values": [architecture]}]
        )["Images"]
        return sorted(image["ImageId"] for image in images)[0]


def by(name, *values):
    return {"Name": name, "Values": list(values)}


def tags(kind, **values):
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in values.items()]}]
