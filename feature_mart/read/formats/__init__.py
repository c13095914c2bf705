"""How files of each format become rows. To add one: a module with a `load` like these, and its line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark.sql import SparkSession

from feature_mart.definitions import Source
from feature_mart.read.files import SourceFile
from feature_mart.read.formats import csv, json, parquet
from feature_mart.read.formats.loaded import Loaded

LoadFiles = Callable[[SparkSession, Source, str, Sequence[SourceFile]], Loaded]

FILE_FORMATS: dict[str, LoadFiles] = {"csv": csv.load, "json": json.load, "parquet": parquet.load}

__all__ = ["FILE_FORMATS", "Loaded"]
