"""Trunks and numbers from the settings: what does not fit together is one clear line, not a call that fails at night."""

from ipaddress import ip_network

from commhub.settings import Settings, SettingsError
from commhub.settings_parts import TrunkSettings
from gateways.sip.sdes import SrtpPolicy
from gateways.sip.trunks.config import (
    Caps,
    EmergencyPolicy,
    NumberingConfig,
    NumberRule,
    TrunkConfig,
)
from gateways.sip.trunks.line import Line

TWILIO = "twilio"


def trunk_configs(settings: Settings) -> tuple[TrunkConfig, ...]:
    """The lines of these settings. Raises SettingsError."""
    trunks = settings.sip.trunks
    names = [trunk.name for trunk in trunks]
    if len(set(names)) != len(names) or TWILIO in names:
        raise SettingsError(
            f"setting sip.trunks: every line has a name of its own, and none is «{TWILIO}»"
        )
    return tuple(_trunk(trunk) for trunk in trunks)


def _trunk(trunk: TrunkSettings) -> TrunkConfig:
    where = f"setting sip.trunks.{trunk.name}"
    if trunk.registers and (not trunk.username or trunk.password is None):
        raise SettingsError(f"{where}: a line that registers needs username and password")
    if trunk.username and not trunk.realm and not trunk.domain:
        # The password goes to one realm only, and guessing which would defeat that.
        raise SettingsError(f"{where}: say the realm (or domain) the password is for")
    config = TrunkConfig(
        name=trunk.name,
        server=trunk.server,
        transport=trunk.transport.upper(),
        domain=trunk.domain,
        register=trunk.registers,
        username=trunk.username,
        password=trunk.password.get_secret_value() if trunk.password else "",
        realm=trunk.realm,
        number=trunk.number or "",
        sources=trunk.sources,
        out_prefixes=trunk.out_prefixes,
        in_prefixes=trunk.in_prefixes,
        inbound=trunk.inbound,
        codecs=trunk.codecs,
        srtp=SrtpPolicy(trunk.srtp) if trunk.srtp else None,
        trusted=trunk.trusted,
        emergency=trunk.emergency,
        max_calls=trunk.max_calls,
        register_for_s=trunk.register_for_s,
        probe_every_s=trunk.probe_every_s,
        patience_s=trunk.patience_s,
    )
    try:
        Line(config)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error
    if any(_is_everybody(source) for source in trunk.sources):
        raise SettingsError(f"{where}: sources names the whole internet")
    return config


def _is_everybody(source: str) -> bool:
    try:
        return ip_network(source).prefixlen == 0
    except ValueError:
        return False


def numbering(settings: Settings) -> NumberingConfig:
    """Which numbers may be called over which lines. Raises SettingsError for a line nobody has, and for an emergency
    line that is none."""
    sip = settings.sip
    lines = {trunk.name: trunk for trunk in sip.trunks}
    known = set(lines) | ({TWILIO} if settings.twilio.account_sid is not None else set())
    prefixes = [rule.prefix for rule in sip.numbers]
    if len(set(prefixes)) != len(prefixes):
        raise SettingsError("setting sip.numbers: a prefix has one rule")
    for rule in sip.numbers:
        if strangers := [name for name in rule.via if name not in known]:
            raise SettingsError(
                f"setting sip.numbers ({rule.prefix}): no line is called {', '.join(strangers)}"
            )
    for name in sip.emergency.via:
        if name not in lines or not lines[name].emergency:
            raise SettingsError(
                f"setting sip.emergency.via: {name} is no line marked emergency = true; mark one only when its carrier "
                "has confirmed where such calls arrive, and with which address"
            )
    calling = sip.calling
    return NumberingConfig(
        rules=tuple(
            NumberRule(
                prefix=rule.prefix,
                via=rule.via,
                price_per_minute=rule.price_per_minute,
                longest_s=rule.longest_minutes * 60,
                hairpin=rule.hairpin,
            )
            for rule in sip.numbers
        ),
        emergency=EmergencyPolicy(numbers=sip.emergency.numbers, via=sip.emergency.via),
        caps=Caps(
            calls_per_minute=calling.calls_per_minute,
            calls_per_minute_per_caller=calling.calls_per_minute_per_caller,
            calls_at_once=calling.calls_at_once,
            spend_per_day=calling.spend_per_day,
            burst_calls=calling.burst_calls,
            burst_refusals=calling.burst_refusals,
        ),
        outside_prefix=calling.outside_prefix,
        dialled_prefixes=calling.dialled_prefixes,
        country_code=calling.country_code,
    )
