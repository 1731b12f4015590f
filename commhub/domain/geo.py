"""Places on the ground. Stored positions are always WGS-84; other datums are converted at the edge."""

import math
from dataclasses import dataclass
from datetime import datetime

EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class Point:
    """WGS-84 degrees."""

    lat: float
    lon: float

    def __post_init__(self) -> None:
        if not (-90 <= self.lat <= 90 and -180 <= self.lon <= 180):
            raise ValueError(f"no such place: lat {self.lat}, lon {self.lon}")


@dataclass(frozen=True, slots=True)
class Position:
    """Where something was, and when it said so."""

    point: Point
    at: datetime


def distance_m(a: Point, b: Point) -> float:
    """Great-circle distance in metres (haversine on the mean earth radius, error below 0.6 %)."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    half_lat = (lat_b - lat_a) / 2
    half_lon = math.radians(b.lon - a.lon) / 2
    h = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(h))
