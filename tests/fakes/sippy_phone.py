"""A phone on sippy, a SIP stack of its own: a process that is told what to do on stdin and says what happened on stdout.

Run as `python sippy_phone.py HUB_PORT OWN_PORT USER PASSWORD`. Commands: `register`, `dial NUMBER`, `hang up`. It rings
and answers every call. Lines out: `registered`, and the names of sippy's events: `CCEventRing`, `CCEventConnect` …
"""

import sys
import threading

from sippy.CCEvents import CCEventConnect, CCEventDisconnect, CCEventRing, CCEventTry
from sippy.Core.EventDispatcher import ED2
from sippy.MsgBody import MsgBody
from sippy.SipRegistrationAgent import SipRegistrationAgent
from sippy.SipTransactionManager import SipTransactionManager
from sippy.SipURL import SipURL
from sippy.UA import UA

HOST = "127.0.0.1"
DESCRIPTION = (
    f"v=0\r\no=sippy 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)


class Silent:
    """sippy wants somewhere to write its log."""

    def write(self, *_, **__):
        pass


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class SippyPhone:
    def __init__(self, hub, own, user, password):
        self._hub, self._user, self._password = hub, user, password
        self._own = own
        self._config = {
            "_sip_address": HOST,
            "_sip_port": own,
            "_sip_logger": Silent(),
            "nh_addr": (HOST, hub),
        }
        self._config["_sip_tm"] = SipTransactionManager(self._config, self._asked)
        self._call = None

    def obey(self, command):
        words = command.split()
        if words[0] == "register":
            self._register()
        elif words[0] == "dial":
            self._call = self._new_call()
            body = MsgBody(DESCRIPTION)
            self._call.recvEvent(CCEventTry((None, self._user, words[1], body, None, "Sippy")))
        else:
            self._call.recvEvent(CCEventDisconnect())

    def _register(self):
        agent = SipRegistrationAgent(
            self._config,
            SipURL(username=self._user, host=HOST, port=self._hub),
            SipURL(username=self._user, host=HOST, port=self._own),
            user=self._user,
            passw=self._password,
            rok_cb=lambda *_: say("registered"),
            rfail_cb=lambda reason, *_: say(f"refused {reason}"),
            target=((HOST, self._hub), "udp"),
        )
        agent.doregister()

    def _new_call(self):
        return UA(
            self._config,
            self._happened,
            username=self._user,
            password=self._password,
            nh_address=(HOST, self._hub),
        )

    def _asked(self, request, transaction):
        """A request outside every call."""
        if request.getMethod() != "INVITE":
            return (request.genResponse(481, "Call/Transaction Does Not Exist"), None, None)
        self._call = self._new_call()
        return self._call.recvRequest(request, transaction)

    def _happened(self, event, call):
        say(event.name)
        if isinstance(event, CCEventTry):
            call.recvEvent(CCEventRing((180, "Ringing", None)))
            call.recvEvent(CCEventConnect((200, "OK", MsgBody(DESCRIPTION))))


def main():
    hub, own, user, password = sys.argv[1:]
    phone = SippyPhone(int(hub), int(own), user, password)

    def listen():
        for line in sys.stdin:
            ED2.callFromThread(phone.obey, line)

    threading.Thread(target=listen, daemon=True).start()
    say("ready")
    ED2.loop()


if __name__ == "__main__":
    main()
