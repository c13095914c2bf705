"""Sum and mean, both rounded once from the exact sum."""

from feature_mart.windows.functions.base import INTEGRAL, NUMERIC, Function, always


def _sum_type(kind: str) -> str:
    """Of integers bigint, of decimals one with as many digits as there can be, of floats double."""
    if kind in INTEGRAL:
        return "bigint"
    if kind.startswith("decimal"):
        scale = kind.removesuffix(")").split(",")[1]
        return f"decimal(38,{int(scale)})"
    return "double"


SUM = Function(name="sum", partials=("sum",), takes=NUMERIC, result=_sum_type, compute=lambda window: window.sum())
MEAN = Function(
    name="mean", partials=("sum",), takes=NUMERIC, result=always("double"), compute=lambda window: window.mean()
)
