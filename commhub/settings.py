"""Settings: `commhub.toml` in the working directory (or the file named by COMMHUB_CONFIG) and the environment.

COMMHUB_HTTP__PORT=8080 is `port` under `[http]`; the environment wins over the file. A wrong setting is one
clear line and exit code 2, never a traceback.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from commhub.settings_parts import (
    AlertSettings,
    DutySettings,
    HttpSettings,
    MediaSettings,
    MqttSettings,
    Name,
    RecordingSettings,
    RoomSettings,
    SipSettings,
    TierSettings,
    TwilioSettings,
    WeComSettings,
)


class SettingsError(Exception):
    """One line per wrong setting, for a person."""


class Settings(BaseSettings):
    """All of one hub's settings."""

    model_config = SettingsConfigDict(
        env_prefix="COMMHUB_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    hub: Name = "street-a"
    name: str = "commhub"
    tier: Literal["street", "district", "city"] = "street"
    tenant: Name = "default"
    time_zone: str = "Asia/Shanghai"
    data_dir: Path = Path("data")
    database_url: str | None = None
    redis_url: str | None = None
    log_format: Literal["text", "json"] = "text"
    http: HttpSettings = HttpSettings()
    sip: SipSettings = SipSettings()
    mqtt: MqttSettings = MqttSettings()
    media: MediaSettings = MediaSettings()
    recordings: RecordingSettings = RecordingSettings()
    duty: DutySettings = DutySettings()
    rooms: RoomSettings = RoomSettings()
    tiers: TierSettings = TierSettings()
    wecom: WeComSettings = WeComSettings()
    twilio: TwilioSettings = TwilioSettings()
    alerts: AlertSettings = AlertSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        path = Path(os.environ.get("COMMHUB_CONFIG", "commhub.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    @property
    def database(self) -> str:
        """The database's SQLAlchemy URL; SQLite under the data directory unless another is named."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'commhub.db'}"

    @property
    def public_url(self) -> str:
        return (self.http.public_url or f"http://{self.http.host}:{self.http.port}").rstrip("/")

    @property
    def run_dir(self) -> Path:
        """Sockets and pid files of the running processes."""
        return self.data_dir.resolve() / "run"

    @property
    def prompts_dir(self) -> Path:
        """Where uploaded prompts are; a worker on another machine has it mounted there."""
        return self.media.prompts_dir or self.data_dir.resolve() / "prompts"

    @property
    def recordings_dir(self) -> Path:
        return self.media.recordings_dir or self.data_dir.resolve() / "recordings"


def _line_of(fault: ErrorDetails) -> str:
    # A misspelt name or a whole section may hold a secret, so its value is not repeated.
    given = fault["input"]
    shown = isinstance(given, str | int) and fault["type"] != "extra_forbidden"
    name = ".".join(map(str, fault["loc"]))
    return f"setting {name}: {fault['msg']}" + (f" (given: {given!r})" if shown else "")


def load_settings() -> Settings:
    """Read file and environment. Raises SettingsError with one readable line per fault."""
    named = os.environ.get("COMMHUB_CONFIG")
    if named is not None and not Path(named).is_file():
        raise SettingsError(f"COMMHUB_CONFIG names {named}, which is no file")
    try:
        return Settings()
    except ValidationError as error:
        lines = [_line_of(fault) for fault in error.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from error
    except ValueError as error:
        raise SettingsError(f"the settings file cannot be read: {error}") from error
