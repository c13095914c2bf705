"""The jars that make Spark speak Delta: which they are, where they lie, and how they get there.

``python -m feature_mart.delta.jars`` (part of every ``make`` target's set-up) fetches them once, with the Ivy that
ships inside pyspark; after that, no start of a session needs a network. They are fetched by name and checked against
the digests below, so a set-up gets the same bytes everywhere, and nothing but Maven Central is asked.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feature_mart.delta.java import find_java
from feature_mart.errors import EnvironmentProblem

DELTA_VERSION = "4.4.0"
SETTINGS_FILE = Path(__file__).with_name("ivysettings.xml")


@dataclass(frozen=True)
class Jar:
    """One jar by its Maven coordinates, and the digest of its bytes."""

    organisation: str
    module: str
    revision: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name under which Maven Central and we keep it."""
        return f"{self.module}-{self.revision}.jar"


# What io.delta:delta-spark_4.1_2.13 depends on, less what ships inside pyspark itself (Hadoop, Parquet, Jackson,
# log4j, Scala: 78 MB of a second copy, in parts of another version). tests/unit/test_jars.py holds this list against
# the installed delta-spark. To renew it: change the version, run this module, take over the digests that it names.
JARS = (
    Jar(
        *("io.delta", "delta-spark_4.1_2.13", DELTA_VERSION),
        sha256="75a9400986853c061f5109f012547de2545a5759e5e752e5ef633dabe16a4f10",
    ),
    Jar(
        *("io.delta", "delta-storage", DELTA_VERSION),
        sha256="c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
    ),
    Jar(
        *("io.delta", "delta-kernel-api", DELTA_VERSION),
        sha256="ee9b5a14ac3b7efdff4d61a58478fe8eb0e5a3fbca43889dca7290795fe79a11",
    ),
    Jar(
        *("io.delta", "delta-kernel-defaults", DELTA_VERSION),
        sha256="225c975199e4718b38ee5b7e6da7f19e9585024262b2cec2656b32151a856b0b",
    ),
    Jar(
        *("io.delta", "delta-kernel-unitycatalog", DELTA_VERSION),
        sha256="cea22dfb4ac562b3cd27bf652697750e8336009d73fb06631363aaaad5345ffa",
    ),
    Jar(
        *("io.unitycatalog", "unitycatalog-client", "0.6.0"),
        sha256="48257499a86b801a3e2372cec55ac226ca1c1c7eabe5c118e7302f29a1fdbc19",
    ),
    Jar(
        *("io.unitycatalog", "unitycatalog-hadoop", "0.6.0"),
        sha256="c47b63c961c87102b9e1d63809a0915ba4c86b7652f57c8d39ca3a05b441a150",
    ),
    Jar(
        *("org.locationtech.jts", "jts-core", "1.20.0"),
        sha256="6a783d8f9dba3d3cf7265435f134402f63c05838aa6cbcc4297ad3a5b2842baf",
    ),
)


