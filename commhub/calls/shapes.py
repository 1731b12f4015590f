"""What a leg on hold means to the media engine (its shape is `ports.telephony.shape_of`)."""

from commhub.domain.call import Leg
from commhub.domain.recording import BuiltInPrompt
from commhub.ports.media import Playback


def hold_prompt(leg: Leg) -> Playback:
    """What a leg on hold hears. Ordered twice it is played once; after a move it is another playback."""
    return Playback(
        id=f"hold-{leg.id}",
        call_id=leg.call_id,
        prompt=BuiltInPrompt.HOLD.value,
        leg_ids=(leg.id,),
        loop=True,
    )
