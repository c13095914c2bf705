"""The local Spark profile: what makes Spark and Delta quick on one machine. A cluster never gets it.

Spark's and Delta's defaults are made for hundreds of cores: 200 shuffle partitions, 50 partitions to read a table's
log. On a laptop each of them is a task of some milliseconds with nothing to do. docs/adr/0002-local-spark-profile.md
has what each setting was measured to gain; ``benchmarks/session_profile.py`` measures it again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

GIBIBYTE = 1 << 30
LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")


def is_local(master: str) -> bool:
    """Whether this master runs everything inside the driver's own JVM (``local``, ``local[4]``, ``local[*, 2]``)."""
    return master == "local" or master.startswith("local[")


def local_profile(jars: Sequence[Path], cores: int | None = None, memory: int | None = None) -> dict[str, str]:
    """Settings for a local master. Only whole-process settings and speed: what decides results is in `session`.

    Args:
        jars: Delta's jars.
        cores: Of this machine, unless given.
        memory: Bytes of memory that this process may use, unless given.
    """
    cores = cores or os.cpu_count() or 2
    return {
        # --- what a small write waits for ---
        # Tasks per shuffle. Adaptive execution merges small partitions after the fact, but each one has been a task by
        # then, and a file of shuffle output. Never fewer than the cores, so that real work uses the machine.
        "spark.sql.shuffle.partitions": str(max(4, cores)),
        # Tasks that replay a table's log (50 by default), several times per commit.
        "spark.databricks.delta.snapshotPartitions": "2",
        # No web server, and no memory of past jobs that only it would show.
        "spark.ui.enabled": "false",
        "spark.ui.retainedJobs": "1",
        "spark.ui.retainedStages": "1",
        "spark.ui.retainedTasks": "1",
        "spark.sql.ui.retainedExecutions": "1",
        # The engine shows progress of its own, in its user's words; stage numbers are none.
        "spark.ui.showConsoleProgress": "false",
        # Opening a local file costs far less than the 4 MB of reading that Spark plans for: more files per task.
        "spark.sql.files.openCostInBytes": "65536",
        # Hundreds of local paths are listed faster by the driver's own threads than by a Spark job.
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
        # Python workers whose tasks start without reading Spark's archives.
        "spark.python.daemon.module": "feature_mart.delta.python_daemon",
        # --- the process ---
        "spark.driver.memory": f"{driver_memory(memory) >> 20}m",
        "spark.driver.extraJavaOptions": " ".join(jvm_options()),
        # On the class path instead of `spark.jars`, which copies each jar into a folder of its own and serves it over
        # HTTP to executors that don't exist here.
        "spark.driver.extraClassPath": os.pathsep.join(map(str, jars)),
        # Works without a network, behind a VPN, and on a machine whose name does not resolve; nobody else can connect.
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # --- nothing is left in the folder that `mart` was called in ---
        # No Hive metastore (metastore_db, derby.log); tables are addressed by their path.
        "spark.sql.catalogImplementation": "in-memory",
        # Spark makes this folder when somebody saves a table without a path.
        "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / f"feature-mart-spark-warehouse-{os.getpid()}"),
    }


def jvm_options() -> tuple[str, ...]:
    """Options of the driver's JVM."""
    return (
        # With few cores and a heap of some gigabytes, G1's concurrent threads compete with the tasks.
        "-XX:+UseParallelGC",
        # The second compiler starts ten times later than by default. A command's JVM lives for seconds: optimizing
        # code that then runs a moment longer took a tenth to a quarter of Spark's start, on cores that the start
        # itself needs. What real work runs in its inner loops is still optimized within a second or two.
        "-XX:Tier4InvocationThreshold=50000",
        "-XX:Tier4MinInvocationThreshold=6000",
        "-XX:Tier4CompileThreshold=150000",
        "-XX:Tier4BackEdgeThreshold=400000",
        f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}",
        # Java dates printed by anything inside (file names, logs) do not depend on where the machine stands.
        "-Duser.timezone=UTC",
    )


def driver_memory(memory: int | None = None) -> int:
    """Bytes for the driver's heap: a quarter of the memory, at least 1 GiB (Spark's default), at most 8 GiB."""
    total = memory_limit() if memory is None else memory
    return max(GIBIBYTE, min(8 * GIBIBYTE, total // 4))


def memory_limit(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may use: the container's limit where there is one, else the machine's memory."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        machine = 4 * GIBIBYTE
    for limit in (groups / "memory.max", groups / "memory" / "memory.limit_in_bytes"):
        try:
            text = limit.read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # version 2 says `max` where there is no limit
            return min(machine, int(text))
    return machine
