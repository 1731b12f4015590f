"""Recordings and prompts of calls: what is kept, for how long, and what is played."""

from fastapi import APIRouter

from commhub.calls import prompt_routes, recording_routes
from commhub.calls.prompts import PromptService
from commhub.calls.recordings import RecordingConfig, RecordingService
from commhub.domain.recording import Always, RecordingRule, Retention
from commhub.kit.clock import Clock
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store
from commhub.settings import Settings


def recording_rule(settings: Settings) -> RecordingRule:
    """Which calls are recorded without being asked for."""
    recordings = settings.recordings
    return RecordingRule(always=Always(recordings.always), per_leg=recordings.per_leg)


def recording_service(
    settings: Settings, store: Store, clock: Clock, media: MediaEngine
) -> RecordingService:
    """Recordings as these settings keep them."""
    days = settings.recordings.keep_days
    keep = {
        Retention.INCIDENT: days.incident,
        Retention.DRILL: days.drill,
        Retention.OTHER: days.other,
    }
    return RecordingService(store, clock, media, RecordingConfig(settings.recordings_dir, keep))


def sound_routers(
    settings: Settings,
    store: Store,
    clock: Clock,
    media: MediaEngine,
    recordings: RecordingService,
) -> list[APIRouter]:
    """Their routes below /calls, to be included before the calls' own."""
    prompts = PromptService(store, clock, media, settings.prompts_dir)
    return [
        recording_routes.build_router(recordings),
        prompt_routes.build_router(prompts, store),
    ]
