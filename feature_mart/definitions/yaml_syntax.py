"""Files that are no YAML at all, as problems that say what to do."""

from __future__ import annotations

import yaml

from feature_mart.definitions.problems import Problem

QUOTES = (
    "put texts that hold ': ' or ' #', or begin with one of { [ * & ! % @ ` and quotes, into quotes; "
    "${VAR} too, where it stands within { } or [ ]"
)

INDENT = "indent all keys of one map alike, and all - of one list; look at the lines above too"
COLON = "write `key: value`: a line here or just above lacks its colon, or the space after it"
QUOTE = "close the quote that is opened here; a quote within a text is written twice, or the text in the other kind"
CLOSE = "close each [ with ] and each { with }, and put commas between the entries; look at the lines above too"


def syntax_problem(file: str, text: str, error: yaml.MarkedYAMLError | yaml.reader.ReaderError) -> Problem:
    """What a YAML parser found wrong with the text of a file, and what to do about it."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text[: error.position].count("\n") + 1
        return Problem(file, line, "", "found a control character", allowed="printable text", fix="remove it")
    is_open_quote = "quoted scalar" in (error.context or "")
    # Where a quote is not closed the file's end is of no interest to anybody.
    mark = (error.context_mark if is_open_quote else error.problem_mark) or error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    row = [*text.split("\n"), ""][line - 1]
    what = error.problem or error.context or "it cannot be read"
    if "\t" in row[: len(row) - len(row.lstrip())] or ("cannot start any token" in what and "\t" in row):
        return Problem(file, line, "", "found a tab in the indentation", "a tab", "spaces", fix="indent by spaces")
    if "expected a single document" in what or "but found another document" in what:
        return Problem(file, line, "", "found a second document", "---", "one document per file", fix="split the file")
    found = row.strip()
    return Problem(
        file, line, "", f"is no valid YAML: {what}", found, fix=QUOTE if is_open_quote else _syntax_fix(what)
    )


def _syntax_fix(what: str) -> str:
    """What to do about the parser's finding; both parsers name the token that they missed."""
    if "expected ',' or" in what:
        return CLOSE
    if "'-' indicator" in what or "expected key" in what or "<block end>" in what:
        return INDENT
    if "could not find expected ':'" in what:
        return COLON
    return QUOTES
