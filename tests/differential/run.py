"""Asks two clouds the same and tells what differs: run.py MOTO SANDBOX LIST.

It fails on a difference that LIST does not have, on a line of LIST that no longer occurs, and on fewer
requests than there should be. With --propose it prints the lines that LIST lacks, with what both said.
"""

import re
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import catalog
import compare
import compute
import fleets
import groups
import network
import storage
import tools
from cloud import Cloud

FEWEST = 300
MODULES = (network, groups, compute, fleets, catalog, tools, storage)
# Each scenario has a region of its own, as a new account finds it.
REGIONS = (
    "us-east-2 us-west-1 us-west-2 eu-central-1 eu-north-1 eu-west-1 eu-west-2 eu-west-3 ap-northeast-1 ap-northeast-2 "
    "ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 sa-east-1"
).split()


def play(name, url, scenarios):
    """Has one cloud play the scenarios; the transcripts, by scenario."""
    done = {}
    for index, scenario in enumerate(scenarios):
        region = REGIONS[index % len(REGIONS)]
        cloud = Cloud(name, url, region)
        scenario(cloud)
        done[scenario.__name__] = cloud.steps
    return done


def offered():
    """The actions of EC2 that the sandbox has, by its source."""
    folder = Path(__file__).parents[2] / "src/sandbox/ec2/actions"
    rows = re.compile(r'Operation::(?:read|write)\(\s*"(\w+)"')
    return {name for file in folder.glob("*.rs") for name in rows.findall(file.read_text())}


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--propose"]
    moto_url, sandbox_url, path = arguments
    scenarios = [scenario for module in MODULES for scenario in module.SCENARIOS]
    with ThreadPoolExecutor(2) as pool:
        moto = pool.submit(play, "moto", moto_url, scenarios)
        sandbox = pool.submit(play, "sandbox", sandbox_url, scenarios)
        moto, sandbox = moto.result(), sandbox.result()

    reasons = compare.listed(path)
    sent, equal, differing, unsent, actions = 0, 0, 0, 0, set()
    seen, missing, causes = {}, {}, Counter()
    for scenario in moto:
        assert [s["step"] for s in moto[scenario]] == [s["step"] for s in sandbox[scenario]], scenario
        pairs = compare.Pairs()
        for one, other in zip(moto[scenario], sandbox[scenario]):
            if "not sent" in one["outcome"] or "not sent" in other["outcome"]:
                unsent += 1
                continue
            sent += "noted" not in one
            actions.add(one["action"])
            found = list(pairs.step(scenario, one, other))
            equal += not found
            differing += bool(found)
            for line, both in found:
                (seen if line in reasons else missing).setdefault(line, both)
            causes.update({reasons[line] for line, _ in found if line in reasons})

    stale = sorted(reasons.keys() - seen.keys())
    print(f"requests sent to each cloud {sent}, of {len(actions)} actions; results compared {equal + differing}")
    print(f"not sent, since what they need could not be made {unsent}")
    print(f"equal {equal}, differing {differing}")
    for who in ("moto", "both", "the sandbox"):
        print(f"  {who}:")
        for (whose, reason), count in causes.most_common():
            if whose == who:
                print(f"  {count:4} {reason}")
    unasked = offered() - actions
    print(f"actions of the sandbox that are not asked: {', '.join(sorted(unasked)) or 'none'}")
    print(f"differences listed {len(reasons)}, not listed {len(missing)}, listed but gone {len(stale)}")
    for line, (one, other) in sorted(missing.items()):
        print(f"not listed: {line}")
        if "--propose" in sys.argv:
            print(f"    moto    {str(one)[:600]}\n    sandbox {str(other)[:600]}")
    for line in stale:
        print(f"listed but gone: {line}")
    if missing or stale or sent < FEWEST:
        sys.exit(1)


main()
