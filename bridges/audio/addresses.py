"""Where legs are reached: all who send from where they signal share one pair of ports, anybody else has a pair alone."""

from bridges.audio.config import AudioConfig
from bridges.transport.pairs import PortPool, UdpPair
from commhub.ports.media import MediaOrder, RtpAddress


class Addresses:
    """The engine's pairs of ports."""

    def __init__(self, config: AudioConfig) -> None:
        self._config = config
        self._pool = PortPool(
            config.bind_host, config.port_min, config.port_max, config.ipv6_bind_host
        )
        self.shared = self._pool.open_pair(shared=True)
        self._own: dict[str, UdpPair] = {}

    def open(self, order: MediaOrder) -> UdpPair | None:
        """A pair for this leg alone, or None: it shares. Whoever opens one keeps or closes it."""
        if order.near_signalling and not order.ipv6 and order.port in {0, self.shared.port}:
            return None
        return self._pool.open_pair(order.port, ipv6=order.ipv6)

    def keep(self, leg_id: str, pair: UdpPair) -> None:
        """The pair is the leg's from now on."""
        self._own[leg_id] = pair

    def own(self, leg_id: str) -> UdpPair | None:
        """The leg's own pair, if it has one."""
        return self._own.get(leg_id)

    def of(self, leg_id: str) -> RtpAddress:
        """What the leg's far end is told."""
        pair = self._own.get(leg_id, self.shared)
        config, host = self._config, self._config.advertise_host
        if pair.is_six:
            host = config.ipv6_advertise_host or config.ipv6_bind_host or host
        return RtpAddress(host, pair.port)

    def forget(self, leg_id: str) -> None:
        """Close the leg's own pair, if it has one."""
        pair = self._own.pop(leg_id, None)
        if pair is not None:
            pair.close()

    def close(self) -> None:
        for pair in (self.shared, *self._own.values()):
            pair.close()
