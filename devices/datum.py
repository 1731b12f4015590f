"""GCJ-02 to WGS-84: Chinese maps and many Chinese devices report positions shifted by up to some 700 m.

The shift is a published approximation of the official, closed transform (as used by every open map library). Only
its forward direction is a formula; the way back is found by iteration, to about a centimetre. Outside the bounding
box of mainland China GCJ-02 equals WGS-84.
"""

import math

from commhub.domain.geo import Point

# Krasovsky 1940, as the transform uses it.
_A = 6_378_245.0
_EE = 0.006_693_421_622_965_943_23
_CLOSE_ENOUGH_DEG = 1e-7
_MAX_STEPS = 10


def _is_shifted(point: Point) -> bool:
    return 72.004 <= point.lon <= 137.8347 and 0.8293 <= point.lat <= 55.8271


def _wave(x: float) -> float:
    return 20 * math.sin(6 * x * math.pi) + 20 * math.sin(2 * x * math.pi)


def _shift_lat(x: float, y: float) -> float:
    metres = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x))
    metres += _wave(x) * 2 / 3
    metres += (20 * math.sin(y * math.pi) + 40 * math.sin(y / 3 * math.pi)) * 2 / 3
    return metres + (160 * math.sin(y / 12 * math.pi) + 320 * math.sin(y * math.pi / 30)) * 2 / 3


def _shift_lon(x: float, y: float) -> float:
    metres = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x))
    metres += _wave(x) * 2 / 3
    metres += (20 * math.sin(x * math.pi) + 40 * math.sin(x / 3 * math.pi)) * 2 / 3
    return metres + (150 * math.sin(x / 12 * math.pi) + 300 * math.sin(x / 30 * math.pi)) * 2 / 3


def _shift_deg(point: Point) -> tuple[float, float]:
    """The shift at a WGS-84 point, in degrees of latitude and longitude."""
    x, y = point.lon - 105, point.lat - 35
    phi = math.radians(point.lat)
    magic = 1 - _EE * math.sin(phi) ** 2
    meridian = _A * (1 - _EE) / (magic * math.sqrt(magic))
    parallel = _A / math.sqrt(magic) * math.cos(phi)
    return math.degrees(_shift_lat(x, y) / meridian), math.degrees(_shift_lon(x, y) / parallel)


def wgs84_to_gcj02(point: Point) -> Point:
    """Shift a WGS-84 point as Chinese maps do."""
    if not _is_shifted(point):
        return point
    lat, lon = _shift_deg(point)
    return Point(point.lat + lat, point.lon + lon)


def gcj02_to_wgs84(point: Point) -> Point:
    """Undo the shift; the result shifted again is `point` to about a centimetre."""
    if not _is_shifted(point):
        return point
    guess = point
    for _ in range(_MAX_STEPS):
        lat, lon = _shift_deg(guess)
        miss_lat, miss_lon = guess.lat + lat - point.lat, guess.lon + lon - point.lon
        guess = Point(guess.lat - miss_lat, guess.lon - miss_lon)
        if max(abs(miss_lat), abs(miss_lon)) < _CLOSE_ENOUGH_DEG:
            break
    return guess
