"""The functions of windows, by name. A new one is a module here and a line in `FUNCTIONS`.

Loading this package loads no array library: names and types are needed where nothing is computed.
"""

from __future__ import annotations

from collections.abc import Mapping

from feature_mart.windows.functions.base import Function
from feature_mart.windows.functions.counts import COUNT, COUNT_DISTINCT
from feature_mart.windows.functions.ends import FIRST, LAST
from feature_mart.windows.functions.extremes import MAX, MIN
from feature_mart.windows.functions.spread import STDDEV, VARIANCE
from feature_mart.windows.functions.totals import MEAN, SUM
from feature_mart.windows.functions.truth import ALL, ANY

__all__ = ["FUNCTIONS", "Function"]

FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (COUNT, SUM, MEAN, MIN, MAX, VARIANCE, STDDEV, COUNT_DISTINCT, FIRST, LAST, ANY, ALL)
}
