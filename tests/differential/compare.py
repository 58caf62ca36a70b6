"""What differs between the transcripts of two clouds, and whether it is listed."""

import re
import tomllib
from datetime import datetime

# What is random in an answer: it is the same if both clouds use it for the same thing throughout.
RANDOM = re.compile(
    r"\b(?:i|r|vpc|subnet|igw|rtb|rtbassoc|vpc-cidr-assoc|subnet-cidr-assoc|sg|sgr|eni|eni-attach|key|vol|sir|lt|fleet|"
    r"pg|eipalloc|eipassoc|eigw|dopt|ami|snap)-(?:[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-z]{8}(?:[0-9a-f]{9})?)\b"
    r"|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"
    r"|\b(?:ip|ec2)-\d+-\d+-\d+-\d+[\w.-]*"
    r"|\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"
    r"|\b[0-9a-f]{1,4}:[0-9a-f:]+/(?:56|64)"
    r"|(?<![\d./])(?!0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}(?![\d./])"
)
TIME = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00| GMT| UTC)?")


class Pairs:
    """Which random text of one cloud stands for which of the other."""

    def __init__(self):
        self.sides = ({}, {})
        self.learning = True

    def same(self, one, other):
        """Whether two random texts belong together; those never seen before do from now on."""
        left, right = self.sides
        if one not in left and other not in right:
            if not self.learning:
                return True
            left[one] = right[other] = f"<{len(left)}>"
        return one in left and left[one] == right.get(other)

    def key(self, value, side):
        """The text by which a value is sorted; what is random and not known counts for nothing."""
        if isinstance(value, dict):
            return repr([(name, self.key(value[name], side)) for name in sorted(value)])
        if isinstance(value, (list, tuple)):
            return repr(sorted(self.key(inner, side) for inner in value))
        if isinstance(value, str):
            return RANDOM.sub(lambda found: self.sides[side].get(found.group(), "<>"), TIME.sub("<time>", value))
        return "<time>" if isinstance(value, datetime) else repr(value)

    def texts(self, one, other):
        """Whether two texts are the same but for what is random."""
        one, other = TIME.sub("<time>", one), TIME.sub("<time>", other)
        if one == other:
            return True
        if RANDOM.sub("<>", one) != RANDOM.sub("<>", other):
            return False
        # All of them, not up to the first: each is to be learnt.
        return all([self.same(*both) for both in zip(RANDOM.findall(one), RANDOM.findall(other))])

    def members(self, one, other, path=""):
        """Differences below a member: where, what, and what both said."""
        if kind(one) != kind(other):
            yield path, f"moto has a {kind(one)}, the sandbox a {kind(other)}", (one, other)
        elif isinstance(one, dict):
            for name in sorted(one.keys() | other.keys()):
                below = f"{path}.{name}" if path else name
                # An empty list that is left out looks the same to every client.
                if name not in other:
                    if one[name] not in ([], ""):
                        yield below, "only moto", (one[name], None)
                elif name not in one:
                    if other[name] not in ([], ""):
                        yield below, "only the sandbox", (None, other[name])
                else:
                    yield from self.members(one[name], other[name], below)
        elif isinstance(one, list):
            if len(one) != len(other):
                yield f"{path}[]", f"moto has {len(one)}, the sandbox {len(other)}", (one, other)
                return
            for mine, theirs in self.matched(one, other):
                yield from self.members(mine, theirs, f"{path}[]")
        elif isinstance(one, str):
            if not self.texts(one, other):
                yield path, "another value", (one, other)
        elif one != other and kind(one) != "time":
            yield path, "another value", (one, other)

    def matched(self, one, other):
        """The items of two lists of the same length that belong together: EC2 promises no order."""
        left = sorted(one, key=lambda value: self.key(value, 0))
        right = sorted(other, key=lambda value: self.key(value, 1))
        for mine in left:
            distances = [self.distance(mine, theirs) for theirs in right]
            yield mine, right.pop(distances.index(min(distances)))

    def distance(self, one, other):
        """How many differences there would be, with nothing learnt."""
        learning, self.learning = self.learning, False
        count = sum(1 for _ in self.members(one, other))
        self.learning = learning
        return count

    def step(self, scenario, moto, sandbox):
        """The differences of one step, each as the line that lists it, with what both said."""
        action, one, other = moto["action"], moto["outcome"], sandbox["outcome"]
        if "not sent" in one or "not sent" in other:
            return
        if brief(one) != brief(other):
            line = f"{action} ({scenario}: {moto['step']}): moto {brief(one)}, sandbox {brief(other)}"
            yield line, (one.get("error", "success"), other.get("error", "success"))
        elif "answer" in one:
            for where, what, both in self.members(one["answer"], other["answer"]):
                # How many there are, and what was worked out from answers, belongs to this step alone.
                alone = moto.get("noted") or what.startswith("moto has")
                place = f"({scenario}: {moto['step']}) {where}".rstrip() if alone else where
                yield f"{action} {place}: {what}", both
        else:
            one, other = one["error"], other["error"]
            if one["status"] != other["status"]:
                yield f"{action} {one['code']}: another status", (one["status"], other["status"])
            if not self.texts(one["message"], other["message"]):
                yield f"{action} {one['code']}: another message", (one["message"], other["message"])


def kind(value):
    names = {dict: "group", list: "list", str: "text", bool: "flag", bytes: "text", datetime: "time", type(None): "nothing"}
    return names.get(type(value), "number")


def brief(outcome):
    return outcome["error"]["code"] if "error" in outcome else "success"


def listed(path):
    """The lines of the list, each with whose the difference is, and why."""
    with open(path, "rb") as file:
        document = tomllib.load(file)
    reasons = {}
    for entry in document["difference"]:
        assert entry["reason"].strip() and entry["who"] in ("moto", "the sandbox", "both"), entry
        for line in entry["at"]:
            assert line not in reasons, f"listed twice: {line}"
            reasons[line] = (entry["who"], entry["reason"])
    return reasons
