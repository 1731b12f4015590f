"""A joined room as it is at one moment, and what of other hubs' pictures is needed in it. Reads; decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from commhub.domain.room import Participant, Room, Session, SessionRight, Source
from commhub.domain.tier_rooms import CascadeState, RemoteSource, RoomCascade, Uplink
from commhub.ports.store import UnitOfWork
from commhub.ports.video import SPEAKER, Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A room with its joins, everybody's pictures, who looks, and what goes out."""

    room: Room
    cascades: Sequence[RoomCascade]
    people: Sequence[Participant]
    sources: Mapping[str, Source]
    remote: Mapping[str, RemoteSource]
    sessions: Sequence[Session]
    uplinks: Sequence[Uplink]

    def joined(self, peer: str) -> RoomCascade | None:
        """The join with that hub, while it holds and the link does."""
        return next(
            (one for one in self.cascades if one.peer == peer and one.state is CascadeState.JOINED),
            None,
        )

    def arrives(self, source_id: str) -> bool:
        """Whether somebody is connected who sends that picture."""
        return any(
            one.right is SessionRight.PUBLISH and one.source_id == source_id
            for one in self.sessions
        )


async def load(uow: UnitOfWork, room: Room) -> Scene:
    """The room as it is in this transaction."""
    sources = await uow.rooms.sources_of(room.id)
    remote = await uow.cascades.sources_of(room.id)
    return Scene(
        room=room,
        cascades=await uow.cascades.of_room(room.id),
        people=await uow.rooms.participants_of(room.id),
        sources={one.id: one for one in sources},
        remote={one.source_id: one for one in remote},
        sessions=await uow.rooms.sessions_of(room.id),
        uplinks=await uow.cascades.uplinks_of(room.id),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is needed of one picture of another hub: the best layer anybody here, or beyond, looks at. `focus`: it is who speaks, or in
    the spotlight. How many `watchers` there are is told with it, and told anew only with the rest."""

    layer: Layer
    focus: bool = False
    watchers: int = field(default=1, compare=False)


def needs(scene: Scene, speaker: str | None, waited_for: Mapping[str, Layer]) -> dict[str, Need]:
    """By source. `speaker` is the picture that SPEAKER shows, `waited_for` what somebody asked for who cannot be let in before it is there."""
    found: dict[str, Need] = {}
    if not scene.room.is_open:
        return found
    shown = scene.room.spotlight or speaker
    for source_id in scene.remote:
        layers = [
            *(_layers_seen(scene, source_id, shown)),
            *(
                Layer(one.layer)
                for one in scene.uplinks
                if one.source_id in _names(source_id, shown)
            ),
        ]
        watchers = len(layers)
        if source_id in waited_for:
            layers.append(waited_for[source_id])
        if scene.room.recording or scene.room.spotlight == source_id:
            layers.append(Layer.MAIN)
        if layers:
            found[source_id] = Need(
                layer=min(layers), focus=source_id == shown, watchers=max(watchers, 1)
            )
    return found


def _layers_seen(scene: Scene, source_id: str, shown: str | None) -> list[Layer]:
    return [
        Layer(one.layer)
        for one in scene.sessions
        if one.right is SessionRight.VIEW and one.source_id in _names(source_id, shown)
    ]


def _names(source_id: str, shown: str | None) -> tuple[str, ...]:
    """As what the picture is looked at."""
    return (source_id, SPEAKER) if source_id == shown else (source_id,)
