"""What is known of a picture from one packet of it."""

from typing import NamedTuple


class Picture(NamedTuple):
    """What one payload says.

    `start`: it may begin a picture. Several packets of one picture may say so (parameter sets, then the first slice):
    the first of a timestamp counts. `end`: it ends a picture as far as the payload can tell; elsewhere the RTP marker
    does. `key`: it belongs to a picture that needs no other; the first packet of such a picture always says so, later
    ones only in H.264. `width`, `height` in pixels where the packet carries them, else 0. `temporal`: layer in
    time, 0 is the base. `discardable`: no other picture refers to this one.
    """

    start: bool
    end: bool
    key: bool
    width: int = 0
    height: int = 0
    temporal: int = 0
    discardable: bool = False


MALFORMED = Picture(start=False, end=False, key=False)
"""The payload contradicts its format. One object, compared by `is`: an innocent middle packet may look the same."""
