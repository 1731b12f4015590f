"""Voice-operated keying: is somebody speaking in these samples, with hysteresis and a hang time."""

from bridges.audio.config import VoxConfig


class Vox:
    """Fed with the level of every tick. Opens after `attack_s` above `open_dbov`; stays open until the level was
    below `close_dbov` for `hang_s`."""

    def __init__(self, config: VoxConfig) -> None:
        self._config = config
        self._loud_since: float | None = None
        self._last_loud = 0.0
        self.is_open = False

    def hear(self, level_dbov: float, now: float, frame_s: float = 0.02) -> bool:
        """Take the level of the frame that ends at `now`; True while the voice keys."""
        threshold = self._config.close_dbov if self.is_open else self._config.open_dbov
        if level_dbov > threshold:
            self._last_loud = now
            if self._loud_since is None:
                self._loud_since = now - frame_s
            self.is_open |= now - self._loud_since >= self._config.attack_s - frame_s / 2
        else:
            self._loud_since = None
            if self.is_open and now - self._last_loud >= self._config.hang_s:
                self.is_open = False
        return self.is_open
