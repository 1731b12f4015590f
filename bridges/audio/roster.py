"""Who may ask for which group's floor, and whose words are an emergency's: what the hub said, not the device.

A device's own «emergency» is a wish. It counts when the hub has an open SOS of that device; the SOS and the request
leave the device together, so a wish that comes first waits as an ordinary request and is raised when the hub says so.
Until the hub has said anything (control is still starting) a device's word counts: the broker knows it, and somebody
in danger must not wait for a process.
"""

from collections.abc import Sequence

from commhub.domain.floor import Priority
from commhub.ports.media import RadioStanding


class Roster:
    """Standings by device. Lives in the engine's thread."""

    def __init__(self) -> None:
        self._standings: dict[str, RadioStanding] = {}
        self._told = False

    def update(self, radios: Sequence[RadioStanding], whole: bool) -> None:
        """Take in what the hub says; with `whole` nobody else is a member of anything."""
        if whole:
            self._standings.clear()
            self._told = True
        for standing in radios:
            self._standings[standing.device_id] = standing

    def is_member(self, device_id: str, group: str) -> bool:
        """Whether the device may have the group's floor. True for all as long as the hub has not told who is who,
        except for a device that it has named."""
        standing = self._standings.get(device_id)
        return not self._told if standing is None else group in standing.groups

    def priority(self, device_id: str, wish: Priority) -> Priority:
        """With what priority the device asks when it wishes for `wish`."""
        standing = self._standings.get(device_id)
        if standing is None and not self._told:
            return wish
        return (
            Priority.EMERGENCY if standing is not None and standing.emergency else Priority.NORMAL
        )

    def emergencies(self) -> frozenset[str]:
        """The devices whose SOS is open."""
        return frozenset(one.device_id for one in self._standings.values() if one.emergency)
