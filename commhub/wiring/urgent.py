"""Which numbers no limit of the SIP edge stands in the way of, by these settings."""

from collections.abc import Callable

from commhub.settings import Settings
from commhub.wiring.duty import duty_lines
from commhub.wiring.trunks import numbering
from gateways.sip.trunks.numbers import NumberPlan


def emergency_numbers(settings: Settings) -> Callable[[str], bool]:
    """Emergency numbers however they are dialled. Raises SettingsError."""
    plan = NumberPlan(numbering(settings))
    return lambda number: plan.emergency(number) is not None


def urgent_numbers(settings: Settings) -> Callable[[str], bool]:
    """Emergency numbers however they are dialled, and the duty lines. Raises SettingsError."""
    plan, lines = NumberPlan(numbering(settings)), duty_lines(settings)

    def is_urgent(number: str) -> bool:
        return plan.emergency(number) is not None or lines.dialled(number) is not None

    return is_urgent
