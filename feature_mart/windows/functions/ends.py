"""The first and the last value: by event timestamp, then created timestamp, then the value itself."""

from feature_mart.windows.functions.base import ATOMIC, Function, same

FIRST = Function(name="first", partials=("first",), takes=ATOMIC, result=same, compute=lambda window: window.first())
LAST = Function(name="last", partials=("last",), takes=ATOMIC, result=same, compute=lambda window: window.last())
