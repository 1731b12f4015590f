"""The sections of the settings file: what each word may be, and what it is when nobody says. `settings.py` puts them together and
reads them.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, model_validator

Port = Annotated[int, Field(ge=0, le=65535)]
SipCodec = Literal["PCMA", "PCMU", "G722", "opus"]
FullNumber = Annotated[str, Field(pattern=r"^\+?[0-9]{2,15}$")]
Days = Annotated[int, Field(ge=1, le=36500)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class Part(BaseModel):
    """A section of the file; an unknown name in it is an error, not a silently ignored wish."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(Part):
    """The console and API. `public_url` is what people and WeCom open; default: host and port."""

    host: str = "127.0.0.1"
    port: Port = 8000
    public_url: str | None = None


class TrunkSettings(Part):
    """A line to a carrier, a PBX or a session border controller: `docs/operations.md` says what each word means."""

    name: Name
    server: Annotated[str, Field(pattern=r"^[^\s/@]+$")]
    transport: Literal["udp", "tcp", "tls", "auto"] = "udp"
    domain: str = ""
    registers: bool = False
    username: str = ""
    password: SecretStr | None = None
    realm: str = ""
    number: FullNumber | None = None
    sources: tuple[str, ...] = ()
    out_prefixes: dict[str, str] = {}
    in_prefixes: dict[str, str] = {}
    inbound: dict[str, str] = {}
    codecs: tuple[SipCodec, ...] = ()
    srtp: Literal["off", "accept", "offer", "require"] | None = None
    trusted: bool = False
    emergency: bool = False
    max_calls: Annotated[int, Field(ge=1, le=2000)] = 30
    register_for_s: Annotated[int, Field(ge=30, le=86_400)] = 600
    probe_every_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    patience_s: Annotated[float, Field(ge=0.5, le=32)] = 4.0


class NumberRuleSettings(Part):
    """Numbers outside that begin with `prefix` may be called `via` these lines (`twilio` is one too), in order; with
    none they are forbidden. What no rule lists may not be called at all."""

    prefix: Annotated[str, Field(pattern=r"^\+?[0-9]{1,15}$")]
    via: tuple[Name, ...] = ()
    price_per_minute: Annotated[float, Field(ge=0)] = 0.0
    longest_minutes: Annotated[float, Field(gt=0, le=1440)] = 240.0
    hairpin: bool = False


class EmergencySettings(Part):
    """Emergency calls have a policy of their own: no cap blocks them, and only lines marked `emergency` carry them."""

    numbers: tuple[Annotated[str, Field(pattern=r"^[0-9]{3,6}$")], ...] = (
        "110",
        "119",
        "120",
        "122",
    )
    via: tuple[Name, ...] = ()


class CallingSettings(Part):
    """What phones dial for a number outside, and what all such calls together may be; 0 is no limit."""

    outside_prefix: Annotated[str, Field(pattern=r"^[0-9]{0,4}$")] = ""
    dialled_prefixes: dict[str, str] = {}
    country_code: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")] = "86"
    calls_per_minute: Annotated[int, Field(ge=0)] = 60
    calls_per_minute_per_caller: Annotated[int, Field(ge=0)] = 10
    calls_at_once: Annotated[int, Field(ge=0)] = 60
    spend_per_day: Annotated[float, Field(ge=0)] = 0.0
    burst_calls: Annotated[int, Field(ge=0)] = 30
    burst_refusals: Annotated[int, Field(ge=0)] = 10


class AlertSettings(Part):
    """Task cards by telephone: a phone is rung, hears `prompt` (a built-in one or an uploaded one's name) and accepts with 1 or gives
    back with 2. `phones` rings SIP phones for the channel `sip`, `numbers` telephones outside for the channel `tel`."""

    phones: bool = False
    numbers: bool = False
    prompt: str = "attention"
    accepted_prompt: str = "join"
    refused_prompt: str = "leave"
    listen_for_s: Annotated[float, Field(ge=5, le=300)] = 60.0


