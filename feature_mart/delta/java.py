"""Finds the Java that Spark will run on, and says what to do where there is none or a wrong one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from feature_mart.errors import EnvironmentProblem

SUPPORTED = (17, 21)
INSTALL_HINT = (
    "Install Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless · "
    "macOS: brew install openjdk@17 · Fedora: dnf install java-17-openjdk-headless), "
    "or set JAVA_HOME to the folder of one that is installed."
)
# `java -version` prints `openjdk version "17.0.15" 2025-04-15`, and before Java 9 `java version "1.8.0_392"`.
_VERSION = re.compile(r'version "(?:1\.)?(\d+)[^"]*"')


@dataclass(frozen=True)
class Java:
    """One Java on this machine: the executable and its major version."""

    executable: str
    major: int
    vendor_text: str


def find_java(variables: Mapping[str, str] = os.environ) -> Java:
    """The Java that Spark starts: ``$JAVA_HOME/bin/java`` if set, else the first ``java`` on the path.

    Raises:
        EnvironmentProblem: there is none, it does not run, or it is of a version that Spark does not support.
    """
    home = variables.get("JAVA_HOME")
    if home:
        executable = str(Path(home) / "bin" / "java")
        if not os.access(executable, os.X_OK):
            raise EnvironmentProblem(
                f"JAVA_HOME is set to {home}, but there is no program bin/java in it. {INSTALL_HINT}", java_home=home
            )
    else:
        found = shutil.which("java", path=variables.get("PATH"))
        if found is None:
            raise EnvironmentProblem(f"No Java was found: JAVA_HOME is not set, no java on the PATH. {INSTALL_HINT}")
        executable = found
    return _checked(executable)


def _checked(executable: str) -> Java:
    try:
        answer = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(f"{executable} -version does not run: {error}. {INSTALL_HINT}") from error
    # macOS ships a stub `java` that only says that no Java is installed, and ends with an error.
    text = (answer.stderr + answer.stdout).strip()
    match = _VERSION.search(text)
    if answer.returncode != 0 or match is None:
        raise EnvironmentProblem(
            f"{executable} -version does not name a version; it says: {text[:200]}. {INSTALL_HINT}"
        )
    major = int(match.group(1))
    if major not in SUPPORTED:
        raise EnvironmentProblem(
            f"{executable} is Java {major}; Spark 4.1 is supported on Java {' and '.join(map(str, SUPPORTED))}. "
            f"{INSTALL_HINT}",
            major=major,
        )
    return Java(executable, major, text.splitlines()[0])
