"""The least and the greatest value."""

from feature_mart.windows.functions.base import ATOMIC, Function, same

MIN = Function(
    name="min", partials=("minimum",), takes=ATOMIC, result=same, compute=lambda window: window.extreme("minimum")
)
MAX = Function(
    name="max", partials=("maximum",), takes=ATOMIC, result=same, compute=lambda window: window.extreme("maximum")
)
