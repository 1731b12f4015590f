"""A handful of kill -9 while reports pour in; the long run is `python -m benchmarks crash`."""

from benchmarks.crash import run_crash


async def test_what_was_acknowledged_is_there_once_with_its_incident_task_and_delivery():
    outcome = await run_crash(kills=3, rate=100)
    assert outcome.is_clean, outcome
    assert outcome.repeats > 0, "no sender met a killed hub: the test showed nothing"
