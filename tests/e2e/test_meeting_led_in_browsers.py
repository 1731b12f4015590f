"""What a host does to a meeting and a dispatcher to the wall, in real browsers at a whole hub."""

import pytest
from fakes.room_pages import (
    GUEST_TONE,
    choose_for,
    invite_guest,
    join,
    lead,
    link_of,
    open_meeting,
    people_of,
)
from fakes.talkers import is_idle

from commhub.wiring.demo.story import until

pytestmark = pytest.mark.audio

PATIENCE_S = 45
NAME = "李静（水务局）"


def room_of(cast, room_id):
    return cast.desk.get(f"/rooms/{room_id}")


def source_of(cast, room_id, kind):
    sources = room_of(cast, room_id)["sources"]
    return next((one["id"] for one in sources if one["kind"] == kind), None)


def live(cast, room_id):
    return {one["kind"] for one in room_of(cast, room_id)["sources"] if one["state"] == "live"}


def test_a_guest_says_who_they_are_shares_a_screen_and_is_led_by_the_host(
    cast, desk, guest, pictures
):
    room_id = open_meeting(desk, "防汛会商")
    guest.do("go", path=invite_guest(desk, "来宾"))
    guest.do("fill", selector="input[name=guest-name]", text=f"  {NAME}\u202e ")
    guest.do("click", selector=".join .enter:not([disabled])")
    guest.do("sees", text="等候主持人准入")
    assert people_of(cast, room_id)[NAME]["state"] == "waiting"
    desk.do("click", selector=f"[data-name='{NAME}'] .admit")
    guest.do("sees", text="连接正常")

    # A second picture of the same person; the camera goes on.
    guest.do("click", selector=".bar .screen")
    until("both are live", lambda: {"camera", "screen"} <= live(cast, room_id), PATIENCE_S)
    desk.do("sees", text=f"{NAME} 的屏幕")
    desk.do("shows", selector=".tiles .tile", count="3")
    desk.do("decodes", count="2", height="180")
    desk.do("picture", file=str(pictures / "shared-screen.png"))

    # The spotlight is the same for everybody, and goes before the screen.
    choose_for(desk, NAME, "设为焦点")
    guests = [one["id"] for one in room_of(cast, room_id)["sources"] if one["label"] == NAME]
    until("the spotlight is on", lambda: room_of(cast, room_id)["spotlight"] in guests)
    choose_for(desk, NAME, "取消焦点")
    until("the spotlight is off", lambda: room_of(cast, room_id)["spotlight"] is None)
    desk.do("click", selector=".switch [aria-label='演讲者']")
    desk.do("shows", selector=".stage.large .big .picture[data-layer=main]", count="1")
    guest.do("click", selector=".bar .screen")
    until("the screen is gone", lambda: "screen" not in live(cast, room_id), PATIENCE_S)

    # Lock: who was never in stays out, who was comes back.
    lead(desk, "锁定会议")
    desk.do("sees", text="已锁定")
    guest.do("reload")
    join(guest)
    late = cast.desk.post(f"/rooms/{room_id}/invitations", {"name": "迟来者"})
    guest.do("go", path=link_of(late))
    guest.do("click", selector=".join .enter:not([disabled])")
    guest.do("sees", text="会议已锁定")
    cast.desk.delete(f"/rooms/{room_id}")
    desk.do("sees", text="会议已结束")


def test_a_host_records_mutes_and_sends_out(cast, desk, guest):
    room_id = open_meeting(desk, "应急会商")
    guest.do("go", path=invite_guest(desk, "周来宾"))
    guest.do("click", selector=".join .enter:not([disabled])")
    desk.do("click", selector="[data-name='周来宾'] .admit")
    desk.do("decodes", count="1", height="180")

    lead(desk, "开始录像")
    desk.do("sees", text="录像中")
    desk.do("decodes", count="1", height="180")
    lead(desk, "停止录像")
    kept = until(
        "the recording is stored",
        lambda: cast.desk.get(f"/rooms/{room_id}/recordings"),
        PATIENCE_S,
    )
    assert all(one["seconds"] > 0 and one["sha256"] for one in kept)

    desk.do("click", selector="[data-name='周来宾'] [aria-label='静音']")
    guest.do("sees", text="主持人已将您静音")
    desk.do("click", selector="[data-name='周来宾'] [aria-label='取消静音']")
    desk.do("hears", tone=f"{GUEST_TONE:g}")
    choose_for(desk, "周来宾", "关闭其画面")
    desk.do("shows", selector=".tiles .face", count="1")
    choose_for(desk, "周来宾", "恢复其画面")
    desk.do("decodes", count="1", height="180")
    choose_for(desk, "周来宾", "移出会议")
    guest.do("sees", text="您已被移出会议")
    until("they are out", lambda: people_of(cast, room_id)["周来宾"]["state"] == "removed")
    cast.desk.delete(f"/rooms/{room_id}")


