"""G.722: 16 kHz in 64 kbit/s. Its RTP clock is 8000 although it samples at 16,000 (RFC 3551 §4.5.2)."""

from bridges.audio.codecs.codec import RATE
from bridges.audio.codecs.pyav import PyavDecoder, PyavEncoder


class G722:
    encoding = "G722"
    clock_rate = 8000
    ptimes = (10, 20, 30, 40, 60)

    def settings(self, fmtp: str) -> str:
        del fmtp
        return ""

    def decoder(self) -> PyavDecoder:
        return PyavDecoder("g722", RATE)

    def encoder(self, ptime_ms: int, settings: str) -> PyavEncoder:
        del settings
        return PyavEncoder("g722", {"frame_size": str(RATE * ptime_ms // 1000)})
