"""WeCom's error codes (doc: D/90313), as far as the stand-in answers with them."""


class WeComError(Exception):
    """Answered as HTTP 200 with errcode; doc: D/90313, errors are never HTTP statuses."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


BUSY = -1
BAD_SECRET = 40001
BAD_CORP = 40013
BAD_TOKEN = 40014
BAD_AGENT = 40056
EXPIRED_TOKEN = 42001
BAD_TASK_ID = 42014
BAD_CARD = 42027
BAD_BUTTONS = 42045
TOO_OLD_TO_RECALL = 42052
NO_CALLBACK_URL = 43012
THROTTLED = 45009
BAD_RESPONSE_CODE = 60140
NOBODY_REACHED = 81013
NO_JSON = 47001
BAD_MESSAGE = 40008
BAD_WEBHOOK_KEY = 93000
UNKNOWN_MESSAGE = 40114
