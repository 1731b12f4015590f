"""One small module per noun; each implements its Protocol of `commhub.ports.store`."""
