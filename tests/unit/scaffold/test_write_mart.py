from pathlib import Path

import pytest

from feature_mart.definitions import load_project, validate_project
from feature_mart.errors import UsageError
from feature_mart.scaffold import write_mart


def test_the_new_mart_is_valid_without_a_warning(tmp_path: Path) -> None:
    write_mart(tmp_path / "cafe", "cafe")

    found = validate_project(tmp_path / "cafe", variables={})

    assert [problem.text() for problem in (*found.errors, *found.warnings)] == []


def test_it_returns_what_it_wrote(tmp_path: Path) -> None:
    written = write_mart(tmp_path / "cafe", "cafe")

    assert sorted(written) == sorted(path for path in (tmp_path / "cafe").rglob("*") if path.is_file())
    assert tmp_path / "cafe" / ".gitignore" in written


def test_the_name_is_filled_in_everywhere(tmp_path: Path) -> None:
    written = write_mart(tmp_path / "cafe", "corner_cafe")

    assert load_project(tmp_path / "cafe", variables={}).settings.mart == "corner_cafe"
    assert not [path for path in written if "{{" in path.read_text("utf-8")]


@pytest.mark.parametrize(("given", "name"), [("My Café 2", "my_caf_2"), ("2nd-mart", "n_2nd_mart"), ("ok", "ok")])
def test_a_folder_s_name_becomes_the_nearest_name(tmp_path: Path, given: str, name: str) -> None:
    write_mart(tmp_path / "new", given)

    assert load_project(tmp_path / "new", variables={}).settings.mart == name


def test_every_yaml_file_names_a_schema_that_is_there(tmp_path: Path) -> None:
    for path in write_mart(tmp_path / "cafe", "cafe"):
        if path.suffix == ".yml":
            first = path.read_text("utf-8").splitlines()[0]
            prefix = "# yaml-language-server: $schema="
            assert first.startswith(prefix)
            assert (path.parent / first.removeprefix(prefix)).is_file()


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    assert write_mart(tmp_path, "cafe")


def test_a_folder_that_holds_something_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1")

    with pytest.raises(UsageError) as caught:
        write_mart(tmp_path, "cafe")

    assert str(caught.value) == (
        f"{tmp_path} is not empty (it holds .env). `mart init` needs a folder that is new or empty, so that nothing is "
        "overwritten. Nothing was written; choose another folder."
    )
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cafe").write_text("mine")

    with pytest.raises(UsageError, match="is a file"):
        write_mart(tmp_path / "cafe", "cafe")

    assert (tmp_path / "cafe").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(UsageError, match="could not be written completely"):
        write_mart(tmp_path / "file" / "cafe", "cafe")
