"""Measures what each setting of the local Spark profile gains: the figures behind docs/adr/0002-local-spark-profile.md.

Every variant runs in processes of its own, in turns with the others, so that a busy moment of the machine hits all of
them. Times are seconds on the clock, and processor seconds of the JVM, which hold on a busy machine too. Of several
rounds the lowest value counts::

    python benchmarks/session_profile.py --rounds 3 --output benchmarks/results/session_profile.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from feature_mart.delta.jars import jars
from feature_mart.delta.profile import jvm_options, local_profile
from feature_mart.delta.session import DELTA_CATALOG, DELTA_EXTENSION

DELTA = {"spark.sql.extensions": DELTA_EXTENSION, "spark.sql.catalog.spark_catalog": DELTA_CATALOG}
# Not measured by itself: where a process may write and listen, and what it may say.
QUIET = {
    name: value
    for name, value in local_profile(jars()).items()
    if name.startswith(("spark.driver.host", "spark.driver.bind", "spark.sql.warehouse", "spark.ui.show"))
}
STEPS = ("start", "first write", "warm write", "warm read", "work")


def variants() -> dict[str, dict[str, str]]:
    """Settings by the name of what is tried."""
    profile = {**DELTA, **local_profile(jars())}
    defaults = {**DELTA, **QUIET, "spark.jars": ",".join(map(str, jars()))}

    def without(*names: str) -> dict[str, str]:
        return {name: value for name, value in profile.items() if name not in names}

    def java(*changes: str, less: str = "") -> dict[str, str]:
        options = [option for option in jvm_options() if not (less and option.startswith(less))]
        return {**profile, "spark.driver.extraJavaOptions": " ".join([*options, *changes])}

    collector = "-XX:+UseParallelGC"
    return {
        "Spark's and Delta's defaults": defaults,
        "the profile": profile,
        "the profile, 200 shuffle partitions": {**profile, "spark.sql.shuffle.partitions": "200"},
        "the profile, 16 shuffle partitions": {**profile, "spark.sql.shuffle.partitions": "16"},
        "the profile, 50 snapshot partitions": {**profile, "spark.databricks.delta.snapshotPartitions": "50"},
        "the profile, with the web UI": {
            **without(*(name for name in profile if ".ui.retained" in name)),
            "spark.ui.enabled": "true",
        },
        "the profile, jars by spark.jars": {
            **without("spark.driver.extraClassPath"),
            "spark.jars": ",".join(map(str, jars())),
        },
        "the profile, 1 GB of heap": {**profile, "spark.driver.memory": "1g"},
        "the profile, G1 collector": java(less=collector),
        "the profile, serial collector": java("-XX:+UseSerialGC", less=collector),
        "the profile, C1 compiler only": java("-XX:TieredStopAtLevel=1"),
        "the profile, C2 as early as by default": java(less="-XX:Tier4"),
        "the profile, no adaptive execution": {**profile, "spark.sql.adaptive.enabled": "false"},
    }


def measure(settings: dict[str, str]) -> dict[str, list[float]]:
    """One run in this process: step -> [seconds, processor seconds of the JVM]."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    clock = time.perf_counter()
    context = SparkContext(conf=SparkConf().setMaster("local[*]").setAll(list(settings.items())))
    spark = SparkSession.builder.getOrCreate()
    process = context._gateway.proc.pid  # type: ignore[union-attr]
    result = {"start": [time.perf_counter() - clock, processor_seconds(process)]}
    folder = tempfile.mkdtemp(prefix="session-profile-")
    table = f"{folder}/three_rows"
    rows = spark.createDataFrame([(1, "a", 1.0), (2, "b", 2.0), (3, "c", 3.0)], "id bigint, name string, amount double")

    def step(name: str, work: object) -> None:
        assert callable(work)
        clock, used = time.perf_counter(), processor_seconds(process)
        work()
        taken = [time.perf_counter() - clock, processor_seconds(process) - used]
        result[name] = min(result.get(name, taken), taken)

    step("first write", lambda: rows.write.format("delta").mode("append").save(table))
    for _ in range(6):
        step("warm write", lambda: rows.write.format("delta").mode("append").save(table))
    for _ in range(3):
        step("warm read", lambda: spark.read.format("delta").load(table).groupBy("id").agg(F.sum("amount")).collect())
    amounts = spark.range(3_000_000).select((F.col("id") * 7919 % 50_000).alias("k"), (F.col("id") % 997).alias("x"))
    totals = amounts.groupBy("k").agg(F.sum("x").alias("total"), F.max("x").alias("largest"))
    joined = amounts.join(totals, "k").repartition("k").sortWithinPartitions("k", "x")
    step("work", lambda: joined.write.format("delta").mode("overwrite").save(f"{folder}/work"))
    context.stop()
    return result


def processor_seconds(process: int) -> float:
    """User and system time of a process so far (Linux; 0 elsewhere)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(measure(json.loads(arguments.run))))
        return
    chosen = {name: settings for name, settings in variants().items() if not arguments.only or name in arguments.only}
    best: dict[str, dict[str, list[float]]] = {name: {} for name in chosen}
    for _ in range(arguments.rounds):
        for name, settings in chosen.items():
            answer = subprocess.run(
                [sys.executable, __file__, "--run", json.dumps(settings)], capture_output=True, text=True, check=True
            )
            for step, values in json.loads(answer.stdout).items():
                before = best[name].get(step, values)
                best[name][step] = [round(min(pair), 2) for pair in zip(before, values, strict=True)]
    print(f"{'seconds (processor seconds)':40}" + "".join(f"{step:>17}" for step in STEPS))
    for name, steps in best.items():
        print(f"{name:40}" + "".join(f"{f'{steps[step][0]:.2f} ({steps[step][1]:.2f})':>17}" for step in STEPS))
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(best, indent=2) + "\n")


if __name__ == "__main__":
    main()
