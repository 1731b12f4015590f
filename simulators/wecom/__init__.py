"""A stand-in WeChat Work server: the API an app calls, and the phones of the people it writes to.

Its crypto is wechatpy's, so that the hub's own is checked against somebody else's. Every behaviour is commented
`doc:` with the page of developer.work.weixin.qq.com it follows, or `assumed:` where the documentation is silent.
Run it as `python -m simulators.wecom --port 8090 --callback-url http://127.0.0.1:8080/wecom/callback …`.
"""
