"""Commands that read what was built: history and query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feature_mart.cli.command import cell_text, mart_command, open_store, parse_pairs, print_json, print_table
from feature_mart.definitions.problems import counted
from feature_mart.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from feature_mart.runner.workspace import Event

_SHORT = 10


@mart_command("history")
@click.argument("view")
@click.option("--json", "as_json", is_flag=True, help="Everything each version says about itself, as JSON.")
def history(ctx: click.Context, view: str, as_json: bool) -> None:
    """Show the versions of VIEW (or of a source), newest first, and what made each."""
    entries = open_store(ctx).history(view)
    if as_json:
        print_json(entries)
        return
    print_table(
        ["version", "time", "why", "rows", "inputs", "definition", "git", "run"], [_row(entry) for entry in entries]
    )
    for line in _other_definitions(entries):
        click.echo(line)


def _other_definitions(entries: list[dict[str, Any]]) -> list[str]:
    """Which ranges of the newest version other definitions made than the one that it names, and what is out of date."""
    newest = next((entry for entry in entries if entry["coverage"]), None)
    if newest is None:
        return []
    lines = []
    for start, end, made_by in newest["coverage"]:
        if made_by != newest["definition_hash"]:
            by = (
                f"made by definition {made_by[:_SHORT]}"
                if made_by
                else "to be built again, as inputs or the definition have changed"
            )
            lines.append(f"version {newest['version']} holds [{start}, {end}): {by}")
    return lines


def _row(entry: dict[str, Any]) -> list[Any]:
    if entry["run_id"] is None:
        return [entry["version"], entry["timestamp"], f"{entry['operation']} by another writer", "", "", "", "", ""]
    inputs = [
        f"{name} v{said['version']}" if "version" in said else f"{said.get('files')} files"
        for name, said in (entry["inputs"] or {}).items()
    ]
    git = (entry["git_commit"] or "")[:_SHORT] + ("+changes" if entry["git_dirty"] else "")
    why = entry["reason"] or entry["operation"].lower()
    if entry["on_hold"]:
        why += ", on hold"
    definition = (entry["definition_hash"] or "")[:_SHORT]
    return [
        entry["version"],
        entry["timestamp"],
        why,
        entry["rows"],
        ", ".join(inputs),
        definition,
        git,
        entry["run_id"][:_SHORT],
    ]


@mart_command("query")
@click.argument("sql", metavar='FILE.sql|"SELECT ..."')
@click.option("--version", "versions", metavar="VIEW=N", multiple=True, help="Read this version of a view.")
@click.option("--as-of", metavar="T", default=None, help="Read everything as it was at this moment.")
@click.option("--output", metavar="FILE", default=None, help="Write the result to a .csv, .parquet or .json file.")
@click.option("--limit", metavar="N", default=50, show_default=True, help="Print at most this many rows; 0 for all.")
@click.option("--json", "as_json", is_flag=True, help="Rows as JSON.")
def query(
    ctx: click.Context,
    sql: str,
    versions: tuple[str, ...],
    as_of: str | None,
    output: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Run one SELECT over views and sources, by their names."""
    pinned = parse_pairs(versions, "--version")
    if output is not None and Path(output).suffix not in _WRITERS:
        raise UsageError(f"--output {output!r}: the file must end in {', '.join(_WRITERS)}.")
    if output is not None and not Path(output).absolute().parent.is_dir():
        raise UsageError(f"--output {output!r}: there is no folder {Path(output).parent}. Make it first.")
    from feature_mart.runner.query import query_errors

    def told(event: Event) -> None:
        if event.kind == "remark":
            click.echo(f"{event.subject}: {event.text}", err=True)

    store = open_store(ctx, on_event=told)
    try:
        frame = store.query(_text(sql), versions=pinned, as_of=as_of)
        with query_errors():
            if output is not None:
                written = _WRITERS[Path(output).suffix](frame, Path(output))
                click.echo(f"wrote {counted(written, 'row')} to {output}")
            else:
                _print(frame, limit, as_json)
    finally:
        store.stop()


def _text(sql: str) -> str:
    if not sql.endswith(".sql"):
        return sql
    try:
        return Path(sql).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{sql} cannot be read: {error.strerror}.") from error


def _print(frame: DataFrame, limit: int, as_json: bool) -> None:
    frame = _with_utc_texts(frame)
    rows = frame.collect() if limit == 0 else frame.limit(limit + 1).collect()
    shown = rows if limit == 0 else rows[:limit]
    if as_json:
        print_json([row.asDict(recursive=True) for row in shown])
        return
    print_table(frame.columns, [[cell_text(value) for value in row] for row in shown])
    more = "" if len(shown) == len(rows) else " shown; there are more (--limit, or --output for all)"
    click.echo(f"{len(shown)} row{'' if len(shown) == 1 else 's'}{more}")


def _with_utc_texts(frame: DataFrame) -> DataFrame:
    """``frame`` with its times as ISO 8601 texts: as Python values they would be in the machine's own zone."""
    from pyspark.sql import functions as F

    def shown(name: str, kind: str) -> Column:
        column = F.col(f"`{name}`")
        if kind != "timestamp":
            return column
        return F.concat(F.replace(column.cast("string"), F.lit(" "), F.lit("T")), F.lit("Z")).alias(name)

    return frame.select(*[shown(name, kind) for name, kind in frame.dtypes])


def _write_csv(frame: DataFrame, path: Path) -> int:
    import pyarrow.csv

    nested = [name for name, kind in frame.dtypes if kind.startswith(("array", "map", "struct"))]
    if nested:
        raise UsageError(
            f"{path}: CSV has no place for the nested columns {', '.join(nested)}. Write .json or .parquet, or "
            f"select to_json({nested[0]})."
        )
    table = frame.toArrow()
    pyarrow.csv.write_csv(table, path)
    return int(table.num_rows)


def _write_parquet(frame: DataFrame, path: Path) -> int:
    import pyarrow.parquet

    table = frame.toArrow()
    pyarrow.parquet.write_table(table, path)
    return int(table.num_rows)


def _write_json(frame: DataFrame, path: Path) -> int:
    lines = frame.toJSON().collect()
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return len(lines)


_WRITERS = {".csv": _write_csv, ".parquet": _write_parquet, ".json": _write_json}

COMMANDS = {"history": history, "query": query}
