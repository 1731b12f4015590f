"""What an app of a WeCom tenant needs to be spoken to."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WeComConfig:
    """`token` and `aes_key` (43 characters) are those of the app's callback page; `ca_file` trusts a private
    deployment's CA instead of the public ones."""

    corp_id: str
    agent_id: int
    secret: str = field(repr=False)
    token: str = field(repr=False)
    aes_key: str = field(repr=False)
    api_base: str = "https://qyapi.weixin.qq.com"
    ca_file: Path | None = None
    timeout_s: float = 10.0
