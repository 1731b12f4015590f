"""Secrets the hub's own processes share: made on first use, one file each, readable by the owner alone."""

import os
from pathlib import Path

from commhub.kit.ids import new_id, new_secret


def own_secret(data_dir: Path, name: str) -> str:
    """Return the secret of that name, making it when it is not there. Two processes starting at once agree."""
    folder = data_dir / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        draft = folder / f".{new_id()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new_secret())
        try:
            # A link appears whole or not at all, and only for the first of two.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
