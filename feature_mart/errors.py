"""Every error that Feature Mart raises on purpose.

::

    MartError                      exit code 1: the data, a check or the environment failed
    ├── DefinitionError            exit code 2: one or more files of the mart are wrong; all problems at once
    ├── UsageError                 exit code 2: a command, an argument or an environment's name is wrong
    ├── EnvironmentProblem         Java, Spark, jars or disk are not as needed
    ├── SourceError                a source cannot be read as it is declared
    ├── BuildError                 a definition failed, or made what it must not make
    ├── CheckFailed                a check of severity ``error`` failed; nothing was published
    ├── SchemaChangeRefused        a build would remove, rename or retype a published feature
    ├── TableError                 a Delta table is missing, damaged, or not what it should be
    │   ├── VersionNotFound        the asked version does not exist (any more)
    │   └── FilesMissing           files that a version needs were removed
    ├── OnlineStoreError           the online store refuses something, or lost what it held
    └── TransientError             trying again may help
        ├── ConcurrentBuild        another build of the same table committed first
        ├── OnlineStoreUnavailable the online store cannot be reached
        └── SyncSuperseded         another sync of the same view has begun since, or the view was rolled back

This module imports nothing, so that every layer can raise from it. Texts say where, what was found, what is allowed
and what to do next; the facts behind a text are kept as attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class MartError(Exception):
    """Base of all errors of Feature Mart.

    ``str(error)`` is the whole text for people; ``exit_code`` is what the command line ends with.
    """

    exit_code = 1

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class DefinitionError(MartError):
    """Files of the mart are wrong. ``problems`` holds every one that was found, in the order of files and lines."""

    exit_code = 2

    def __init__(self, problems: Sequence[Any]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        headline = f"{count} problem{'' if count == 1 else 's'} in the mart's files"
        super().__init__("\n\n".join([headline, *(problem.text() for problem in self.problems)]))


class UsageError(MartError):
    """A command, an argument or the name of an environment is wrong."""

    exit_code = 2


class EnvironmentProblem(MartError):
    """The machine lacks something that is needed (Java, jars, disk), or a session is set up in another way."""


class SourceError(MartError):
    """A source cannot be read as it is declared. Nothing of it was ingested by this run."""


class BuildError(MartError):
    """A definition failed, or made rows or columns that it must not make. Nothing was published."""


class CheckFailed(MartError):
    """A check of severity ``error`` failed, so nothing was published. ``report`` holds every result."""

    def __init__(self, message: str, report: Any) -> None:
        super().__init__(message)
        self.report = report


class SchemaChangeRefused(MartError):
    """A build would remove, rename or retype what is published. Nothing was published."""


class TableError(MartError):
    """A Delta table is missing, damaged, or not what it should be."""


class VersionNotFound(TableError):
    """The asked version or moment is not (any more) in the table's history."""


class FilesMissing(TableError):
    """Files that a version of a table needs are not there: removed by VACUUM, or by hand."""


class OnlineStoreError(MartError):
    """The online store refuses something, holds what cannot be read, or lost what it held."""


class TransientError(MartError):
    """Something outside failed in a way that trying again may mend."""


class ConcurrentBuild(TransientError):
    """Another build of the same table committed first; this one's rows were not written."""


class OnlineStoreUnavailable(TransientError):
    """The online store cannot be reached. What is live there stays as it is."""


class SyncSuperseded(TransientError):
    """Another sync of the same view has begun since, or the view was rolled back; this one published nothing."""
