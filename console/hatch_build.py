"""Hatchling hook: a wheel carries the built console. COMMHUB_SKIP_CONSOLE=1 leaves it out (back-end work)."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling ships no type of the configuration
    """Runs console/build.py before a wheel is packed; editable installs use a built copy or `npm start`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del build_data
        if version == "editable" or os.environ.get("COMMHUB_SKIP_CONSOLE") == "1":
            return
        script = Path(self.root) / "console" / "build.py"
        subprocess.run([sys.executable, str(script)], check=True)  # noqa: S603 - our own script
