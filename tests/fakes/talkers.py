"""Questions to the simulated phones of the demo's story."""


def is_idle(phone):
    """Whether the phone is in no call."""
    return phone.page.state()["call"] in {"idle", "ended"}
