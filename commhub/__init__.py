"""commhub: the hub where a command centre's phones, radios, cameras and messages meet in one dispatch model."""

__version__ = "0.1.0"
