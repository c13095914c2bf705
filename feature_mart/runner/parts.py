"""The step of a view in chunks, each of which is one commit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from feature_mart.definitions import FeatureView
from feature_mart.plan.intervals import chunks
from feature_mart.plan.steps import Step
from feature_mart.records import Interval


def parts_of(step: Step, chunk: timedelta | None, view: FeatureView) -> list[Step]:
    """The step in chunks. Only the first one tells which ranges inputs have changed: later ones must not forget it."""
    if step.intervals is None:
        return [step]
    if chunk is not None and step.grows_from is not None and not step.replaces_everything:
        return _leftward(step, chunk, view)
    groups = chunks(step.intervals, chunk, view.materialize.every)
    return [
        replace(
            step,
            intervals=group,
            affected=step.affected if number == 0 else (),
            # In chunks, old rows stay readable until their own range is replaced, unless their schema has to go.
            replaces_everything=step.replaces_everything and number == 0 and (len(groups) == 1 or step.replaces_schema),
        )
        for number, group in enumerate(groups)
    ]


def _leftward(step: Step, chunk: timedelta, view: FeatureView) -> list[Step]:
    """The chunks of a windowed view whose range grows to the left: from where it begins now, backwards.

    So the range stays one that has no gap. The boundary at which it began is made anew each time, as its rows there are
    those of all entities that had a value, and no longer the first.
    """
    every, begins = view.materialize.every, step.grows_from
    assert begins is not None
    seam = begins + every
    spans = step.intervals or ()
    grown = [Interval(span.start, min(span.end, seam)) for span in spans if span.start < seam]
    rest = [Interval(max(span.start, seam), span.end) for span in spans if span.end > seam]
    groups = chunks(grown, chunk, every)
    parts = [
        replace(
            step,
            begin=group[0].start,
            # Stopped in between, it has been told to begin no earlier than it does.
            start=None if step.start is None else group[0].start + every,
            intervals=tuple(Interval(span.start, min(span.end + every, seam)) for span in group),
            affected=(),
        )
        for group in reversed(groups)
    ]
    later = [replace(step, intervals=tuple(group), affected=()) for group in chunks(rest, chunk, every)]
    first = replace(parts[0], affected=step.affected)
    return [first, *parts[1:], *later]
