"""Which layer of each picture goes over a way that holds only so much (上行带宽). Pure.

Everybody gets the smallest layer first, in the order of who matters; then the same order is gone through again, and each gets the layer
that was asked for, or the best below it that there is still room for. Whom not even the smallest fits is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commhub.ports.video import Layer

USUAL_KBPS: Mapping[Layer, int] = {Layer.MAIN: 4000, Layer.SUB: 800, Layer.LOW: 200}
"""What a layer takes that was not measured yet: 1080p30, 360p, 180p."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One picture that is wanted beyond the way: `layer` at most, of the `layers` it has, each with what it takes (kbit/s)."""

    id: str
    layer: Layer
    layers: Mapping[Layer, int]
    focus: bool = False
    watchers: int = 1


@dataclass(frozen=True, slots=True)
class Share:
    """What one picture gets of the way."""

    layer: Layer
    kbps: int


def allot(wanted: Sequence[Wanted], kbps: int) -> Mapping[str, Share]:
    """What goes, by id; who is not in it is refused. `kbps` 0: there is no bound. Among equals the order given counts."""
    ranked = sorted(wanted, key=lambda one: (not one.focus, -one.watchers))
    if not kbps:
        return {one.id: _share(one, _fitting(one)[0]) for one in ranked}
    given: dict[str, Share] = {}
    left = kbps
    for one in ranked:
        least = _share(one, _fitting(one)[-1])
        if least.kbps <= left:
            given[one.id] = least
            left -= least.kbps
    for one in ranked:
        if one.id not in given:
            continue
        room = left + given[one.id].kbps
        for layer in _fitting(one):
            better = _share(one, layer)
            if better.kbps <= room:
                left, given[one.id] = room - better.kbps, better
                break
    return given


def _fitting(one: Wanted) -> list[Layer]:
    """The layers that may be sent, the best first: what there is no better than asked, or the nearest to it that there is."""
    there = sorted(one.layers)
    return [layer for layer in there if layer >= one.layer] or there[-1:] or [one.layer]


def _share(one: Wanted, layer: Layer) -> Share:
    return Share(layer, max(1, one.layers.get(layer, USUAL_KBPS[layer])))
