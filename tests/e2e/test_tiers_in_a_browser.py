"""Two dispatchers in two browsers at two hubs: they pair the hubs, one reports an incident up, the other gives it back, and the one sees at
once when the other's hub is gone."""

import pytest
from fakes.browser import browser
from fakes.tier_hubs import tier_hub

from commhub.domain.people import Role
from commhub.wiring.demo.settle import Desk, add_people

# Two hubs, two browsers and a restart take as long as the machine is busy; each step has a deadline of its own.
pytestmark = pytest.mark.timeout(480)

NAME = "li"
ROLES = [Role.DISPATCHER, Role.DUTY_LEADER, Role.SECURITY_ADMIN]
UPPER, LOWER = "district-1", "street-a"


@pytest.fixture
def hubs(tmp_path):
    with (
        tier_hub(tmp_path, LOWER, "street", 0) as street,
        tier_hub(tmp_path, UPPER, "district", 1) as district,
    ):
        yield street, district


def signed_in(page, hub):
    password = add_people(hub, {NAME: ROLES})[NAME]
    page.do("signIn", name=NAME, password=password)
    return password


def pair(street, district):
    """By the two pages: a ticket made above, and shown below."""
    district.do("go", path="/tiers")
    district.do("click", selector="button.invite")
    district.do("fill", selector="input[name=peer]", text=LOWER)
    district.do("click", selector=".el-dialog button[type=submit]")
    ticket = district.do("value", selector="textarea.ticket")
    assert ticket.startswith("commhub-tier:")
    street.do("go", path="/tiers")
    street.do("click", selector="button.pair")
    street.do("fill", selector="textarea[name=ticket]", text=ticket)
    street.do("sees", text=f"将与 {UPPER} 配对")
    street.do("click", selector=".el-dialog button[type=submit]")
    street.do("shows", selector=f"tr[data-peer={UPPER}] .tone-green", count="1")
    district.do("shows", selector=f"tr[data-peer={LOWER}] .tone-green", count="1")


def test_hubs_are_paired_an_incident_goes_up_and_comes_back_and_a_lost_link_is_seen(hubs, pictures):
    below, above = hubs
    with browser(below.url) as street, browser(above.url) as district:
        password = signed_in(street, below)
        signed_in(district, above)
        pair(street, district)

        with Desk(below.url, NAME, password) as desk:
            desk.post("/incidents", {"category": "flood", "text": "河堤渗水，需要区里支援"})
        street.do("go", path="/desk")
        street.do("open", text="河堤渗水")
        street.do("click", selector=".tier-bar .reportUp")
        street.do("fill", selector=".form[data-deed=reportUp] textarea", text="请派抽排力量")
        street.do("click", selector=".form[data-deed=reportUp] button[type=submit]")
        street.do("shows", selector=f".share[data-peer={UPPER}] .tone-green", count="1")

        district.do("go", path="/desk")
        district.do("open", text="河堤渗水")
        district.do("sees", text="请派抽排力量")
        district.do("shows", selector=".filters.hubs button[data-hub]", count="2")
        district.do("click", selector=f".filters.hubs [data-hub={LOWER}]")
        district.do("sees", text="收到")
        district.do("click", selector=".tier-bar .giveBack")
        district.do("fill", selector=".form[data-deed=giveBack] textarea", text="不属我区管辖")
        district.do("click", selector=".form[data-deed=giveBack] button[type=submit]")

        street.do("sees", text="不属我区管辖")
        street.do("shows", selector=f".share[data-peer={UPPER}] .tone-vermillion", count="1")
        street.do("shows", selector=".tier-bar .reportUp", count="1")
        street.do("picture", file=str(pictures / "tiers.png"))

        above.stop()
        street.do("shows", selector=f".banner[data-peer={UPPER}]", count="1")
        street.do("sees", text="的连接已断开")
        above.start()
        above.wait_ready()
        street.do("shows", selector=f".banner[data-peer={UPPER}]", count="0")
        street.do("shows", selector=f".marks [data-peer={UPPER}] .tone-green", count="1")
    assert (pictures / "tiers.png").stat().st_size > 50_000
