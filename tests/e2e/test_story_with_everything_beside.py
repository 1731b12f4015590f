"""The same story on the layout of docker-compose.yml: PostgreSQL, Redis and mosquitto beside the hub."""

import asyncio

import httpx
import pytest
from fakes.databases import empty_postgresql
from fakes.servers import mosquitto_beside, running_postgresql, running_redis

from commhub.wiring.demo.stage import Stage, cast_of
from commhub.wiring.demo.story import tell

pytestmark = pytest.mark.audio


def test_the_story_with_postgresql_redis_and_mosquitto_beside_the_hub(tmp_path):
    told = []
    stage = Stage(tmp_path / "town", 0, lambda _: None, is_alone=True)
    with (
        running_postgresql() as server,
        running_redis() as redis_url,
        mosquitto_beside(tmp_path / "town" / "mqtt", stage.hub.port("mqtt"), tmp_path),
    ):
        stage.hub.environment |= {
            "COMMHUB_DATABASE_URL": asyncio.run(empty_postgresql(server)),
            "COMMHUB_REDIS_URL": redis_url,
            "COMMHUB_MQTT__EMBEDDED": "false",
            "COMMHUB_MQTT__CONTROL_PASSWORD": "a control password",
            "COMMHUB_MQTT__VOICE_PASSWORD": "a voice password",
        }
        with stage as note:
            cast = cast_of(note, lambda title, _: told.append(title))
            with cast.desk:
                tell(cast)
            parts = httpx.get(f"{note.url}/readyz", timeout=5).json()["parts"]
    assert parts["redis"] == parts["mqtt"] == "up"
    assert len(told) == 6
