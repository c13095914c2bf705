"""What Python workers have on their path."""

from __future__ import annotations

from pathlib import Path

from feature_mart.delta.python_daemon import without_archives


def test_the_archives_of_the_pyspark_that_is_installed_go(tmp_path: Path) -> None:
    package = tmp_path / "site" / "pyspark"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    kept = ["", str(tmp_path / "site"), str(tmp_path / "mine.zip"), str(package / "python")]
    archives = [str(package / "python" / "lib" / "pyspark.zip"), str(package / "jars" / "spark-core_2.13-4.1.4.jar")]
    assert without_archives([*archives, *kept]) == kept


def test_where_pyspark_is_in_an_archive_alone_it_stays(tmp_path: Path) -> None:
    path = [str(tmp_path / "python" / "lib" / "pyspark.zip"), str(tmp_path)]
    assert without_archives(path) == path
