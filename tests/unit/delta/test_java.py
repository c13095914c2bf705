"""Finding Java: each way in which it can be missing or wrong has words of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_mart.delta.java import INSTALL_HINT, find_java
from feature_mart.errors import EnvironmentProblem


def java_that_says(folder: Path, text: str, code: int = 0) -> Path:
    """A program named java in ``folder``/bin that prints ``text`` as `java -version` does."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\nexit {code}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("text", "major"),
    [('openjdk version "17.0.15" 2025-04-15\nOpenJDK …', 17), ('openjdk version "21" 2023-09-19 LTS', 21)],
)
def test_java_home_comes_first(tmp_path: Path, text: str, major: int) -> None:
    program = java_that_says(tmp_path / "home", text)
    java_that_says(tmp_path / "other", 'openjdk version "1.8.0_392"')
    java = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "other" / "bin")})
    assert (java.executable, java.major, java.vendor_text) == (str(program), major, text.splitlines()[0])


def test_without_java_home_the_path_is_searched(tmp_path: Path) -> None:
    program = java_that_says(tmp_path, 'openjdk version "17.0.1" 2021-10-19')
    assert find_java({"PATH": str(program.parent)}).executable == str(program)


@pytest.mark.parametrize("text", ['java version "1.8.0_392"', 'openjdk version "11.0.21"', 'openjdk version "25"'])
def test_a_java_that_spark_does_not_run_on_is_refused(tmp_path: Path, text: str) -> None:
    program = java_that_says(tmp_path, text)
    number = {"1.8.0_392": "8", "11.0.21": "11", "25": "25"}[text.split('"')[1]]
    with pytest.raises(EnvironmentProblem) as caught:
        find_java({"PATH": str(program.parent)})
    assert str(caught.value) == (
        f"{program} is Java {number}; Spark 4.1 is supported on Java 17 and 21. {INSTALL_HINT}"
    )


def test_no_java_at_all(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        find_java({"PATH": str(tmp_path)})
    assert str(caught.value) == f"No Java was found: JAVA_HOME is not set, no java on the PATH. {INSTALL_HINT}"


def test_a_java_home_without_java(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        find_java({"JAVA_HOME": str(tmp_path)})
    assert str(caught.value) == (
        f"JAVA_HOME is set to {tmp_path}, but there is no program bin/java in it. {INSTALL_HINT}"
    )


def test_a_stub_that_only_says_that_there_is_no_java(tmp_path: Path) -> None:
    program = java_that_says(tmp_path, "The operation couldn't be completed. Unable to locate a Java Runtime.", code=1)
    with pytest.raises(EnvironmentProblem, match="does not name a version; it says: The operation couldn't"):
        find_java({"PATH": str(program.parent)})


def test_a_java_that_does_not_run(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match=r"-version does not run: .*Exec format error"):
        find_java({"JAVA_HOME": str(tmp_path)})
