"""The budget of a way applied to the rows of what goes over it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from commhub.domain.tier import Peering
from commhub.domain.tier_rooms import Uplink
from commhub.ports.store import UnitOfWork
from commhub.ports.video import Layer
from commhub.rooms.cascade.budget import USUAL_KBPS, Share, Wanted, allot
from commhub.rooms.video_events import LAYER_NAMES, VideoEvents

_WORTH_WRITING = 4
"""A measure is written when it moved by more than this part of it."""
_LAYERS = {name: layer for layer, name in LAYER_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Weight:
    """Why a picture goes before others."""

    focus: bool = False
    watchers: int = 1


async def allot_all(
    uow: UnitOfWork, peering: Peering, weights: Mapping[str, Weight], events: VideoEvents
) -> Mapping[str, Share]:
    """What each picture to that neighbour gets of the way, written into the rows; who is not in it gets nothing."""
    uplinks = sorted(
        await uow.cascades.uplinks_to(peering.peer), key=lambda one: (one.asked_at, one.id)
    )
    wanted = [
        Wanted(
            id=one.id,
            layer=Layer(one.layer),
            layers=await _layers_of(uow, one.source_id, events),
            focus=weights.get(one.id, Weight()).focus,
            watchers=weights.get(one.id, Weight()).watchers,
        )
        for one in uplinks
    ]
    shares = allot(wanted, peering.uplink_kbps)
    for one in uplinks:
        await _write(uow, one, shares.get(one.id))
    return shares


async def _write(uow: UnitOfWork, uplink: Uplink, share: Share | None) -> None:
    sent = None if share is None else int(share.layer)
    kbps = 0 if share is None else share.kbps
    if sent != uplink.sent or abs(kbps - uplink.kbps) > uplink.kbps // _WORTH_WRITING:
        await uow.cascades.put_uplink(replace(uplink, sent=sent, kbps=kbps))


async def _layers_of(uow: UnitOfWork, source_id: str, events: VideoEvents) -> dict[Layer, int]:
    """What the picture can be had in, and what each takes: as measured, or as usual before it came."""
    meter = events.meter_of(source_id)
    measured = {one.layer: one.kbps for one in meter.layers} if meter is not None else {}
    source = await uow.rooms.find_source(source_id)
    names = source.layers if source is not None and source.layers else ("main",)
    layers = [_LAYERS[name] for name in names if name in _LAYERS] or [Layer.MAIN]
    return {layer: round(measured.get(layer, 0.0)) or USUAL_KBPS[layer] for layer in layers}
