"""What a build may not do to what is published unless it is said on purpose, and who would notice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from feature_mart.definitions import FeatureService, FeatureView
from feature_mart.definitions.widening import is_widening


@dataclass(frozen=True)
class SchemaChange:
    """Published columns that would go (with their types) or change their types (from, to), and the new ones."""

    gone: Mapping[str, str]
    retyped: Mapping[str, tuple[str, str]]
    new: tuple[str, ...] = ()

    @property
    def broken(self) -> tuple[str, ...]:
        """The names that whoever uses them would miss, or find with values of another type."""
        return (*self.gone, *self.retyped)


def schema_change(
    published: Mapping[str, str], names: Iterable[str] | None, types: Mapping[str, str]
) -> SchemaChange | None:
    """How a build would break what is published; None where it would not, as far as is known.

    Args:
        published: the published columns and their types.
        names: the columns that the build gives; None where only a run can tell.
        types: the types of those whose types are known.
    """
    given = set(published) if names is None else set(names)
    gone = {name: kind for name, kind in published.items() if name not in given}
    # Rows are written in the type that is published already, so only what fits it may come.
    retyped = {
        name: (kind, types[name])
        for name, kind in published.items()
        if name in given and name in types and not is_widening(types[name], kind)
    }
    if not gone and not retyped:
        return None
    return SchemaChange(gone, retyped, tuple(name for name in names or () if name not in published))


def refusal(view: FeatureView, change: SchemaChange, services: Iterable[FeatureService]) -> str:
    """What would be lost, for whom, and the command that does it all the same."""
    lines = [f"view {view.name}: this build would change what is published, so it is refused; nothing was written."]
    lines += [f"  {name} ({kind}) would be removed" for name, kind in change.gone.items()]
    lines += [f"  {name} would change from {before} to {after}" for name, (before, after) in change.retyped.items()]
    if change.gone and change.new:
        lines.append(f"New are: {', '.join(change.new)}. A renamed feature is a removed one and a new one.")
    using = [(service, used) for service in services if (used := _used(service, view.name, change.broken))]
    if using:
        lines.append("Feature services in use would break:")
        lines += [f"  {service.name} ({service.owner or 'no owner'}) uses {', '.join(used)}" for service, used in using]
        lines.append("So would training sets that take these. To do it on purpose, rebuilding the whole view:")
    else:
        lines.append(
            "No feature service uses these; training sets that take them would break. "
            "To do it on purpose, rebuilding the whole view:"
        )
    lines.append(f"  mart build {view.pipeline} --select {view.name} --full-refresh")
    return "\n".join(lines)


def _used(service: FeatureService, view: str, features: Sequence[str]) -> list[str]:
    """Which of a view's ``features`` a service uses, by name or as part of the whole view."""
    return [name for name in features if view in service.features or f"{view}:{name}" in service.features]