def jar_folders(variables: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Where the jars may lie, best first: inside the virtual environment, else in the user's cache."""
    cache = Path(variables.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (
        Path(sys.prefix) / "share" / "feature-mart" / "jars" / DELTA_VERSION,
        cache / "feature-mart" / "jars" / DELTA_VERSION,
    )


def installed_jars(folders: Sequence[Path] | None = None) -> tuple[Path, ...] | None:
    """The jars, if one folder holds all of them; else None. Looks at names only: it runs at each session's start."""
    for folder in jar_folders() if folders is None else folders:
        paths = tuple(folder / jar.file_name for jar in JARS)
        if all(path.is_file() for path in paths):
            return paths
    return None


def jars(folders: Sequence[Path] | None = None) -> tuple[Path, ...]:
    """The jars; fetched now, with one line that says so, if set-up has not done it.

    Raises:
        EnvironmentProblem: they are missing and cannot be fetched.
    """
    present = installed_jars(folders)
    if present is not None:
        return present
    print("feature-mart: fetching Delta's jars (14 MB, once) …", file=sys.stderr, flush=True)
    return fetch_jars(jar_folders() if folders is None else folders)


def fetch_jars(folders: Sequence[Path], variables: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Fetch all jars into the first of ``folders`` that can be written, check them, and return their paths.

    Raises:
        EnvironmentProblem: no Java, no folder that can be written, no network, or a jar with other bytes.
    """
    java = find_java(variables)
    folder = _writable(folders)
    # Two set-ups may run at once: each works in a folder of its own, and puts whole, checked files in place.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        fetched = Path(scratch) / "jars"
        _run_ivy(java.executable, Path(scratch), fetched, variables)
        for jar in JARS:
            _check_digest(jar, fetched / jar.file_name)
        for jar in JARS:
            (fetched / jar.file_name).replace(folder / jar.file_name)
    return tuple(folder / jar.file_name for jar in JARS)


def _writable(folders: Sequence[Path]) -> Path:
    refused: list[str] = []
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            refused.append(f"{folder} ({error.strerror})")
            continue
        if os.access(folder, os.W_OK):
            return folder
        refused.append(f"{folder} (not writable)")
    raise EnvironmentProblem(
        f"Delta's jars can be put nowhere: {', '.join(refused)}. Make one of these folders writable, or set "
        "XDG_CACHE_HOME to a folder that is."
    )


def _run_ivy(java: str, scratch: Path, target: Path, variables: Mapping[str, str]) -> None:
    dependencies = "\n".join(
        f'    <dependency org="{jar.organisation}" name="{jar.module}" rev="{jar.revision}" transitive="false"/>'
        for jar in JARS
    )
    wanted = scratch / "ivy.xml"
    wanted.write_text(
        f'<ivy-module version="2.0">\n  <info organisation="feature-mart" module="jars"/>\n'
        f"  <dependencies>\n{dependencies}\n  </dependencies>\n</ivy-module>\n",
        encoding="utf-8",
    )
    settings = variables.get("FEATURE_MART_IVY_SETTINGS") or str(SETTINGS_FILE)
    command = [
        java,
        *(f"-D{name}={value}" for name, value in _proxy_properties(variables).items()),
        f"-Dfeature_mart.ivy.cache={scratch / 'cache'}",
        *("-cp", _ivy_jar(), "org.apache.ivy.Main"),
        *("-settings", settings, "-ivy", str(wanted), "-warn"),
        *("-retrieve", f"{target}/[artifact]-[revision].[ext]"),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if answer.returncode != 0 or not target.is_dir():
        lines = [line.strip() for line in (answer.stdout + answer.stderr).splitlines() if line.strip(" .")]
        said = "\n  ".join(lines[-12:])
        raise EnvironmentProblem(
            "Delta's jars could not be fetched from Maven Central.\n"
            "Check the network (HTTPS_PROXY is obeyed); behind a mirror, name an Ivy settings file of your own in "
            "FEATURE_MART_IVY_SETTINGS. Then run: python -m feature_mart.delta.jars\n"
            f"Ivy said:\n  {said}"
        )


def _ivy_jar() -> str:
    # Found without importing pyspark, which takes half a second.
    from importlib.util import find_spec

    spec = find_spec("pyspark")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for folder in folders for path in sorted(Path(folder, "jars").glob("ivy-*.jar"))]
    if not found:
        raise EnvironmentProblem("pyspark is not installed, or without its jars. Run: pip install pyspark==4.1.4")
    return str(found[0])


def _proxy_properties(variables: Mapping[str, str]) -> dict[str, str]:
    """Java does not read HTTPS_PROXY; say the same in its words."""
    from urllib.parse import urlsplit

    proxy = urlsplit(variables.get("HTTPS_PROXY") or variables.get("https_proxy") or "")
    if not proxy.hostname:
        return {}
    properties = {"https.proxyHost": proxy.hostname, "https.proxyPort": str(proxy.port or 443)}
    bypass = variables.get("NO_PROXY") or variables.get("no_proxy") or ""
    hosts = [f"*{host}" if host.startswith(".") else host for host in bypass.replace(" ", "").split(",") if host]
    return {**properties, "http.nonProxyHosts": "|".join(hosts)} if hosts else properties


def _check_digest(jar: Jar, path: Path) -> None:
    if not path.is_file():
        raise EnvironmentProblem(f"Ivy ended without an error, but {jar.file_name} is not there. Run the set-up again.")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise EnvironmentProblem(
            f"{jar.file_name} is not the file that Feature Mart was tested with: its SHA-256 is {found}, "
            f"{jar.sha256} was expected. Nothing was installed. Look at the mirror or proxy in between, then try again."
        )


def main() -> int:
    """Fetch what is missing; say one line."""
    present = installed_jars()
    if present is None:
        try:
            present = fetch_jars(jar_folders())
        except EnvironmentProblem as problem:
            print(f"Error: {problem}", file=sys.stderr)
            return problem.exit_code
        print(f"Delta's {len(present)} jars are in {present[0].parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
