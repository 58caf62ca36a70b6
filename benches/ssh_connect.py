#!/usr/bin/env python3
"""Cold connect and `echo hi` on 300 loopback hosts of one sshd, 50 at a time, and again over open sessions.

    cargo build --release && python3 benches/ssh_connect.py [target/release/spot] [HOSTS]

Needs root, sshd and ssh; compares with asyncssh, parallel-ssh and pyinfra as far as Python finds them
(`pip install asyncssh parallel-ssh pyinfra`). Client CPU is user+sys of the client's whole process tree.
"""
import os, resource, shutil, subprocess, sys, tempfile, textwrap, time

SPOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "target/release/spot")
HOSTS = int(sys.argv[2]) if len(sys.argv) > 2 else 300
AT_ONCE = 50
PORT = 22022

ADDRESSES = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(HOSTS)]


def measured(arguments, folder, expect, environment=None):
    """Runs a client; wall seconds and CPU seconds of its tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "HOME": folder, **(environment or {})})
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if expect not in done.stdout:
        print(f"  {arguments[0]} failed: {(done.stdout + done.stderr)[-400:]}", file=sys.stderr)
        return None
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def recipe(folder, times):
    path = os.path.join(folder, f"times{times}.rhai")
    with open(path, "w") as file:
        file.write(textwrap.dedent(f"""
            let hosts = [];
            for number in 0..{HOSTS} {{
                hosts.push(#{{ id: `h${{number}}`, user: "root", public_ip: `127.1.${{number / 250}}.${{number % 250 + 1}}` }});
            }}
            let ok = 0;
            for round in 0..{times} {{
                ok += ssh::run(hosts, "echo hi", #{{ quiet: true, concurrency: {AT_ONCE} }}).filter(|r| r.ok).len();
            }}
            print(`ok ${{ok}}`);
        """))
    return path


ASYNCSSH = """
import asyncio, asyncssh, sys
async def one(address, turn):
    async with turn:
        async with asyncssh.connect(address, port=PORT, username="root", client_keys=["client"], known_hosts=None) as c:
            return (await c.run("echo hi")).stdout == "hi\\n"
async def main():
    turn = asyncio.Semaphore(AT_ONCE)
    print("ok", sum(await asyncio.gather(*(one(a, turn) for a in ADDRESSES))))
asyncio.run(main())
"""

PARALLEL = """
from pssh.clients import ParallelSSHClient
client = ParallelSSHClient(ADDRESSES, user="root", port=PORT, pkey="client", pool_size=AT_ONCE, allow_agent=False)
output = client.run_command("echo hi")
client.join()
print("ok", sum(list(o.stdout) == ["hi"] for o in output))
"""


def python(folder, name, text):
    path = os.path.join(folder, name)
    values = f"ADDRESSES = {ADDRESSES!r}\nPORT = {PORT}\nAT_ONCE = {AT_ONCE}\n"
    with open(path, "w") as file:
        file.write(values + text)
    return [sys.executable, path]


def clients(folder):
    yield "spot", [SPOT, "run", recipe(folder, 1)], f"ok {HOSTS}", None
    yield "spot, the command twice", [SPOT, "run", recipe(folder, 2)], f"ok {2 * HOSTS}", None
    yield "spot, no hosts", [SPOT, "run", recipe(folder, 0)], "ok 0", None
    yield "asyncssh", python(folder, "asyncssh_.py", ASYNCSSH), f"ok {HOSTS}", None
    yield "parallel-ssh", python(folder, "parallel.py", PARALLEL), f"ok {HOSTS}", None
    pyinfra = shutil.which("pyinfra")
    if pyinfra:
        inventory = os.path.join(folder, "inventory.py")
        data = {"ssh_user": "root", "ssh_port": PORT, "ssh_key": os.path.join(folder, "client"),
                "ssh_strict_host_key_checking": "no"}
        with open(inventory, "w") as file:
            file.write(f"hosts = {[(address, data) for address in ADDRESSES]!r}\n")
        arguments = [pyinfra, "--parallel", str(AT_ONCE), "-y", inventory, "exec", "--", "echo", "hi"]
        yield "pyinfra", ["sh", "-c", '"$@" 2>&1', "sh", *arguments], "hi", None
    options = f"-F none -i client -p {PORT} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    for label, kex in (("ssh", ""), ("ssh, curve25519", "-o KexAlgorithms=curve25519-sha256")):
        line = f"printf '%s\\n' {' '.join(ADDRESSES)} | xargs -P {AT_ONCE} -I % ssh {options} {kex} root@% echo hi | sort | uniq -c"
        yield f"xargs -P {AT_ONCE} {label}", ["sh", "-c", line], f"{HOSTS} hi", None


def main():
    with tempfile.TemporaryDirectory() as folder:
        for key in ("client", "host"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(folder, key)], check=True)
        shutil.copy(os.path.join(folder, "client.pub"), os.path.join(folder, "authorized_keys"))
        with open(os.path.join(folder, "spot.toml"), "w") as file:
            file.write(f'[ssh]\nport = {PORT}\nprivate_key = "client"\npublic_key = "client.pub"\n')
        with open(os.path.join(folder, "sshd_config"), "w") as file:
            file.write(f"ListenAddress 0.0.0.0:{PORT}\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
                       f"AuthorizedKeysFile {folder}/authorized_keys\nPermitRootLogin yes\nMaxStartups 1000\n")
        os.makedirs("/run/sshd", exist_ok=True)
        sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", os.path.join(folder, "sshd_config")],
                                stderr=subprocess.DEVNULL)
        try:
            while subprocess.run(["ssh-keyscan", "-p", str(PORT), "127.0.0.1"], capture_output=True).stdout == b"":
                time.sleep(0.05)
            rows = {}
            for label, arguments, expect, environment in clients(folder):
                # Host keys of an earlier run would make this one warmer.
                shutil.rmtree(os.path.join(folder, ".spot"), ignore_errors=True)
                result = measured(arguments, folder, expect, environment)
                if result:
                    rows[label] = result
            print(f"| client | wall s | client CPU ms per host |\n|---|---|---|")
            for label, (wall, cpu) in rows.items():
                print(f"| {label} | {wall:.2f} | {cpu * 1000 / HOSTS:.2f} |")
            if "spot, the command twice" in rows:
                once, twice, start = (rows[name][1] for name in ("spot", "spot, the command twice", "spot, no hosts"))
                print(f"\nfirst command {(once - start) * 1000 / HOSTS:.2f} ms, second {(twice - once) * 1000 / HOSTS:.2f} ms per host")
        finally:
            sshd.terminate()
            sshd.wait()


main()
