"""The media engines that carry calls, in worker processes of their own, and how control orders them."""
