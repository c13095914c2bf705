"""Whether any, and whether all values are true; null in a window without values."""

from feature_mart.windows.functions.base import Function, always

ANY = Function(
    name="any",
    partials=("trues",),
    takes=("boolean",),
    result=always("boolean"),
    compute=lambda window: window.array(window.trues() > 0, null_where_empty=True),
)
ALL = Function(
    name="all",
    partials=("trues",),
    takes=("boolean",),
    result=always("boolean"),
    compute=lambda window: window.array(window.trues() == window.count, null_where_empty=True),
)
