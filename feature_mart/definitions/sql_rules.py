"""What SQL definitions, derived features and SQL checks may not do, or had better not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from feature_mart.definitions import determinism
from feature_mart.definitions.problems import Invalid, Problem, Problems
from feature_mart.definitions.sql_text import SqlQuery, spark_dialect


def check_query(query: SqlQuery, problems: Problems) -> None:
    """Tell what a definition may not use."""
    refused = _refused_calls(query.tokens) if query.words & determinism.NONDETERMINISTIC else ()
    for token, written in refused:
        name = token.text.lower()
        problems.add(
            Problem(query.file, token.line, "", determinism.refusal(written), written, fix=determinism.way_out(name))
        )
    for token in _order_dependent(query.tokens) if query.words & determinism.ORDER_DEPENDENT else ():
        problems.add(
            Problem(
                query.file,
                token.line,
                "",
                f"{token.text.lower()} gives what comes first or last by chance, so another run may differ",
                token.text.lower(),
                fix="use min_by or max_by, sort_array(collect_list(…)), or a window with an explicit order",
                severity="warning",
            )
        )
    if query.words & {"tablesample", "limit", "transform"}:
        _check_sampling(query, problems)


def read_expression(text: str) -> tuple[exp.Expr, tuple[str, ...]]:
    """A SQL expression on the columns of one row: its tree, and the names of the columns that it uses.

    Raises:
        Invalid: it does not parse, or is more than an expression on one row.
    """
    try:
        tokens = list(spark_dialect().tokenize(text))
        trees = spark_dialect().parser().parse_into(exp.Condition, tokens, text)
    except (ParseError, TokenError, RecursionError):
        raise Invalid(
            "is no SQL expression that Spark reads",
            allowed="an expression, as in a / nullif(b, 0)",
            fix="write it as it would stand in a SELECT",
        ) from None
    if len(trees) != 1 or trees[0] is None or isinstance(trees[0], (exp.Query, exp.Alias, exp.Star)):
        raise Invalid("is no single SQL expression", allowed="one expression, without as", fix="write one expression")
    tree = trees[0]
    if any(isinstance(node, (exp.Query, exp.AggFunc, exp.Window, exp.Placeholder)) for node in tree.walk()):
        raise Invalid(
            "speaks of more than one row",
            allowed="an expression on the columns of one row",
            fix="compute it in the definition",
        )
    for token, written in _refused_calls(tokens):
        raise Invalid(
            f"uses {written}, whose result is not determined by the inputs",
            allowed="functions of the columns alone",
            fix=determinism.way_out(token.text.lower()),
        )
    names = {part.parts[0].name for part in tree.find_all(exp.Column)}
    return tree, tuple(sorted(names))


def _refused_calls(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    for at, token in enumerate(tokens):
        name = token.text.lower()
        if name not in determinism.NONDETERMINISTIC or token.token_type in (TokenType.STRING, TokenType.IDENTIFIER):
            continue
        before = tokens[at - 1].token_type if at else None
        if before in (TokenType.DOT, TokenType.ALIAS):
            continue
        following = tokens[at + 1].token_type if at + 1 < len(tokens) else None
        if following == TokenType.L_PAREN:
            is_empty = tokens[at + 2].token_type == TokenType.R_PAREN if at + 2 < len(tokens) else False
            if is_empty or name not in determinism.ONLY_WITHOUT_ARGUMENTS:
                yield token, f"{name}()"
        elif name in determinism.WITHOUT_PARENTHESES and following != TokenType.DOT:
            yield token, name


def _order_dependent(tokens: Sequence[Token]) -> Iterator[Token]:
    calls: list[str] = []
    for at, token in enumerate(tokens):
        if token.token_type == TokenType.L_PAREN:
            calls.append(tokens[at - 1].text.lower() if at else "")
            name = calls[-1]
            is_call = name in determinism.ORDER_DEPENDENT and tokens[at - 1].token_type != TokenType.IDENTIFIER
            if is_call and not (set(calls[:-1]) & determinism.ORDERING) and not _is_ordered(tokens, at):
                yield tokens[at - 1]
        elif token.token_type == TokenType.R_PAREN and calls:
            calls.pop()


def _is_ordered(tokens: Sequence[Token], opening: int) -> bool:
    """Whether ``OVER`` or ``WITHIN GROUP`` follows the call whose parenthesis opens here."""
    depth, words = 0, []
    for token in tokens[opening:]:
        if token.token_type == TokenType.L_PAREN:
            depth += 1
        elif token.token_type == TokenType.R_PAREN:
            depth -= 1
        elif depth == 0:
            words.append(token.text.lower().split(" ")[0])
            if words[-1] not in ("filter", "ignore", "respect", "nulls"):
                break
    return bool(words) and words[-1] in ("over", "within")


def _check_sampling(query: SqlQuery, problems: Problems) -> None:
    for sample in query.tokens:
        if sample.token_type == TokenType.TABLE_SAMPLE:
            message = determinism.refusal("TABLESAMPLE")
            fix = "take rows by a hash of their key, as in where pmod(xxhash64(customer_id), 100) < 10"
            problems.add(Problem(query.file, sample.line, "", message, "TABLESAMPLE", fix=fix))
    limits = [token for token in query.tokens if token.token_type == TokenType.LIMIT]
    if limits and any(part.args.get("limit") and not part.args.get("order") for part in query.tree.find_all(exp.Query)):
        message = "found LIMIT without ORDER BY, which takes rows by chance"
        problems.add(
            Problem(query.file, limits[0].line, "", message, "LIMIT", fix="order by columns that no two rows share")
        )
    for script in query.tree.find_all(exp.QueryTransform):
        message = "found TRANSFORM … USING, which runs a program"
        problems.add(
            Problem(query.file, script.meta.get("line", 1), "", message, "TRANSFORM", fix="write it in SQL or Python")
        )
