#!/usr/bin/env python3
"""`create` of 2 regions x 3 instances in the sandbox, from an empty project to the summary.

    cargo build --release && python3 benches/create.py [target/release/spot]

Prints the wall time of five cold runs and the time line of the median one.
"""
import json, os, subprocess, sys, tempfile, time


def run(spot):
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, "deploy", "files"))
        with open(os.path.join(folder, "deploy", "files", "app.txt"), "w") as file:
            file.write("hello\n" * 1000)
        with open(os.path.join(folder, "deploy", "setup.sh"), "w") as file:
            file.write("#!/bin/sh\nset -eu\ncp /opt/deployment/app.txt /opt/result\n")
        arguments = ["--sandbox", "--json", "create", "--count", "6", "--regions", "us-west-2,eu-central-1"]
        environment = {**os.environ, "HOME": folder}
        started = time.perf_counter()
        done = subprocess.run([spot, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)
        end = json.loads(done.stdout.splitlines()[-1])
        return seconds, end["timeline"]


def main():
    spot = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "target/release/spot")
    runs = sorted((run(spot) for _ in range(5)), key=lambda run: run[0])
    print("seconds of five runs:", " ".join(f"{seconds:.2f}" for seconds, _ in runs))
    print("time line of the median:", " · ".join(f"{title} {seconds:.2f}" for title, seconds in runs[2][1]))


main()