class SipSettings(Part):
    """The SIP edge. `advertised_host` stands in Contact and SDP when the bound host is not reachable. `codecs` are
    offered and taken in their order; `srtp` says whether voice is protected by keys in the signalling. A call lives for
    `session_s` without a refresh (RFC 4028); `early_media`: what is played before an answer is heard.
    `texts`: phones are sent texts (MESSAGE), by the channel `sip_text`.

    UDP and TCP are on `port`, TLS is on `tls_port` as soon as there is a certificate (PEM files; `tls_ca_file` names
    whom we believe when we connect to others, default: the system's). `ipv6_host` is listened at besides. `proxies`
    are addresses or networks of SIP proxies in front of this hub, whose word on where a request came from counts."""

    host: str = "127.0.0.1"
    port: Port = 5060
    advertised_host: str | None = None
    ipv6_host: str | None = None
    ipv6_advertised_host: str | None = None
    tcp: bool = True
    tls_port: Port = 5061
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_ca_file: Path | None = None
    connections_per_source: Annotated[int, Field(ge=1, le=100_000)] = 200
    proxies: tuple[IPvAnyNetwork, ...] = ()
    realm: str = "commhub"
    codecs: Annotated[tuple[SipCodec, ...], Field(min_length=1)] = ("PCMA", "PCMU", "G722", "opus")
    srtp: Literal["off", "accept", "offer", "require"] = "accept"
    session_s: Annotated[int, Field(ge=90, le=86_400)] = 1_800
    early_media: bool = True
    texts: bool = False
    trunks: tuple[TrunkSettings, ...] = ()
    nameservers: tuple[Annotated[str, Field(pattern=r"^[^\s/@]+$")], ...] = ()
    numbers: tuple[NumberRuleSettings, ...] = ()
    calling: CallingSettings = CallingSettings()
    emergency: EmergencySettings = EmergencySettings()


class MqttSettings(Part):
    """`embedded` runs mosquitto as a child; otherwise the two hub users must exist at the named broker. Without `enabled` there is none:
    a hub of an upper tier that has no radios and body cameras of its own."""

    enabled: bool = True
    embedded: bool = True
    host: str = "127.0.0.1"
    port: Port = 1883
    control_password: SecretStr | None = None
    voice_password: SecretStr | None = None


class RemoteWorker(Part):
    """A media worker on another machine: `tcp:HOST:PORT`, and the secret it was started with."""

    name: Name
    address: Annotated[str, Field(pattern=r"^tcp:.+:[0-9]+$")]
    secret: SecretStr


class TurnSettings(Part):
    """A TURN server (coturn with `use-auth-secret`) for browsers that reach the hub by no direct path. `urls` are told to them
    (`turn:turn.example.cn:3478?transport=udp`), with credentials good for `ttl_s` made from `secret`
    (coturn's `static-auth-secret`)."""

    urls: Annotated[
        tuple[Annotated[str, Field(pattern=r"^(turn|turns|stun|stuns):[^\s\"<>,;]+$")], ...],
        Field(min_length=1),
    ]
    secret: SecretStr
    ttl_s: Annotated[int, Field(ge=300, le=7 * 86_400)] = 6 * 3600


class MediaSettings(Part):
    """`workers` run on this machine, each with an even share of the ports; `remote_workers` elsewhere. A worker that
    is itself to be reached from elsewhere listens at `listen` and asks for `secret`.

    RTP addresses of the media workers, and their files: recordings (default: data_dir/recordings) and prompts
    (data_dir/prompts). `webrtc_port` is the UDP port browsers talk to, the next ones those of further workers; 0:
    any free one; `video_port` is that of the video worker, of which there is one or none. `radio_codec` is what calls
    speak to radio groups in: Opus of 60 ms, or A-law of 20 ms where radios know nothing else."""

    host: str = "127.0.0.1"
    advertised_host: str | None = None
    ipv6_host: str | None = None
    ipv6_advertised_host: str | None = None
    first_port: Port = 20000
    last_port: Port = 29999
    webrtc_port: Port = 0
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    video_workers: Annotated[int, Field(ge=0, le=1)] = 1
    video_port: Port = 0
    turn: TurnSettings | None = None
    remote_workers: tuple[RemoteWorker, ...] = ()
    listen: Annotated[str, Field(pattern=r"^tcp:.+:[0-9]+$")] | None = None
    secret: SecretStr | None = None
    radio_codec: Literal["opus", "pcma"] = "opus"
    recordings_dir: Path | None = None
    prompts_dir: Path | None = None


class KeepDaysSettings(Part):
    """For how many days recordings are kept, by what they belong to. While an incident is open, its stay."""

    incident: Days = 180
    drill: Days = 30
    other: Days = 90


