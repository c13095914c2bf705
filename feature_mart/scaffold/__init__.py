"""The small mart that ``mart init`` writes: real files under ``template/``, copied with the mart's name filled in."""

from __future__ import annotations

from pathlib import Path

from feature_mart.definitions.names import checked_name, suggested_name
from feature_mart.definitions.problems import Invalid
from feature_mart.definitions.schema import write_schemas
from feature_mart.errors import UsageError

TEMPLATE = Path(__file__).parent / "template"
# The name of a file in the template, where it differs: git would obey a .gitignore inside the package.
RENAMED = {"gitignore": ".gitignore"}
PLACEHOLDER = "{{ mart }}"


def write_mart(directory: Path, name: str) -> list[Path]:
    """Write a complete mart that builds as it is: one source with its data, two views, tests, a query, a README.

    Args:
        directory: a folder that is new or empty.
        name: the mart's name; what is no name (a folder's, say) is turned into the nearest one.

    Returns:
        The files written.

    Raises:
        UsageError: the folder holds something already, or cannot be written. Nothing that was there is changed.
    """
    directory = Path(directory)
    _refuse_occupied(directory)
    mart = _mart_name(name)
    written = []
    try:
        for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file()):
            inside = source.relative_to(TEMPLATE)
            if "__pycache__" in inside.parts:
                continue
            target = directory / inside.with_name(RENAMED.get(inside.name, inside.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            # "x": should anybody else write here at the same time, their file stays.
            with target.open("x", encoding="utf-8", newline="\n") as file:
                file.write(source.read_text("utf-8").replace(PLACEHOLDER, mart))
            written.append(target)
        written.extend(write_schemas(directory / "conf" / "schemas"))
    except OSError as error:
        raise UsageError(
            f"{directory}: the mart could not be written completely: {error}. Nothing that was there before was "
            "changed; remove what was written, or choose another folder."
        ) from error
    return written


def _refuse_occupied(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise UsageError(
            f"{directory} is a file. `mart init` needs a folder that is new or empty. Nothing was written."
        )
    found = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    if found:
        shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise UsageError(
            f"{directory} is not empty (it holds {shown}). `mart init` needs a folder that is new or empty, so that "
            "nothing is overwritten. Nothing was written; choose another folder."
        )


def _mart_name(name: str) -> str:
    try:
        return checked_name(name)
    except Invalid:
        return suggested_name(name)
