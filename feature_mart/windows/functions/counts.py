"""How many values, and how many different ones."""

from feature_mart.windows.functions.base import ATOMIC, Function, always

COUNT = Function(
    name="count",
    partials=("count",),
    takes=None,
    result=always("bigint"),
    compute=lambda window: window.array(window.count),
    of_nothing=0,
)
COUNT_DISTINCT = Function(
    name="count_distinct",
    partials=("distinct",),
    takes=ATOMIC,
    result=always("bigint"),
    compute=lambda window: window.array(window.distinct()),
    of_nothing=0,
)
