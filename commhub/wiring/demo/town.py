"""The demo's town: a street with its teams, phones, radios and cameras, and the district and the city above it. All of it
is invented."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# A number of the public network, and the tone whoever answers it speaks with.
TELEPHONE = "+8613800000005"
TELEPHONE_TONE = 2150.0

# Whoever dials it rings at the desk; unanswered, the fire station's phone rings too, then the patrol hears the caller.
DUTY_LINE: dict[str, Any] = {
    "name": "值班电话",
    "numbers": ["8000"],
    "overflow": [{"after_s": 30, "to": "sip:1002"}, {"after_s": 60, "to": "radio:patrol-1"}],
}

UNITS: list[dict[str, Any]] = [
    {"id": "patrol-1", "name": "东街巡防队", "team": "patrol", "loop": "street"},
    {"id": "fire-1", "name": "微型消防站", "team": "fire", "loop": "street"},
    {"id": "gas-1", "name": "燃气抢修班", "team": "gas", "loop": "district"},
    {"id": "medical-1", "name": "社区卫生服务站", "team": "medical", "loop": "street"},
    {"id": "grid-1", "name": "东街社区网格", "team": "grid-officer", "loop": "community"},
    {"id": "desk", "name": "街道指挥中心", "team": "desk", "loop": "street"},
]

RESPONDERS: list[dict[str, Any]] = [
    {
        "id": "zhang",
        "name": "张伟",
        "unit_id": "patrol-1",
        "skills": ["first-aid"],
        "endpoints": ["wecom:zhangwei", "radio:r12"],
    },
    {
        "id": "li",
        "name": "李娜",
        "unit_id": "patrol-1",
        "endpoints": ["wecom:lina", "radio:r13", "cam:b8"],
    },
    {"id": "zhao", "name": "赵敏", "unit_id": "patrol-1", "endpoints": ["cam:b7", "wecom:zhaomin"]},
    {
        "id": "wang",
        "name": "王强",
        "unit_id": "patrol-1",
        "leads": True,
        "endpoints": ["wecom:wangqiang", "sip:1003"],
    },
    {
        "id": "sun",
        "name": "孙磊",
        "unit_id": "fire-1",
        "skills": ["fire"],
        "endpoints": ["wecom:sunlei", "sip:1002"],
    },
    {
        "id": "zhou",
        "name": "周杰",
        "unit_id": "gas-1",
        "skills": ["hazmat"],
        "endpoints": ["wecom:zhoujie"],
    },
    {
        "id": "wu",
        "name": "吴静",
        "unit_id": "medical-1",
        "skills": ["first-aid"],
        "endpoints": ["wecom:wujing"],
    },
    {
        "id": "zheng",
        "name": "郑洁",
        "unit_id": "grid-1",
        "grids": ["g-01", "g-02"],
        "endpoints": ["wecom:zhengjie", f"tel:{TELEPHONE}"],
        "capacity": 5,
    },
    {
        "id": "chen",
        "name": "陈晨",
        "unit_id": "desk",
        "leads": True,
        "endpoints": ["wecom:chenchen", "sip:1001"],
    },
]


@dataclass(frozen=True, slots=True)
class Phone:
    """A simulated SIP phone and the tone it speaks with."""

    name: str
    display_name: str
    responder_id: str
    tone: float


@dataclass(frozen=True, slots=True)
class FieldDevice:
    """A simulated radio or body camera; only radios are in a group. `tone` is what they speak with, or what is heard where they are."""

    id: str
    kind: str
    name: str
    responder_id: str
    lat: float
    lon: float
    group: str | None = None
    tone: float = 0.0


PHONES = [
    Phone("1001", "指挥中心 值班台", "chen", 440.0),
    Phone("1002", "微型消防站", "sun", 880.0),
]

DEVICES = [
    FieldDevice("b7", "bodycam", "执法记录仪 7", "zhao", 31.2304, 121.4737, tone=2600.0),
    FieldDevice("b8", "bodycam", "执法记录仪 8", "li", 31.2339, 121.4709, tone=2900.0),
    FieldDevice("r12", "radio", "对讲机 12", "zhang", 31.2311, 121.4752, "patrol-1", 1250.0),
    FieldDevice("r13", "radio", "对讲机 13", "li", 31.2342, 121.4701, "patrol-1", 1700.0),
]


@dataclass(frozen=True, slots=True)
class TownHub:
    """A hub of the town, as other hubs and as people know it."""

    hub: str
    name: str
    tier: str


@dataclass(frozen=True, slots=True)
class UpperHub(TownHub):
    """One above the street: who is there, and the phones on its desks."""

    units: Sequence[dict[str, Any]]
    responders: Sequence[dict[str, Any]]
    phones: Sequence[Phone]
    exports: Sequence[dict[str, Any]] = ()


# What the hub above may call, see and command of the street's.
STREET_EXPORTS: list[dict[str, Any]] = [
    {"peer": "*", "subject": "radio:r12", "rights": ["call", "see", "command"]},
    {"peer": "*", "subject": "cam:b7", "rights": ["call", "see", "command"]},
    {"peer": "*", "subject": "sip:1001", "rights": ["call"]},
]

STREET = TownHub("dongjie", "东街街道指挥中心", "street")

DISTRICT = UpperHub(
    "jiangdong",
    "江东区指挥中心",
    "district",
    units=[
        {"id": "police", "name": "区公安分局巡警大队", "team": "patrol", "loop": "district"},
        {"id": "rescue", "name": "区消防救援大队", "team": "fire", "loop": "district"},
        {"id": "health", "name": "区卫健局急救站", "team": "medical", "loop": "district"},
        {"id": "district-desk", "name": "区指挥中心", "team": "desk", "loop": "district"},
    ],
    responders=[
        {"id": "he", "name": "何勇", "unit_id": "police", "leads": True, "endpoints": []},
        {"id": "lv", "name": "吕刚", "unit_id": "rescue", "leads": True, "endpoints": []},
        {"id": "shi", "name": "施敏", "unit_id": "health", "leads": True, "endpoints": []},
        {"id": "kong", "name": "孔亮", "unit_id": "district-desk", "leads": True, "endpoints": []},
    ],
    phones=[],
    exports=[
        {"peer": "*", "subject": f"unit:{unit}", "rights": ["call"]}
        for unit in ("police", "rescue", "health")
    ],
)

CITY = UpperHub(
    "bincheng",
    "滨城市指挥中心",
    "city",
    units=[{"id": "city-desk", "name": "市指挥中心", "team": "desk", "loop": "district"}],
    responders=[
        {
            "id": "cao",
            "name": "曹慧",
            "unit_id": "city-desk",
            "leads": True,
            "endpoints": ["sip:3001"],
        },
    ],
    phones=[Phone("3001", "市指挥中心 值班台", "cao", 620.0)],
    exports=[{"peer": "*", "subject": "sip:3001", "rights": ["call"]}],
)

TONES = [
    *(phone.tone for phone in PHONES),
    *(phone.tone for hub in (DISTRICT, CITY) for phone in hub.phones),
    *(device.tone for device in DEVICES if device.group),
    TELEPHONE_TONE,
]
