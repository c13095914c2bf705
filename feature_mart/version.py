"""The engine's version."""

VERSION = "0.1.0"
ENGINE = f"feature_mart {VERSION}"
