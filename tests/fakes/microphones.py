"""Files that a browser takes for its microphone."""

import wave

import numpy as np

RATE = 48_000


def bursts(path, tone):
    """Two seconds of bursts of a tone in Hz; a steady one is noise to a browser's filters. Returns the path."""
    time_s = np.arange(2 * RATE) / RATE
    voice = np.sin(2 * np.pi * tone * time_s) * (time_s % 0.25 < 0.16) * 12_000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(voice.astype("<i2").tobytes())
    return path
