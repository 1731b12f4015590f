"""What a leg's row means to the media engine."""

from commhub.domain.call import Leg
from commhub.domain.recording import BuiltInPrompt
from commhub.ports.media import LegShape, Playback


def shape_of(leg: Leg) -> LegShape:
    """How the engine is to treat the leg. On hold it neither hears nor is heard, whatever else was said of it."""
    return LegShape(
        muted=leg.muted or leg.listen_only or leg.held,
        deaf=leg.held,
        gain_db=leg.gain_db,
        limit=leg.auto_gain,
        whispers_to=leg.whispers_to,
    )


def hold_prompt(leg: Leg) -> Playback:
    """What a leg on hold hears. Ordered twice it is played once; after a move it is another playback."""
    return Playback(
        id=f"hold-{leg.id}",
        call_id=leg.call_id,
        prompt=BuiltInPrompt.HOLD.value,
        leg_ids=(leg.id,),
        loop=True,
    )