def test_who_speaks_by_telephone_is_marked_and_shown_large(cast, desk, room):
    phone = cast.phones[0]
    until("the phone is idle", lambda: is_idle(phone))
    desk.do("go", path=f"/rooms/{room['id']}")
    join(desk)
    # Only one voice is left.
    desk.do("click", selector=".bar .sound")
    phone.page.do("dial", number=room["dial"])
    until("the phone is in", lambda: phone.page.state()["call"] == "answered", PATIENCE_S)
    phone.talk(True)
    try:
        desk.do("hears", tone=f"{phone.tone:g}")
        desk.do("shows", selector=".person .speaks", count="1")
        desk.do("click", selector=".switch [aria-label='演讲者']")
        desk.do("shows", selector=".big.speaks .face", count="1")
    finally:
        phone.talk(False)
        phone.page.do("hangup")
    until("the phone is idle", lambda: is_idle(phone))


def test_a_wall_is_arranged_by_dragging_and_one_of_its_pictures_is_heard(
    cast, desk, guest, room, pictures
):
    made = cast.desk.post(f"/rooms/{room['id']}/invitations", {"name": "吴来宾"})
    guest.do("go", path=link_of(made))
    join(guest)
    guest.do("click", selector=".bar .screen")
    until("both are live", lambda: live(cast, room["id"]) == {"camera", "screen"}, PATIENCE_S)
    camera, screen = (source_of(cast, room["id"], kind) for kind in ("camera", "screen"))

    desk.do("go", path="/wall")
    desk.do("click", selector="[data-preset='4']")

    def tiles():
        return desk.do("attributes", selector=".tiles > [data-tile]", name="data-tile")

    def drag(key, to):
        desk.do("drag", **{"from": f"[data-source='{key}']", "to": f".tiles > :nth-child({to})"})

    drag(camera, 2)
    drag(screen, 3)
    assert tiles() == ["", camera, screen, ""]
    # A picture that is dragged onto another trades places with it.
    desk.do("drag", **{"from": f"[data-tile='{camera}']", "to": f"[data-tile='{screen}']"})
    assert tiles() == ["", screen, camera, ""]
    desk.do("shows", selector=".tile .picture[data-phase=live]", count="2")
    desk.do("decodes", count="2", height="180")

    # One is heard, and it is seen which; another takes its place.
    desk.do("click", selector=f"[data-tile='{camera}'] .listen")
    desk.do("shows", selector=f"[data-tile='{camera}'] .heard", count="1")
    desk.do("hears", tone=f"{GUEST_TONE:g}")
    desk.do("sees", text="正在收听：吴来宾")
    desk.do("picture", file=str(pictures / "wall-heard.png"))
    desk.do("click", selector=f"[data-tile='{screen}'] .listen")
    desk.do("shows", selector=".tiles .heard", count="1")
    desk.do("shows", selector=f"[data-tile='{screen}'] .heard", count="1")
    desk.do("click", selector=f"[data-tile='{screen}'] .listen")
    desk.do("shows", selector=".tiles .heard", count="0")


def test_a_body_camera_is_looked_at_over_the_map(desk, pictures):
    desk.do("click", selector=".map .cameras")
    desk.do("choose", text="执法记录仪")
    desk.do("shows", selector=".pane .picture[data-phase=live]", count="1")
    desk.do("decodes", count="1", height="540")
    assert desk.do("attribute", selector=".pane .watermark", name="data-viewer")
    desk.do("picture", file=str(pictures / "map-pane.png"))
    desk.do("click", selector=".pane [aria-label='关闭画面']")
    desk.do("shows", selector=".pane", count="0")
