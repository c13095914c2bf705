"""What is said of a view whose rows another program changed: no build goes on from rows that nothing explains."""

from __future__ import annotations

from feature_mart.definitions import FeatureView
from feature_mart.plan.steps import Request, ViewState
from feature_mart.records import iso


def foreign_refusal(view: FeatureView, state: ViewState | None, request: Request) -> str | None:
    """Why a build of the view is refused; None where nobody changed its rows, or they are made anew on purpose."""
    if state is None or state.foreign is None or _replaces_all_on_purpose(view, request):
        return None
    change = state.foreign
    ways = [f"`mart build {view.pipeline} --select {view.name} --full-refresh` makes all rows anew"]
    if change.last_good is not None:
        ways.append(f"`mart restore {view.name} --version {change.last_good}` brings back what was there before")
    return (
        f"another program changed rows of {view.name}: version {change.version} of {iso(change.committed_at)} "
        f"({change.operation}). Nothing says what they are made from, so no build goes on from them; "
        f"{', or '.join(ways)}."
    )


def _replaces_all_on_purpose(view: FeatureView, request: Request) -> bool:
    return request.full_refresh and request.start is None and view.name in request.named
