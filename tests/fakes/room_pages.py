"""Meetings by the console's own pages: what a host and a guest click."""

import httpx

GUEST_TONE = 600.0
"""The voice of the guest's browser."""


def open_meeting(desk, name):
    """By the desk's own page, with a waiting room; the room's id."""
    desk.do("go", path="/rooms")
    desk.do("fill", selector="input[name=room-name]", text=name)
    desk.do("click", selector=".new .el-checkbox")
    desk.do("click", selector=".new .open")
    desk.do("click", selector=".join .enter:not([disabled])")
    desk.do("sees", text="连接正常")
    return desk.do("where").rpartition("/")[2]


def invite_guest(desk, name):
    """By the desk's own dialog; the link's path with its secret, on whatever host the hub runs."""
    desk.do("click", selector=".invite-key")
    desk.do("fill", selector=".invite .search input", text=name)
    desk.do("click", selector=".invite .guest")
    link = httpx.URL(desk.do("value", selector=".invite .link input"))
    desk.do("press", key="Escape")
    return f"{link.path}#{link.fragment}"


def people_of(cast, room_id):
    room = cast.desk.get(f"/rooms/{room_id}")
    return {one["name"]: one for one in room["participants"]}


def link_of(made):
    """The path of an invitation's link with its secret, on whatever host the hub runs."""
    link = httpx.URL(made["link"])
    return f"{link.path}#{link.fragment}"


def join(page):
    """From the preview into the meeting."""
    page.do("click", selector=".join .enter:not([disabled])")
    page.do("sees", text="连接正常")


def choose_for(page, name, deed):
    """Something of the host's menu of a participant."""
    page.do("click", selector=f"[data-name='{name}'] [aria-label='对 {name} 的操作']")
    page.do("choose", text=deed)


def lead(page, deed):
    """Something of the host's menu of the room."""
    page.do("click", selector=".host-key")
    page.do("choose", text=deed)
