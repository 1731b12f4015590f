"""WeChat Work (企业微信): task cards to people's phones, and what they tap and write back.

`channel` sends and changes cards (an outward port), `callback` receives (inward ports), `crypto` is the callback's
envelope, `card` the mapping of a message to a template card, `api` the token and the HTTP calls. Page numbers such
as D/90236 are those of developer.work.weixin.qq.com/document/path/90236. 政务微信 follows the same API under
another base URL.
"""
