"""LightGBM beside the rankers, on the same columns: an extra, for it is what many teams have today."""

from importlib.util import find_spec


def has_lightgbm() -> bool:
    """Whether the extra ``baselines`` is installed, without importing it."""
    return find_spec("lightgbm") is not None
