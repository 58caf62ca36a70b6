#!/usr/bin/env python3
"""Start-up of `spot run` with a one-line recipe, against peers, in one interleaved run.

    cargo build --release && python3 benches/startup.py [target/release/spot]

Prints the median wall time of each command and its ratio to an empty process. Peers that are not
installed are left out. Wall times vary by machine: compare the ratios.
"""
import os, shutil, statistics, subprocess, sys, tempfile, time

RUNS = 60


def main():
    spot = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "target/release/spot")
    with tempfile.TemporaryDirectory() as folder:
        recipe = os.path.join(folder, "one.rhai")
        with open(recipe, "w") as file:
            file.write('print("hello");\n')
        commands = {
            "empty process (true)": ["/bin/true"],
            "spot --version": [spot, "--version"],
            "spot run one.rhai": [spot, "run", recipe],
            "python3 -c pass": [sys.executable, "-c", "pass"],
            "python3 import boto3": [sys.executable, "-c", "import boto3"],
        }
        if shutil.which("terraform"):
            commands["terraform version"] = ["terraform", "version"]
        times = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
                times[name].append(time.perf_counter() - started)
    base = statistics.median(times["empty process (true)"])
    print(f"{'command':24} {'median ms':>10} {'p90 ms':>8} {'ratio':>7}")
    for name, values in times.items():
        values.sort()
        median = statistics.median(values)
        print(f"{name:24} {median * 1e3:10.1f} {values[int(len(values) * 0.9)] * 1e3:8.1f} {median / base:7.1f}")


main()
