#!/usr/bin/env python3
"""A fleet in the sandbox: create it, run a command on every host, list it, destroy it.

    cargo build --release && python3 benches/scale.py [target/release/spot] [--count 1000]

Prints how long each phase took, and the most memory that spot and all hosts took together: PSS of the whole
tree of processes, sampled every half second, so that shared pages count once. Linux only; as root or not.
"""
import argparse, os, subprocess, sys, tempfile, threading, time

RUN = """
let all = ssh::run(state::instances(), "echo up $(hostname)", #{ quiet: true });
print(`${all.filter(|r| r.ok).len()} of ${all.len()}`);
"""


def children():
    """The ids of processes by the id of their parent."""
    tree = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        tree.setdefault(parent, []).append(int(name))
    return tree


def pss(process):
    """KiB of a process, and 0 for one that has ended."""
    try:
        with open(f"/proc/{process}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


class Memory(threading.Thread):
    """Samples the memory of a process and everything below it."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.peak, self.processes, self.over = root, 0, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            tree, found, todo = children(), [], [self.root]
            while todo:
                process = todo.pop()
                found.append(process)
                todo += tree.get(process, [])
            total = sum(pss(process) for process in found)
            if total > self.peak:
                self.peak, self.processes = total, len(found)


def phase(title, spot, folder, environment, arguments):
    started = time.monotonic()
    process = subprocess.Popen([spot, "--sandbox", *arguments], cwd=folder, env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    memory = Memory(process.pid)
    memory.start()
    out, errors = process.communicate()
    seconds = time.monotonic() - started
    memory.over.set()
    memory.join()
    print(f"| {title} | {seconds:.1f} | {memory.peak / 1024:.0f} | {memory.processes} |", flush=True)
    if process.returncode != 0:
        sys.exit(f"{title}: exit code {process.returncode}\n{out[-2000:]}{errors[-2000:]}")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spot", nargs="?", default="target/release/spot")
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    spot = os.path.abspath(options.spot)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HOME": folder}
        recipe = os.path.join(folder, "everywhere.rhai")
        with open(recipe, "w") as file:
            file.write(RUN)
        print("| phase | seconds | peak MiB (PSS of all processes) | processes then |\n|---|---|---|---|")
        phase("create", spot, folder, environment, ["create", "--count", str(options.count), "--regions", "us-west-2,us-east-1"])
        said = phase("a command on every host", spot, folder, environment, ["run", recipe])
        if f"{options.count} of {options.count}" not in said:
            sys.exit(f"not everywhere: {said[-2000:]}")
        phase("list", spot, folder, environment, ["list"])
        phase("destroy", spot, folder, environment, ["--yes", "destroy"])


main()
