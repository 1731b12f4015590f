"""One view: whom it is sent, what it is shown, where it stands in that layer, and what it says of it.

A view follows a layer at its head together with all the others (`audience`), or it is *behind*: a newcomer who begins at the last key
frame, or a path too thin for a burst. Who is behind is a cursor in the layer's cache and is sent at its own pace
until it has caught up. Nothing is ever queued for a view: the cache is the queue of all.
"""

import secrets
from dataclasses import dataclass, field

import numpy as np

from bridges.transport.peer import FarEnd, Outlet
from bridges.video.estimator import Estimator
from bridges.video.fanout import Cohort
from bridges.video.layers import LayerChoice
from bridges.video.meters import Rates
from bridges.video.pacing import Pace
from bridges.video.repairs import Repairs
from bridges.video.rewriting import Rewriter, Steady
from bridges.video.streams import CodecTypes, ViewStream
from bridges.video.track import Track
from commhub.ports.video import Layer, VideoCodec, ViewMeter

_NOTHING = Steady(0, 0, 0, 0, 0)


@dataclass(eq=False, slots=True)
class View:
    """`wanted` is what was asked for (may be SPEAKER), `source_id` whose picture that is now; `track` is shown, `target` is
    waited for; `own` is the source that it publishes itself, which SPEAKER never shows to it. `row` is its place in the table. While it is behind, `cursor` is the next extended number to send."""

    session_id: str
    room_id: str
    wanted: str
    best: Layer
    stream: ViewStream
    far_end: FarEnd
    row: int
    own: str | None = None
    source_id: str | None = None
    track: Track | None = None
    target: Track | None = None
    codec: VideoCodec | None = None
    cursor: int | None = None
    outlet: Outlet | None = None
    pace: Pace = field(default_factory=Pace)
    repairs: Repairs = field(default_factory=Repairs)
    rewriter: Rewriter = field(
        default_factory=lambda: Rewriter(secrets.randbits(15), secrets.randbits(32))
    )
    choice: LayerChoice = field(default_factory=LayerChoice)
    estimator: Estimator = field(default_factory=Estimator)
    rates: Rates = field(default_factory=Rates)
    looked_at: float = 0.0
    reported_at: float = 0.0
    octets: int = 0
    lost: int = 0
    round_trip_s: float | None = None

    def suits(self, source_id: str, codec: VideoCodec) -> bool:
        """Whether it can be shown that source for SPEAKER."""
        return source_id != self.own and codec in self.stream.types

    def forget(self) -> None:
        """What was shown is there no more, or not what is wanted; its stream goes on with whatever comes."""
        self.track = self.target = self.source_id = self.cursor = None
        self.choice.gone()

    @property
    def types(self) -> CodecTypes | None:
        """The payload types of what it is shown; None when it cannot show that codec."""
        return None if self.codec is None else self.stream.types.get(self.codec)

    @property
    def extends(self) -> bool:
        """Whether its packets carry header extensions: only where a repair is another packet (RTX)."""
        agreed = self.stream.extensions
        return bool(
            self.stream.rtx_ssrc
            and self.types is not None
            and self.types.rtx is not None
            and (agreed.abs_send_time or agreed.transport_cc)
        )

    def meter(self, now: float) -> ViewMeter:
        trip = self.round_trip_s
        estimate = self.estimator.kbps(now)
        return ViewMeter(
            session_id=self.session_id,
            source_id=self.wanted,
            layer=self.track.layer if self.track is not None else self.best,
            kbps=round(self.rates.kbps, 1),
            estimate_kbps=None if estimate is None else round(estimate, 1),
            lost=self.lost,
            repaired=self.repairs.repaired,
            round_trip_ms=None if trip is None else round(trip * 1000, 1),
        )


def cohort_of(views: list[View], *, steady: bool = True) -> Cohort:
    """Views of one layer (at least one, each with an outlet) as a cohort. Not `steady`: their load is already their own."""
    adds = [view.rewriter.steady if steady else _NOTHING for view in views]
    outlets = [view.outlet for view in views if view.outlet is not None]
    extends = views[0].extends
    agreed = [view.stream.extensions for view in views]
    return Cohort(
        fd=outlets[0].fd,
        tag=outlets[0].tag,
        extends=extends,
        rows=np.array([view.row for view in views], np.intp),
        handles=[outlet.handle for outlet in outlets],
        sequence_add=np.array([one.sequence_add for one in adds], np.uint32),
        timestamp_add=np.array([one.timestamp_add for one in adds], np.uint32),
        types=np.array(
            [(view.types.payload if view.types else 0) << 16 for view in views], np.uint32
        ),
        ssrcs=np.array([view.stream.ssrc for view in views], np.uint32),
        send_time=_heads([one.abs_send_time for one in agreed], length=3, extends=extends),
        transport=_heads([one.transport_cc for one in agreed], length=2, extends=extends),
        picture_shift=np.array([one.picture_shift for one in adds], np.int32),
        tl0_shift=np.array([one.tl0_shift for one in adds], np.int32),
    )


def _heads(
    ids: list[int], *, length: int, extends: bool
) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """The first byte of an extension element in the highest byte of a word; 0 for one that was not agreed."""
    return np.array(
        [(one << 4 | length - 1) << 24 if one and extends else 0 for one in ids], np.uint32
    )
