#!/usr/bin/env python3
"""API calls and sequential round trips, which do not depend on the machine.

    pip install 'moto[server,ec2]' boto3
    cargo build --release && python3 benches/calls.py [target/release/spot]

Runs `spot` against moto through a proxy that delays every call, and prints for each command how many
calls it made, their longest chain (calls of which each began after the one before had ended), and the
wall time. Three regions with two instances each; nothing is cached, identity checks included.

Everything runs twice: with 100 ms a call for the wall time, and with a second a call for the chain, since
moto answers one call after the other and would make calls look like a chain that were made at once. What
moto cannot do (placement scores, prices, quotas) the proxy refuses, as an account without these permissions
would see it. With `-v` the chains are listed.
"""
import http.client, json, os, re, socket, subprocess, sys, tempfile, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

LATENCIES = (0.1, 1.0)
MISSING = ("GetProducts", "GetSpotPlacementScores", "GetServiceQuota")
REGIONS = ["us-west-2", "us-east-1", "eu-west-1"]
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}
LAUNCH = """
let project = config::load();
let plan = fleet::prepare(project, #{ count: 6, regions: project.fleet.regions, types: project.fleet.types, market: "spot", max_price: 0.0 });
print(fleet::launch(plan).len());
"""
TERMINATE = "let failed = fleet::terminate(state::instances()); print(failed.len());"
SCAN = """
let looked = parallel([|| aws::identity(), || aws::regions()], |look| look.call());
let found = aws::owned(looked[1].map(|region| #{ region: region, everything: true }));
print(found.filter(|answer| answer.ok).len());
"""
WAIT = "print(aws::wait_for(state::instances(), \"running\").len());"


class Proxy(ThreadingHTTPServer):
    """Forwards to moto after a while, and notes when each call began and ended."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, moto, latency):
        super().__init__(("127.0.0.1", 0), Handler)
        self.moto, self.latency, self.calls, self.lock = moto, latency, [], threading.Lock()

    def take(self):
        with self.lock:
            calls, self.calls = self.calls, []
        return calls


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target")
        action = target.split(".")[-1] if target else parse_qs(body.decode()).get("Action", ["?"])[0]
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", self.headers.get("Authorization", ""))
        begun = time.monotonic()
        time.sleep(self.server.latency)
        if action in MISSING:
            return self.refuse(begun, action, scope)
        # moto itself answers one call after the other; what it needs is not counted as a round trip.
        with self.server.lock:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.moto, timeout=120)
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
        with self.server.lock:
            self.server.calls.append((begun, time.monotonic(), action, scope.group(1) if scope else "?"))
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, begun, action, scope):
        with self.server.lock:
            self.server.calls.append((begun, time.monotonic(), action, scope.group(1) if scope else "?"))
        if self.headers.get("X-Amz-Target"):
            data = b'{"__type":"AccessDeniedException","message":"not here"}'
        else:
            data = b"<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>not here</Message></Error></Errors></Response>"
        self.send_response(400)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def chain(calls):
    """The most calls of which each began after the one before had ended."""
    links, free = [], 0.0
    for begun, ended, action, _ in sorted(calls, key=lambda call: call[1]):
        if begun >= free:
            links.append(action)
            free = ended
    return links


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_moto():
    port = free_port()
    server = subprocess.Popen(["moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except OSError:
            if time.monotonic() > deadline:
                sys.exit("moto_server does not listen")
            time.sleep(0.1)


class Bench:
    def __init__(self, spot, latency):
        self.spot, (self.moto, port) = spot, start_moto()
        self.proxy = Proxy(port, latency)
        threading.Thread(target=self.proxy.serve_forever, daemon=True).start()
        import boto3

        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        iam = boto3.client("iam", endpoint_url=f"http://127.0.0.1:{port}", **keys)
        # Any account that ever launched a spot instance has this role.
        iam.create_role(RoleName="AWSServiceRoleForEC2Spot", AssumeRolePolicyDocument="{}")
        self.rows = []

    def project(self, folder, dedicated):
        with open(os.path.join(folder, "spot.toml"), "w") as file:
            file.write(f"[fleet]\ncount = 6\nregions = {json.dumps(REGIONS)}\n[network]\ndedicated = {str(dedicated).lower()}\n")

    def run(self, title, folder, *arguments, until=None):
        environment = {**os.environ, **KEYS, "HOME": folder}
        self.proxy.take()
        url = f"http://127.0.0.1:{self.proxy.server_port}"
        started = time.monotonic()
        done = subprocess.run([self.spot, "--endpoint-url", url, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
        seconds = time.monotonic() - started
        calls = self.proxy.take()
        if done.returncode != 0:
            sys.exit(f"{title}: {done.stdout}{done.stderr}")
        if until:
            # Until the ids are in state: what follows (removing the launch template) waits for nothing.
            end = max(ended for _, ended, action, _ in calls if action in until)
            calls = [call for call in calls if call[1] <= end]
        links = chain(calls)
        self.rows.append((title, len(calls), len(links), seconds, links, calls))
        return calls

    def script(self, folder, name, text):
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path


def measure(spot, latency):
    bench = Bench(spot, latency)
    try:
        made = ("CreateFleet", "RunInstances")
        with tempfile.TemporaryDirectory() as folder:
            bench.project(folder, True)
            launch = bench.script(folder, "launch.rhai", LAUNCH)
            bench.run("create into new dedicated VPCs, until the ids are in state", folder, "run", launch, until=made)
            bench.run("create into the existing network, until the ids are in state", folder, "run", launch, until=made)
            wait = bench.run("wait until 12 instances run", folder, "run", bench.script(folder, "wait.rhai", WAIT))
            # Hundreds of calls at once: only a long delay shows that none of them waits for another.
            bench.proxy.latency = latency if latency < 1 else 20.0
            bench.run("scan all regions for everything that spot made", folder, "run", bench.script(folder, "scan.rhai", SCAN))
            bench.proxy.latency = latency
            end = bench.run("terminate 12 instances and wait", folder, "run", bench.script(folder, "end.rhai", TERMINATE))
            terminates = [region for _, _, action, region in end if action == "TerminateInstances"]
            assert len(terminates) == len(REGIONS) == len(set(terminates)), terminates
            assert {action for _, _, action, _ in wait} == {"DescribeInstances"}, wait
            bench.run("destroy: the dedicated networks", folder, "--yes", "destroy")
    finally:
        bench.moto.kill()
    return bench.rows


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "-v"]
    spot = os.path.abspath(arguments[0] if arguments else "target/release/spot")
    quick, slow = (measure(spot, latency) for latency in LATENCIES)
    print("| command, 3 regions | API calls | longest chain | seconds at 100 ms a call |\n|---|---|---|---|")
    for (title, calls, _, seconds, _, _), (_, _, length, _, _, _) in zip(quick, slow):
        print(f"| {title} | {calls} | {length} | {seconds:.2f} |")
    if "-v" in sys.argv:
        for title, _, _, _, links, calls in slow:
            print(f"\n{title}: {' > '.join(links)}")
            counts = {}
            for _, _, action, _ in calls:
                counts[action] = counts.get(action, 0) + 1
            print("  " + ", ".join(f"{count} {action}" for action, count in sorted(counts.items())))


main()
