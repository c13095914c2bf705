"""Functions that definitions may not use, because their result is not determined by the inputs.

The names are those that Spark's list of built-in functions calls non-deterministic, those that tell the time, the user,
the file or the session, and those that run foreign code.
"""

from __future__ import annotations

TODAY = "use :interval_end, which is the end of what is built: today, in a nightly build"
_CLOCK = frozenset(
    [
        "now",
        "current_timestamp",
        "current_date",
        "current_time",
        "curdate",
        "localtimestamp",
        "unix_timestamp",
        "current_timezone",
        "sysdate",
        "getdate",
    ]
)
_CHANCE = frozenset(
    ["rand", "randn", "random", "randstr", "uniform", "uuid", "shuffle", "aes_encrypt", "try_aes_encrypt"]
)
_PLACE = frozenset(
    [
        "monotonically_increasing_id",
        "spark_partition_id",
        "input_file_name",
        "input_file_block_start",
        "input_file_block_length",
    ]
)
_SESSION = frozenset(
    [
        "current_user",
        "user",
        "session_user",
        "current_catalog",
        "current_database",
        "current_schema",
        "version",
        "current_path",
        "current_metastore",
        "is_member",
        "is_account_group_member",
        "secret",
        "try_secret",
    ]
)
_FOREIGN = frozenset(["java_method", "reflect", "try_reflect", "ai_query", "http_request"])

NONDETERMINISTIC = _CLOCK | _CHANCE | _PLACE | _SESSION | _FOREIGN
#: May be written without parentheses in SQL.
WITHOUT_PARENTHESES = frozenset(
    ["current_timestamp", "current_date", "current_time", "localtimestamp", "current_user", "session_user"]
)
#: Tells the time only if called without arguments.
ONLY_WITHOUT_ARGUMENTS = frozenset(["unix_timestamp"])
#: Aggregates whose result depends on the order of rows.
ORDER_DEPENDENT = frozenset(
    [
        "first",
        "first_value",
        "last",
        "last_value",
        "any_value",
        "collect_list",
        "collect_set",
        "array_agg",
        "listagg",
        "string_agg",
        "group_concat",
    ]
)
#: Around collected arrays these make the order not matter.
ORDERING = frozenset(
    ["sort_array", "array_sort", "size", "cardinality", "array_size", "array_contains", "array_max", "array_min"]
)


def way_out(name: str) -> str:
    """What to write instead of a function that is refused."""
    if name in _CLOCK:
        return TODAY
    if name in _CHANCE:
        return "derive the value from columns, as in xxhash64(customer_id)"
    if name in _PLACE:
        return "number rows by row_number() over (… order by …), from columns alone"
    if name in _SESSION:
        return "remove it: who builds, and where, must not change features"
    return "write it with built-in functions"


def refusal(written: str) -> str:
    """The sentence that refuses it."""
    return f"found {written}, whose result is not determined by the inputs"
