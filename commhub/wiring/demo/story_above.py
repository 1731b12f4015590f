"""The story's part that is played between street, district and city.

As in `story`, each step looks at public interfaces only, and at those of the hub that the claim is about.
"""

from commhub.wiring.demo.cast import Cast, CastAbove, expect, step
from commhub.wiring.demo.town import CITY, DISTRICT, STREET


def tell_above(cast: Cast, above: CastAbove) -> None:
    """Play all steps. Raises StoryError at the first that fails."""
    with step(cast, "street, district and city know each other: every link is up at both ends"):
        look_at_links(cast, above)


def look_at_links(cast: Cast, above: CastAbove) -> None:
    """Each desk sees its neighbours, and no further."""
    expected = [
        (cast.desk, {DISTRICT.hub: "upper"}),
        (above.district, {STREET.hub: "lower", CITY.hub: "upper"}),
        (above.city, {DISTRICT.hub: "lower"}),
    ]
    for desk, neighbours in expected:
        peerings = desk.get("/tiers/peerings")
        seen = {peering["peer"]: peering["relation"] for peering in peerings}
        expect(seen == neighbours, f"{desk.url} has the neighbours {seen}")
        down = [peering["reason"] for peering in peerings if not peering["up"]]
        expect(not down, f"a link of {desk.url} is down: {down}")
