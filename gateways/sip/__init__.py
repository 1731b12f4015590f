"""The SIP edge: phones register here, call and are called (RFC 3261, 3264, 3581, 6026, 7616, 8760).

Inside a call: `talking` agrees on voice, `refreshing` keeps the dialog alive (RFC 4028), `referrals` and `replaces` hand
it on (RFC 3515, 3891), `asides` answers the rest; before it: `provisional` (RFC 3262) and `redirects`.

From the wire inward: `transport` (datagrams) → `message` and `grammar` (bytes to values) → `transactions` (the four
machines) → `gateway` (dispatch) → `registrar`, `uas`, `uac` → `legs` (one actor a leg) with its stages in `uac`,
`uas`, `talking` → the core's ports. `ledger` and `resume` carry dialogs over a restart.
"""

from gateways.sip.config import SipConfig, TimerConfig
from gateways.sip.digest import hash_account
from gateways.sip.gateway import SipGateway

__all__ = ["SipConfig", "SipGateway", "TimerConfig", "hash_account"]
