"""Opus (RFC 6716) in RTP (RFC 7587): the clock is always 48000, and a stereo stream may come at any time.

We encode mono speech of 16 kHz at complexity 0, which costs half of what the usual complexity does, with in-band
forward error correction unless the far end cannot use it. The bit rate is the far end's `maxaveragebitrate` where
that is less than ours.
"""

from bridges.audio.codecs.pyav import PyavDecoder, PyavEncoder

BIT_RATE = 24_000
_LOWEST_BIT_RATE = 6_000
"""RFC 7587 §6.1."""
_EXPECTED_LOSS_PERCENT = 10
"""Without an expected loss the encoder spends nothing on error correction."""
_DECODED_RATE = 48_000


class Opus:
    encoding = "OPUS"
    clock_rate = 48_000
    ptimes = (10, 20, 40, 60)

    def settings(self, fmtp: str) -> str:
        parameters = _parameters(fmtp)
        wanted = parameters.get("maxaveragebitrate", "")
        limit = int(wanted) if wanted.isdecimal() else BIT_RATE
        rate = max(_LOWEST_BIT_RATE, min(BIT_RATE, limit))
        # RFC 7587 §6.1: without the parameter the far end makes no use of error correction.
        fec = 1 if parameters.get("useinbandfec") == "1" else 0
        return f"{rate} {fec}"

    def decoder(self) -> PyavDecoder:
        return PyavDecoder("libopus", _DECODED_RATE)

    def encoder(self, ptime_ms: int, settings: str) -> PyavEncoder:
        rate, fec = settings.split()
        options = {
            "application": "voip",
            "frame_duration": str(ptime_ms),
            "compression_level": "0",
            "fec": fec,
            "packet_loss": str(_EXPECTED_LOSS_PERCENT if fec == "1" else 0),
        }
        return PyavEncoder("libopus", options, int(rate))


def _parameters(fmtp: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in fmtp.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
