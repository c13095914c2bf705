"""A mart whose views are the rows of tables as they are, so that nothing but the engine's own work counts."""

from __future__ import annotations

from collections.abc import Callable

ENTITIES = "entities:\n  user: {description: Somebody., keys: {user_id: bigint}}\n"


def plain_mart(name: str, views: int, rules: Callable[[int], str]) -> dict[str, str]:
    """Views ``view_0`` and so on, of the Delta tables ``rows_0`` and so on, by `user_id` and the time `at`.

    Args:
        rules: further rules of a view, by its number, as YAML writes them between braces.
    """
    sources = "".join(
        f"  rows_{view}:\n    description: Rows.\n    owner: a@example.com\n    format: delta\n    path: rows_{view}\n"
        "    event_timestamp: at\n"
        for view in range(views)
    )
    entries = [
        ", ".join(filter(None, [f"name: view_{view}, input: rows_{view}, entities: [user], event_timestamp: at", more]))
        for view, more in ((view, rules(view)) for view in range(views))
    ]
    pipeline = "pipeline: daily\ndescription: Views.\nowner: a@example.com\nfeature_views:\n"
    described = {
        f"metadata/feature_views/view_{view}.yml": f"feature_view: view_{view}\ndescription: Values.\n"
        'owner: a@example.com\nfeatures:\n  "*": {description: A value.}\n'
        for view in range(views)
    }
    return {
        "conf/base.yml": f"mart: {name}\nwarehouse: warehouse\n",
        "metadata/entities.yml": ENTITIES,
        "metadata/sources.yml": f"sources:\n{sources}",
        "pipelines/daily.yml": pipeline + "".join(f"  - {{{entry}}}\n" for entry in entries),
        **described,
    }
