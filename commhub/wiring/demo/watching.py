"""The story's step that is looked at: a body camera's live view."""

from collections.abc import Mapping
from typing import Any

from commhub.wiring.demo.cast import Cast, Simulated, expect, until
from commhub.wiring.demo.settle import Desk

# What the simulated camera shows: a loop of four seconds, every picture with its number.
FULL_SIZE = (1920, 1080)
LOOP_PICTURES = 120
PICTURES_SEEN = 10
PICTURES_BEHIND = 45


def watch_live(cast: Cast, camera: str = "b7") -> None:
    """The camera that nobody watched is asked to send, and its picture, 1080p, is the one it shows at this moment."""
    room = cast.desk.post("/rooms/live", {"camera": camera})
    see(cast, cast.desk, room["id"], room["sources"][0]["id"])
    state = cast.desk.get(f"/rooms/{room['id']}")["sources"][0]["state"]
    expect(state == "live", f"the source is {state}")


def see(cast: Cast, desk: Desk, room: str, source: str) -> None:
    """Somebody at that desk watches a source there that is the body camera's: 1080p, and what it shows at this moment."""
    cookie = "; ".join(f"{name}={value}" for name, value in desk.cookies.items())
    cast.viewer.do(
        "watch",
        whep=f"{desk.url}/whep/{room}/{source}",
        headers={"Cookie": cookie, "Origin": desk.url},
    )

    def seen() -> bool:
        shown = cast.viewer.state()
        expect(not shown["refused"], f"the hub refuses the view: {shown['refused']}")
        return shown["frames"] >= PICTURES_SEEN and is_fresh(cast.bodycam, shown)

    try:
        until(f"pictures are seen at {desk.url} as the camera shows them", seen, within_s=90)
        shown = cast.viewer.state()
        size = (shown["width"], shown["height"])
        expect(size == FULL_SIZE, f"the picture is {size}")
    finally:
        cast.viewer.do("stop")


def is_fresh(camera: Simulated, shown: Mapping[str, Any]) -> bool:
    """Whether the number burnt into the picture is near that of the one the camera sent last."""
    live = camera.state()["live"]
    if not live or "main" not in live[0]["layers"] or shown["number"] is None:
        return False
    behind = (live[0]["layers"]["main"]["showing"] - shown["number"]) % LOOP_PICTURES
    return bool(behind <= PICTURES_BEHIND)
