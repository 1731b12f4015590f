"""Two duty leaders in two browsers at two hubs: the street whistles a department of the district, which checks in, and the district
supervises the street, which answers."""

import pytest
from fakes.browser import browser
from fakes.tier_hubs import pair, tier_hub

from commhub.domain.people import Role
from commhub.wiring.demo.settle import Desk, add_people, settle_exports

# Two hubs and two browsers take as long as the machine is busy; each step has a deadline of its own.
pytestmark = pytest.mark.timeout(480)

NAME = "li"
ROLES = [Role.DISPATCHER, Role.DUTY_LEADER, Role.SYSTEM_ADMIN]
UPPER, LOWER = "district-1", "street-a"
WATER = {"id": "water", "name": "区水务局", "team": "water", "loop": "district"}


@pytest.fixture
def hubs(tmp_path):
    with (
        tier_hub(tmp_path, LOWER, "street", 0) as street,
        tier_hub(tmp_path, UPPER, "district", 1) as district,
    ):
        yield street, district


def password_at(hub):
    return add_people(hub, {NAME: ROLES})[NAME]


def fill_in(page, deed, text):
    """A deed of the bar of neighbours, with what is written in its form."""
    page.do("click", selector=f".tier-bar .{deed}")
    page.do("fill", selector=f".form[data-deed={deed}] textarea", text=text)


def test_a_department_is_whistled_for_and_checks_in_and_a_supervision_is_answered(hubs, pictures):
    below, above = hubs
    passwords = {hub: password_at(hub) for hub in (below, above)}
    with Desk(above.url, NAME, passwords[above]) as desk:
        desk.post("/directory/units", WATER)
        settle_exports(desk, [{"peer": "*", "subject": "unit:water", "rights": ["call"]}])
    pair(below, above)
    with Desk(below.url, NAME, passwords[below]) as desk:
        desk.post("/incidents", {"category": "flood", "text": "下穿通道积水"})

    with browser(below.url) as street, browser(above.url) as district:
        street.do("signIn", name=NAME, password=passwords[below])
        district.do("signIn", name=NAME, password=passwords[above])
        street.do("shows", selector=f".marks [data-peer={UPPER}] .tone-green", count="1")

        street.do("open", text="下穿通道积水")
        fill_in(street, "whistle", "请带抽排设备到场")
        street.do("click", selector=".form[data-deed=whistle] .unit input")
        street.do("click", selector=".form[data-deed=whistle] button[type=submit]")
        street.do("shows", selector="[data-check-in=water][data-state=called]", count="1")

        district.do("open", text="下穿通道积水")
        district.do("shows", selector="[data-check-in=water][data-state=called]", count="1")
        district.do("click", selector="[data-check-in=water] button")
        district.do("fill", selector="[data-check-in=water] form input", text="周岩")
        district.do("click", selector="[data-check-in=water] button[type=submit]")
        street.do("shows", selector="[data-check-in=water][data-state=checked_in]", count="1")
        street.do("sees", text="周岩")

        fill_in(district, "supervise", "请反馈排水进度")
        district.do("click", selector=".form[data-deed=supervise] button[type=submit]")
        street.do("shows", selector="[data-supervision][data-state=open]", count="1")
        street.do("sees", text="请反馈排水进度")
        street.do("click", selector="[data-supervision] button")
        street.do("fill", selector="[data-supervision] textarea", text="水位已降至 10 厘米")
        street.do("click", selector="[data-supervision] button[type=submit]")
        district.do("shows", selector="[data-supervision][data-state=answered]", count="1")
        district.do("sees", text="水位已降至 10 厘米")
        district.do("picture", file=str(pictures / "whistles.png"))
    assert (pictures / "whistles.png").stat().st_size > 50_000
