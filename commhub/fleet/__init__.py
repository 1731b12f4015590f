"""Fleet: field devices and phones, what lets them in, whether they are there, and the orders given to devices.

`presence` is what the devices say (the inward port), `service` and `phones` what people do with them.
"""
