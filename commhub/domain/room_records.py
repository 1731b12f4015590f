"""What stays of a room: minutes (会议纪要), recordings of its pictures, and the layouts of video walls (视频墙)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from commhub.domain.errors import InvalidError
from commhub.domain.recording import Retention

MAX_TILES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """One version of a room's minutes; none is ever changed. `version` counts from 1."""

    id: str
    room_id: str
    version: int
    text: str
    at: datetime
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRecording:
    """A file of one source's picture as it came, under the recordings directory; `sha256` of its bytes stands on the timeline.
    `held` keeps it whatever its age. `deleted_at`: retention removed the file and kept this row."""

    id: str
    room_id: str
    source_id: str
    label: str
    path: str
    seconds: float
    sha256: str
    size: int
    started_at: datetime
    stored_at: datetime
    width: int = 0
    height: int = 0
    incident_id: str | None = None
    retention: Retention = Retention.OTHER
    held: bool = False
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WallLayout:
    """What a wall shows: `tiles` row by row, each the address of a camera (`cam:b7`), a source's id, or empty. `owner` is
    the actor it belongs to, «» for everybody."""

    id: str
    owner: str
    name: str
    columns: int
    tiles: tuple[str, ...]
    updated_at: datetime
    updated_by: str


def check_layout(columns: int, tiles: tuple[str, ...]) -> None:
    """Raises InvalidError for what no wall can show."""
    if not 1 <= len(tiles) <= MAX_TILES:
        raise InvalidError(f"a wall has 1 to {MAX_TILES} tiles")
    if not 1 <= columns <= len(tiles):
        raise InvalidError("a wall has at least one tile in every column")
    shown = [tile for tile in tiles if tile]
    if len(set(shown)) != len(shown):
        raise InvalidError("the same picture is on the wall twice")


VIDEO_TYPES: Mapping[str, str] = {".mp4": "video/mp4", ".mkv": "video/x-matroska"}
"""Media types of the files, by the end of their names."""