class RecordingSettings(Part):
    """Which calls are recorded without being asked for, whether each of their legs is too, and for how long."""

    always: Literal["never", "incidents", "all"] = "never"
    per_leg: bool = False
    keep_days: KeepDaysSettings = KeepDaysSettings()


class OverflowSettings(Part):
    """Whom a duty line calls as well when a caller has waited so long: `sip:1002`, `tel:+86…`, `radio:patrol-1`."""

    after_s: Annotated[float, Field(ge=1, le=3600)]
    to: Annotated[str, Field(pattern=r"^(sip|tel|radio|desk):")]


class DutyLineSettings(Part):
    """A number that rings at every desk. `numbers` are what is dialled: extensions, and how trunks know it. Each call
    is a report of `category`."""

    name: Annotated[str, Field(min_length=1, max_length=32)]
    numbers: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[+0-9a-zA-Z*#._-]{1,32}$")], ...],
        Field(min_length=1),
    ]
    category: Annotated[str, Field(min_length=1, max_length=64)] = "duty_call"
    overflow: tuple[OverflowSettings, ...] = ()


class DutySettings(Part):
    """The duty lines (值班电话); none, and nobody can dial the desk."""

    lines: tuple[DutyLineSettings, ...] = ()


class RoomSettings(Part):
    """Meetings: a phone dials `prefix` and a room's number. Guest links are good for `invitation_hours`; a body camera that nobody
    watches is stopped after `camera_idle_s`."""

    prefix: Annotated[str, Field(pattern=r"^[0-9*]{1,4}$")] = "8"
    invitation_hours: Annotated[float, Field(gt=0, le=720)] = 24.0
    camera_idle_s: Annotated[float, Field(ge=5, le=3600)] = 30.0


class PlatformSettings(Part):
    """A platform that is no commhub, to which rooms are sent: one that takes pictures by WHIP (`whip_url`, its bearer `token`, and `ca_file`
    when it is reached by HTTPS and not known to the system), or one that is rung, with picture, like any SIP far end (`dial`: an
    endpoint, `sip:mcu` or a number of a SIP line, `tel:…`)."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    whip_url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    token: SecretStr | None = None
    ca_file: Path | None = None
    dial: Annotated[str, Field(pattern=r"^(sip|tel):\S{1,120}$")] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.whip_url is None) == (self.dial is None):
            raise ValueError(f"platform {self.name} has either whip_url or dial")
        return self


class TierSettings(Part):
    """Neighbouring hubs (级联). They are paired by `commhub tier`, not here. `sip` is where a neighbour's calls reach our phones' edge, «host:port»
    (default: what the SIP edge advertises); `ca_file` names whom we believe when an upper hub is reached by HTTPS
    (default: the system's). `platforms` are those that are no commhub."""

    sip: Annotated[str, Field(pattern=r"^[^\s/@]+:[0-9]{1,5}$")] | None = None
    ca_file: Path | None = None
    platforms: tuple[PlatformSettings, ...] = ()


class WeComSettings(Part):
    """A self-built app of WeChat Work; without `corp_id` the channel is off."""

    api_base: str = "https://qyapi.weixin.qq.com"
    ca_file: Path | None = None
    corp_id: str | None = None
    agent_id: int = 0
    secret: SecretStr | None = None
    callback_token: SecretStr | None = None
    callback_aes_key: SecretStr | None = None


class TwilioSettings(Part):
    """Telephone legs (`tel:`) over Twilio; without `account_sid` they are off. `number` is ours, E.164. Nobody is
    called whose number has none of `allowed_prefixes`. `inbound` says whom a number of ours means, as if that had
    been dialled. `public_url` is this hub as Twilio reaches it (default: http.public_url)."""

    account_sid: str | None = None
    auth_token: SecretStr | None = None
    number: Annotated[str, Field(pattern=r"^\+[1-9][0-9]{7,14}$")] | None = None
    public_url: Annotated[str, Field(pattern=r"^https?://[^/?#]+/?$")] | None = None
    api_base: str | None = None
    allowed_prefixes: tuple[Annotated[str, Field(pattern=r"^\+[0-9]{1,15}$")], ...] = ()
    inbound: dict[str, str] = {}
    max_legs: Annotated[int, Field(ge=1, le=500)] = 50
