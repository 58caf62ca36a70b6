#!/usr/bin/env python3
"""Makes the pictures in this folder from what spot really prints, in the sandbox.

    python3 docs/pictures/make.py target/release/spot

It needs tmux. A picture is the screen of a terminal at a moment that is waited for, as SVG.
"""

import html
import os
import re
import subprocess
import sys
import tempfile
import time

WIDTH, HEIGHT = 100, 30
CELL_WIDTH, CELL_HEIGHT = 8.4, 18
COLORS = ["#45475a", "#d20f39", "#2d8a1f", "#b06a00", "#1e66f5", "#8839ef", "#08808a", "#bcc0cc"]
FOREGROUND, BACKGROUND, DIM = "#d5daea", "#1b1d28", "#8b90a6"
BRIGHT = ["#6c7086", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#cba6f7", "#94e2d5", "#ffffff"]


def runs(line):
    """Pieces of a line with the same look: text, colour, bold, dim."""
    color, bold, dim, place, pieces = None, False, False, 0, []
    for match in re.finditer(r"\x1b\[([0-9;]*)m", line):
        pieces.append((line[place : match.start()], color, bold, dim))
        place = match.end()
        for code in [int(code or 0) for code in match[1].split(";")]:
            if code == 0:
                color, bold, dim = None, False, False
            elif code == 1:
                bold = True
            elif code == 2:
                dim = True
            elif code == 22:
                bold = dim = False
            elif code == 39:
                color = None
            elif 30 <= code <= 37:
                color = BRIGHT[code - 30]
            elif 90 <= code <= 97:
                color = BRIGHT[code - 90]
    pieces.append((line[place:], color, bold, dim))
    return [piece for piece in pieces if piece[0]]


def svg(screen, title):
    lines = screen.rstrip("\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    width = WIDTH * CELL_WIDTH + 32
    height = len(lines) * CELL_HEIGHT + 32
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
        '<g font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14" '
        f'fill="{FOREGROUND}" xml:space="preserve">',
    ]
    for number, line in enumerate(lines):
        column, y = 0, 30 + number * CELL_HEIGHT
        for text, color, bold, dim in runs(line):
            look = f' fill="{color or DIM}"' if color or dim else ""
            look += ' font-weight="bold"' if bold else ""
            x, length = 16 + column * CELL_WIDTH, len(text) * CELL_WIDTH
            if text.strip():
                parts.append(
                    f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}"{look}>{html.escape(text)}</text>'
                )
            column += len(text)
    return "\n".join(parts + ["</g>", "</svg>"]) + "\n"


class Terminal:
    def __init__(self, folder, spot):
        self.socket = os.path.join(folder, "tmux")
        self.tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "-c", folder, "sh")
        path = os.path.join(folder, "bin")
        os.makedirs(path)
        os.symlink(os.path.abspath(spot), os.path.join(path, "spot"))
        self.type(f"export PATH={path}:$PATH HOME={folder} PS1='$ ' SPOT_SANDBOX=1 COLORTERM=; cd app; clear")
        self.until(r"^\$ ?$")

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], check=True, capture_output=True, text=True).stdout

    def type(self, line, enter=True):
        self.tmux("send-keys", "-l", line)
        if enter:
            self.tmux("send-keys", "Enter")

    def key(self, name):
        self.tmux("send-keys", name)

    def screen(self):
        return self.tmux("capture-pane", "-p", "-e")

    def until(self, pattern, seconds=60):
        """The screen as soon as a line of it looks like this."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            screen = self.screen()
            plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
            if re.search(pattern, plain, re.M):
                return screen
            time.sleep(0.03)
        sys.exit(f"this did not come within {seconds} s: {pattern}\n{plain}")

    def clear(self):
        self.until(r"^\$ ?\s*\Z")
        self.type("clear")
        self.until(r"\A\$ ?\s*\Z")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as folder:
        app = os.path.join(folder, "app")
        subprocess.run([sys.argv[1], "--quiet", "init", app], check=True, env={**os.environ, "HOME": folder})
        with open(os.path.join(app, "deploy", "setup.sh"), "w") as file:
            file.write("#!/bin/sh\nset -eu\nsleep 2\n")
        os.makedirs(os.path.join(app, "recipes"), exist_ok=True)
        with open(os.path.join(app, "recipes", "uptime.rhai"), "w") as file:
            file.write('//! Shows how long each host has been up.\n\nfor r in ssh::rnu(state::instances(), "uptime") {\n    print(r.stdout);\n}\n')
        terminal = Terminal(folder, sys.argv[1])

        def keep(name, title, screen):
            with open(os.path.join(here, f"{name}.svg"), "w") as file:
                file.write(svg(screen, title))

        try:
            terminal.type("spot create --count 6 --regions us-west-2")
            keep("create", "spot create at work", terminal.until(r"running.*[1-9]s$"))
            terminal.until(r"create finished")
            terminal.clear()
            terminal.type("spot list")
            keep("list", "spot list", terminal.until(r"about \$"))
            terminal.clear()
            terminal.type("spot create --count 12 --regions us-west-2 --screen full")
            keep("full", "spot create on a screen of its own", terminal.until(r"failed first(.|\n)*(running|setting|set up|uploading)"))
            terminal.until(r"create finished")
            terminal.clear()
            terminal.type("spot uptime")
            keep("typo", "A typo is found before anything runs", terminal.until(r"did you mean"))
            terminal.clear()
            terminal.type("spot repl")
            terminal.until(r"^spot \(sandbox\)> ?$")
            terminal.type('fleet.run("uname -s")')
            terminal.until(r"of \d+ ok")
            terminal.type("help sys::age")
            terminal.until(r"^spot \(sandbox\)> ?$")
            terminal.type("ssh::", enter=False)
            terminal.key("Tab")
            keep("repl", "spot repl", terminal.until(r"ssh::upload"))
        finally:
            subprocess.run(["tmux", "-S", terminal.socket, "kill-server"], capture_output=True)


main()
