"""`python -m benchmarks NAME …`: run one benchmark, or all of them with their defaults."""

import importlib
import sys
from pathlib import Path

_NOT_BENCHMARKS = {"__init__", "__main__"}


def names() -> list[str]:
    """The benchmarks there are: every public module or package here that has a `main`."""
    here = Path(__file__).parent
    found = {path.stem for path in here.glob("[a-z]*.py")} | {
        path.parent.name for path in here.glob("[a-z]*/__init__.py")
    }
    return sorted(found - _NOT_BENCHMARKS)


def main() -> int:
    """Return the exit code: 0 when every benchmark verified its own work."""
    wanted, arguments = sys.argv[1:2], sys.argv[2:]
    if not wanted or wanted[0] not in [*names(), "all"]:
        print(
            f"usage: python -m benchmarks {{{','.join([*names(), 'all'])}}} [--json] …",
            file=sys.stderr,
        )
        return 2
    chosen = names() if wanted == ["all"] else wanted
    codes = []
    for name in chosen:
        print(f"# {name}", file=sys.stderr)
        codes.append(int(importlib.import_module(f"benchmarks.{name}").main(arguments)))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
