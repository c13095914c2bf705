"""Delta's jars: which they are, and what happens where they are not there."""

from __future__ import annotations

import dataclasses
import hashlib
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest

from feature_mart.delta import jars as module
from feature_mart.delta.jars import JARS, Jar, _proxy_properties, fetch_jars, installed_jars, jar_folders, jars
from feature_mart.errors import EnvironmentProblem

# Plays Ivy: puts what the test wants into the folder that `-retrieve` names.
FAKE_JAVA = """#!/bin/sh
if [ "$1" = -version ]; then echo 'openjdk version "17.0.1"' >&2; exit 0; fi
echo "$@" > "{log}"
for last; do :; done
target=$(dirname "$last")
{body}
"""


def fake_java(tmp_path: Path, body: str) -> dict[str, str]:
    """Variables with a JAVA_HOME whose java runs ``body`` instead of Ivy."""
    program = tmp_path / "java_home" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(FAKE_JAVA.format(log=tmp_path / "arguments", body=body))
    program.chmod(0o755)
    return {"JAVA_HOME": str(tmp_path / "java_home")}


@pytest.fixture
def one_jar(monkeypatch: pytest.MonkeyPatch) -> Jar:
    """The list of jars, reduced to one whose bytes are `bytes`."""
    jar = Jar("org.example", "thing", "1.0", hashlib.sha256(b"bytes").hexdigest())
    monkeypatch.setattr(module, "JARS", (jar,))
    return jar


def test_the_jars_are_those_of_the_installed_delta_spark() -> None:
    spark = ".".join(version("pyspark").split(".")[:2])
    assert JARS[0].module == f"delta-spark_{spark}_2.13"
    assert JARS[0].revision == version("delta-spark")


def test_only_the_default_repository_is_looked_up() -> None:
    settings = ElementTree.parse(module.SETTINGS_FILE).getroot()  # our own file
    resolvers = settings.find("resolvers")
    assert resolvers is not None
    assert [(resolver.tag, resolver.get("root")) for resolver in resolvers] == [("ibiblio", None)]


def test_jars_are_found_in_the_first_folder_that_has_all_of_them(tmp_path: Path) -> None:
    partly, whole = tmp_path / "partly", tmp_path / "whole"
    for folder, names in ((partly, JARS[1:]), (whole, JARS)):
        folder.mkdir()
        for jar in names:
            (folder / jar.file_name).touch()
    assert installed_jars([partly]) is None
    assert installed_jars([partly, whole]) == tuple(whole / jar.file_name for jar in JARS)
    assert jars([partly, whole]) == installed_jars([whole])


def test_folders_are_in_the_environment_and_then_in_the_users_cache() -> None:
    folders = jar_folders({"XDG_CACHE_HOME": "/somewhere/cache"})
    assert folders[1] == Path("/somewhere/cache/feature-mart/jars") / module.DELTA_VERSION


def test_fetched_jars_are_checked_and_put_in_place(tmp_path: Path, one_jar: Jar) -> None:
    variables = fake_java(tmp_path, 'mkdir -p "$target"; printf bytes > "$target/thing-1.0.jar"')
    folder = tmp_path / "jars"
    assert fetch_jars([folder], variables) == (folder / "thing-1.0.jar",)
    assert [path.name for path in folder.iterdir()] == ["thing-1.0.jar"]
    assert f"-settings {module.SETTINGS_FILE}" in (tmp_path / "arguments").read_text()


def test_missing_jars_are_fetched_with_one_line_of_notice(
    tmp_path: Path, one_jar: Jar, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in fake_java(tmp_path, 'mkdir -p "$target"; printf bytes > "$target/thing-1.0.jar"').items():
        monkeypatch.setenv(name, value)
    assert jars([tmp_path / "jars"]) == (tmp_path / "jars" / "thing-1.0.jar",)
    assert capsys.readouterr().err == "feature-mart: fetching Delta's jars (14 MB, once) …\n"
    jars([tmp_path / "jars"])
    assert capsys.readouterr().err == ""


def test_a_jar_with_other_bytes_is_refused(tmp_path: Path, one_jar: Jar) -> None:
    variables = fake_java(tmp_path, 'mkdir -p "$target"; printf other > "$target/thing-1.0.jar"')
    with pytest.raises(EnvironmentProblem) as caught:
        fetch_jars([tmp_path / "jars"], variables)
    assert str(caught.value) == (
        "thing-1.0.jar is not the file that Feature Mart was tested with: its SHA-256 is "
        f"{hashlib.sha256(b'other').hexdigest()}, {one_jar.sha256} was expected. Nothing was installed. "
        "Look at the mirror or proxy in between, then try again."
    )
    assert list((tmp_path / "jars").iterdir()) == []


def test_no_network_says_what_to_look_at(tmp_path: Path, one_jar: Jar) -> None:
    variables = fake_java(tmp_path, "echo 'SERVER ERROR: no route'; exit 1")
    with pytest.raises(EnvironmentProblem) as caught:
        fetch_jars([tmp_path / "jars"], variables)
    assert str(caught.value) == (
        "Delta's jars could not be fetched from Maven Central.\n"
        "Check the network (HTTPS_PROXY is obeyed); behind a mirror, name an Ivy settings file of your own in "
        "FEATURE_MART_IVY_SETTINGS. Then run: python -m feature_mart.delta.jars\n"
        "Ivy said:\n  SERVER ERROR: no route"
    )


def test_a_mirror_s_settings_and_a_proxy_are_handed_to_ivy(tmp_path: Path, one_jar: Jar) -> None:
    variables = fake_java(tmp_path, 'mkdir -p "$target"; printf bytes > "$target/thing-1.0.jar"')
    fetch_jars(
        [tmp_path / "jars"],
        {**variables, "FEATURE_MART_IVY_SETTINGS": "mirror.xml", "HTTPS_PROXY": "http://proxy.example:3128"},
    )
    arguments = (tmp_path / "arguments").read_text()
    assert "-settings mirror.xml" in arguments
    assert "-Dhttps.proxyHost=proxy.example -Dhttps.proxyPort=3128" in arguments


def test_proxy_in_java_s_words() -> None:
    assert _proxy_properties({}) == {}
    assert _proxy_properties({"https_proxy": "http://proxy.example", "no_proxy": "localhost, .example.com"}) == {
        "https.proxyHost": "proxy.example",
        "https.proxyPort": "443",
        "http.nonProxyHosts": "localhost|*.example.com",
    }


def test_no_folder_that_can_be_written(tmp_path: Path, one_jar: Jar) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match=r"can be put nowhere: .*file/jars \(Not a directory\)"):
        fetch_jars([tmp_path / "file" / "jars"], fake_java(tmp_path, "exit 1"))


def test_a_file_that_ivy_left_out(tmp_path: Path, one_jar: Jar) -> None:
    with pytest.raises(EnvironmentProblem, match=r"Ivy ended without an error, but thing-1\.0\.jar is not there"):
        fetch_jars([tmp_path / "jars"], fake_java(tmp_path, 'mkdir -p "$target"'))


def test_digests_are_sha256() -> None:
    assert all(len(jar.sha256) == 64 for jar in JARS)
    assert len({dataclasses.astuple(jar) for jar in JARS}) == len(JARS)
