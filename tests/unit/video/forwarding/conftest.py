"""A stage for pictures."""

import socket

import pytest
from fakes.picture_stage import Stage


@pytest.fixture
def stage():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        wire.setblocking(False)
        made = Stage(wire)
        yield made
        for viewer in made.viewers:
            viewer.close()
