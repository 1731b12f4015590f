"""GCJ-02 and WGS-84."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commhub.domain.geo import Point, distance_m
from devices.datum import gcj02_to_wgs84, wgs84_to_gcj02


def test_the_shift_at_known_places() -> None:
    # Well-known pairs of the published transform: Tian'anmen and the Shanghai Oriental Pearl.
    for wgs, gcj in (
        (Point(39.90734, 116.39089), Point(39.90874, 116.39713)),
        (Point(31.1774276, 121.5272106), Point(31.17530398364597, 121.531541859215)),
    ):
        assert distance_m(wgs84_to_gcj02(wgs), gcj) < 5


@given(st.floats(18.2, 53.5), st.floats(73.7, 135))
def test_the_way_back_is_exact_to_a_centimetre(lat: float, lon: float) -> None:
    point = Point(lat, lon)
    assert distance_m(wgs84_to_gcj02(gcj02_to_wgs84(point)), point) < 0.02


@pytest.mark.parametrize("point", [Point(51.5, -0.1), Point(0, 0), Point(-33.9, 151.2)])
def test_abroad_both_are_the_same(point: Point) -> None:
    assert gcj02_to_wgs84(point) == wgs84_to_gcj02(point) == point
