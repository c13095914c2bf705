"""Variance and standard deviation of a sample, as Spark's: null with fewer than two values."""

from feature_mart.windows.functions.base import NUMERIC, Function, always

VARIANCE = Function(
    name="variance",
    partials=("doubled", "squares"),
    takes=NUMERIC,
    result=always("double"),
    compute=lambda window: window.variance(),
)
STDDEV = Function(
    name="stddev",
    partials=("doubled", "squares"),
    takes=NUMERIC,
    result=always("double"),
    compute=lambda window: window.variance(root=True),
)
