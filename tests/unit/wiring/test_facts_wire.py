"""Facts survive the way through Redis."""

from datetime import UTC, datetime

import pytest

from commhub.domain.call_facts import LegMoved
from commhub.domain.facts import RespondersRanked, TaskDispatched
from commhub.wiring.facts_wire import FactsWire

AT = datetime(2026, 11, 21, 3, 4, 5, 678, UTC)


@pytest.mark.parametrize(
    "fact",
    [
        TaskDispatched(
            at=AT,
            incident_id="i",
            task_id="t",
            responder_id="zhang",
            responder="张伟",
            unit="东街巡防队",
            attempt=2,
            accept_by=AT,
        ),
        RespondersRanked(
            at=AT, actor="rules", incident_id="i", ranked=({"responder": "zhang"},), excluded=()
        ),
        LegMoved(at=AT, call_id="c", leg_id="l", endpoint="sip:1001", state="ended", cause="busy"),
    ],
)
def test_a_fact_comes_back_as_it_was(fact):
    wire = FactsWire()
    assert wire.decode(wire.encode(fact)) == fact


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '["NeverHeardOf", {}]', '["LegMoved", {"at": "yesterday"}]', "7"]
)
def test_what_a_newer_process_says_is_left_alone(text):
    assert FactsWire().decode(text) is None
