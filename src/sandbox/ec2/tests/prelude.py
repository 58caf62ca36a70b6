"""What the scripts that drive the endpoint with boto3 share: every answer is held against EC2's API model."""

import time
import xml.etree.ElementTree as ET

import boto3
from botocore.exceptions import ClientError

session = boto3.Session()
ec2 = session.client("ec2")
used = set()


def strange(element, shape, path):
    """Names in an answer that the API model does not know."""
    kind = shape.type_name
    if kind == "structure":
        known = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for child in element:
            name = child.tag.split("}")[-1]
            if name not in known:
                yield f"{path}/{name}"
            else:
                yield from strange(child, known[name], f"{path}/{name}")
    elif kind == "list":
        for child in element:
            name = child.tag.split("}")[-1]
            if name != shape.member.serialization.get("name", "item"):
                yield f"{path}/{name}"
            yield from strange(child, shape.member, f"{path}[]")
    elif len(element):
        yield f"{path} has children"
    elif kind in ("integer", "long"):
        int(element.text)
    elif kind == "boolean" and element.text not in ("true", "false"):
        yield f"{path} = {element.text}"


def check(operation_model, response_dict, **_):
    used.add(operation_model.name)
    if response_dict["status_code"] != 200:
        return
    root = ET.fromstring(response_dict["body"])
    shape = operation_model.output_shape
    ignored = {"requestId", "return"}
    for child in list(root):
        if child.tag.split("}")[-1] in ignored:
            root.remove(child)
    if shape is None:
        assert len(root) == 0, root
        return
    unknown = list(strange(root, shape, operation_model.name))
    assert not unknown, unknown


ec2.meta.events.register("before-parse.ec2.*", check)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"]["Message"]
    raise AssertionError(f"{code} expected")


def eventually(probe):
    deadline = time.time() + 10
    while time.time() < deadline:
        if probe():
            return
        time.sleep(0.01)
    raise AssertionError("never came true")


def tags(kind, **values):
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in values.items()]}]


def by(name, *values):
    return {"Name": name, "Values": list(values)}


def newest(architecture="x86_64"):
    images = ec2.describe_images(
        Owners=["099720109477"],
        Filters=[by("name", "*noble*"), by("architecture", architecture)],
    )["Images"]
    return max(images, key=lambda i: i["CreationDate"])["ImageId"]
