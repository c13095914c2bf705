"""Where training sets are kept and what each says of itself; needs no Spark with a warehouse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from feature_mart.definitions.problems import did_you_mean, listed
from feature_mart.delta.address import TRAINING_SET_MANIFEST, TRAINING_SET_PREFIX
from feature_mart.delta.stored_files import remove_dropped, remove_table
from feature_mart.delta.tables import Table, Tables
from feature_mart.errors import UsageError

# The version in which a training set was saved; nothing of the engine's writes to its table again.
SAVED = 0
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def table_of_set(name: str, tables: Tables) -> Table:
    """The table of a training set, whether it is there or not."""
    return tables.table(TRAINING_SET_PREFIX + name)


def new_table_of_set(name: str, tables: Tables) -> Table:
    """The table of a training set that is to be saved.

    Raises:
        UsageError: the name cannot be one, or there is such a training set.
        TableError: what a drop that was stopped left of the name cannot be removed.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a training set: write lower-case letters, digits and _, beginning with a letter."
        )
    table = table_of_set(name, tables)
    if table.current() is not None:
        raise UsageError(
            f"there is a training set {name} already, which stays as it is: take another name "
            f"(`mart training-set show {name}` tells what it holds)."
        )
    if table.folder is not None:
        remove_dropped(table.name, table.folder)
    return table


def manifest_of(name: str, tables: Tables) -> dict[str, Any]:
    """The manifest of a training set.

    Raises:
        UsageError: there is none of that name.
    """
    found = _manifest(name, tables) if _NAME.fullmatch(name) else None
    if found is None:
        known = _names(tables)
        raise UsageError(
            f"there is no training set {name!r}. Known: {listed(known)}.{did_you_mean(name, known)} "
            "`mart training-set list` lists them."
        )
    return found


def manifests(tables: Tables) -> list[dict[str, Any]]:
    """The manifests of all training sets, by name."""
    found = [_manifest(name, tables) for name in _names(tables)]
    return [manifest for manifest in found if manifest is not None]


def drop(name: str, tables: Tables) -> list[tuple[str, int]]:
    """Removes a training set, so that its name can be used again.

    Returns:
        The versions of views that no training set needs any more.

    Raises:
        UsageError: there is none of that name, or the tables are not on a local disk.
        TableError: files cannot be removed.
    """
    needed = _versions(manifest_of(name, tables))
    table = table_of_set(name, tables)
    if table.folder is None:
        raise UsageError(
            f"the table of the training set {name} ({table.address.sql}) is not on a local disk, where alone it can be "
            "dropped. Remove it with what manages the tables there."
        )
    remove_table(table.name, table.folder)
    others = {version for manifest in manifests(tables) for version in _versions(manifest)}
    return [version for version in needed if version not in others]


def _versions(manifest: Mapping[str, Any]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((view["view"], view["version"]) for view in manifest["views"]))


def _names(tables: Tables) -> list[str]:
    return sorted(
        name.removeprefix(TRAINING_SET_PREFIX) for name in tables.names() if name.startswith(TRAINING_SET_PREFIX)
    )


def _manifest(name: str, tables: Tables) -> dict[str, Any] | None:
    for entry in table_of_set(name, tables).history():
        if entry.provenance is not None and TRAINING_SET_MANIFEST in entry.provenance:
            return dict(entry.provenance[TRAINING_SET_MANIFEST])
    return None
