"""Training sets that are kept: made again they are equal, or what differs is named with its cause."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from feature_mart import FeatureStore, TableError, UsageError
from feature_mart.cli.main import main
from feature_mart.delta.session import engine_session
from feature_mart.testing import FixedClock, tiny_pipeline, write_files, write_tiny_mart

NAME = "orders_jan"
TABLE = f"training_set__{NAME}"
VIEW = "customer_orders"
PIPELINE = "pipelines/daily.yml"
LATER_FILE = "data/orders/2011-01-02.csv"
HEADER = "customer_id,order_no,ordered_at,amount\n"
FILES = {
    "features/orders.sql": """
        select customer_id, ordered_at, order_no, amount, map('whole', amount, 'half', amount / 2) as parts
        from orders
        """,
    "metadata/feature_views/customer_orders.yml": """
        feature_view: customer_orders
        description: What a customer ordered.
        owner: growth@example.com
        features:
          order_no: {description: The number of the order.}
          amount: {description: Its value., default: 0}
          parts: {description: Its value in parts.}
        """,
}
SERVICES = f"""
    feature_services:
      churn_v1: {{description: Churn., owner: ml@example.com, features: ["{VIEW}:amount"]}}
      churn_v2: {{description: Churn., owner: ml@example.com, features: ["{VIEW}:order_no", "{VIEW}:amount"]}}
    """
SPINE = pd.DataFrame(
    {
        "customer_id": [1, 2, 1, 9],
        "event_timestamp": pd.to_datetime(
            ["2011-01-01 12:00", "2011-01-02 12:00", "2011-01-03 00:00", "2011-01-02 00:00"], utc=True
        ),
        "label": [True, False, None, True],
    }
)
OPEN = Callable[[], FeatureStore]


def opened(root: Path, spark: SparkSession) -> FeatureStore:
    return FeatureStore(root, spark=spark, now=FixedClock("2011-01-03T12:00:00Z"), variables={})


@pytest.fixture(scope="module")
def saved(started_spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mart with one version of its view, a training set made from that, and then a second version."""
    root = write_tiny_mart(tmp_path_factory.mktemp("mart"), FILES, ttl="36h")
    store = opened(root, engine_session(started_spark))
    store.build()
    store.get_historical_features(SPINE, VIEW).save(NAME)
    write_files(root, {LATER_FILE: HEADER + "1,c,2011-01-02 09:30:00,99.0\n"})
    opened(root, engine_session(started_spark)).build()
    return root


@pytest.fixture
def damaged(saved: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def mart(root: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["training-set", *arguments, "--mart", str(root)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def change_row(root: Path) -> None:
    """What another program does that writes one value anew."""
    table = DeltaTable(str(root / "warehouse" / TABLE))
    table.update(updates={"amount": "7.25"}, predicate="_spine_row = 1")


def test_it_is_made_again_from_the_versions_that_it_names(saved: Path, spark: SparkSession) -> None:
    store = opened(saved, spark)
    found = store.training_set(NAME)
    assert found.to_df()["amount"].tolist() == [5.0, 7.5, 2.5, 0.0]
    assert [view["version"] for view in found.manifest["views"]] == [0]
    assert store.get_historical_features(SPINE, VIEW).to_df()["amount"].tolist() == [5.0, 7.5, 99.0, 0.0]
    verified = found.verify()
    assert verified.to_json() == {
        "name": NAME,
        "rows": 4,
        "is_kept": True,
        "is_equal": True,
        "differing_rows": 0,
        "differing_columns": {},
        "examples": (),
        "reasons": (),
        "changes": (),
    }
    assert found.to_spark_df().columns == [*SPINE.columns, "order_no", "amount", "parts"]
    result = mart(saved, "verify", NAME)
    assert result.stdout == f"{NAME}: 4 rows made again, equal to the last bit\n"
    told = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert told[-3:-1] == [
        f"… {NAME} making 4 rows again: {VIEW} v0",
        f"{NAME} the rows that are kept are those that were saved",
    ]
    assert told[-1].startswith(f"✓ {NAME} equal to the last bit (")


def test_a_manifest_is_plain_data_that_tells_what_it_was_made_from(saved: Path, spark: SparkSession) -> None:
    [manifest] = opened(saved, spark).training_sets()
    assert json.loads(json.dumps(manifest)) == manifest
    assert (manifest["name"], manifest["rows"], manifest["asked"]) == (NAME, 4, [VIEW])
    assert manifest["spine"]["columns"] == ["customer_id", "event_timestamp", "label"]
    [view] = manifest["views"]
    made = opened(saved, spark).history(VIEW)[-1]
    assert (view["definition_hash"], view["run_id"]) == (made["definition_hash"], made["run_id"])
    assert view["ttl"] == 36 * 3600 * 10**6
    assert manifest["statistics"]["amount"] == {"type": "double", "nulls": 0, "min": 0.0, "max": 7.5}
    assert manifest["statistics"]["order_no"] == {"type": "string", "nulls": 1, "min": "a", "max": "c"}


def test_list_and_show_start_no_spark(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> SparkSession:
        raise AssertionError("Spark is started")

    monkeypatch.setattr("feature_mart.delta.lazy.LazySession.__call__", refuse)
    assert json.loads(mart(saved, "list", "--json").stdout)[0]["name"] == NAME
    listed = mart(saved, "list").stdout
    assert f"{NAME}" in listed
    assert f"{VIEW} v0" in listed
    shown = mart(saved, "show", NAME).stdout
    manifest = json.loads(mart(saved, "show", NAME, "--json").stdout)
    for text in (
        f"training set {NAME} of mart tiny\n",
        f"rows     4, digest {manifest['digest']}\n",
        f"view     {VIEW}, version 0: 3 features by customer_id; definition ",
    ):
        assert text in shown
    assert [line.split() for line in shown.splitlines() if line.startswith((" amount", " label"))] == [
        ["label", "boolean", "1", "false", "true"],
        ["amount", "double", "0", "0.0", "7.5"],
    ]
    missing = mart(saved, "show", "orders_jam")
    assert (missing.exit_code, missing.stderr) == (
        2,
        f"Error: there is no training set 'orders_jam'. Known: {NAME}. Did you mean {NAME}? "
        "`mart training-set list` lists them.\n",
    )


def test_a_rule_that_changed_since_is_told_and_changes_nothing(damaged: Path, spark: SparkSession) -> None:
    metadata = FILES["metadata/feature_views/customer_orders.yml"].replace("default: 0", "default: 1")
    logic = FILES["features/orders.sql"].replace("amount / 2", "amount / 4")
    changes = {
        PIPELINE: tiny_pipeline(ttl="1h", available_after="3h"),
        "metadata/feature_views/customer_orders.yml": metadata,
        "features/orders.sql": logic,
    }
    write_files(damaged, changes)
    store = opened(damaged, spark)
    verified = store.verify_training_set(NAME)
    assert verified.is_equal
    definition, *rules = verified.changes
    assert definition.startswith(f"view {VIEW}: the definition was ")
    assert rules == [
        f"view {VIEW}: available_after was 0d and is 3h",
        f"view {VIEW}: ttl was 36h and is 1h",
        f"{VIEW}:amount: default was 0 and is 1",
    ]
    assert f"changed  view {VIEW}: ttl was 36h and is 1h\n" in mart(damaged, "show", NAME).stdout


def test_a_version_that_something_else_vacuumed_is_named(damaged: Path, spark: SparkSession) -> None:
    table = DeltaTable(str(damaged / "warehouse" / VIEW))
    removed = table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert removed
    result = mart(damaged, "verify", NAME)
    assert result.exit_code == 1
    assert f"{NAME}: not proven equal; the rows that are kept are those that were saved\n" in result.stdout
    assert f"  why: view {VIEW}, version 0: 1 file missing, removed by VACUUM or by hand: " in result.stdout
    shutil.rmtree(damaged / "warehouse" / VIEW)
    assert opened(damaged, spark).verify_training_set(NAME).reasons == (f"view {VIEW}, version 0: its table is gone.",)


def test_a_view_whose_table_was_made_anew_is_named(damaged: Path, spark: SparkSession) -> None:
    shutil.rmtree(damaged / "warehouse" / VIEW)
    write_deltalake(str(damaged / "warehouse" / VIEW), pa.table({"customer_id": [1]}))
    assert opened(damaged, spark).verify_training_set(NAME).reasons == (
        f"view {VIEW}, version 0: its table was made anew since, and the one that was read is gone.",
    )


def test_a_row_that_another_program_changed_is_shown_with_its_keys(damaged: Path, spark: SparkSession) -> None:
    change_row(damaged)
    found = opened(damaged, spark).training_set(NAME)
    verified = found.verify()
    assert not verified.is_kept
    assert (verified.differing_rows, verified.differing_columns) == (1, {"amount": 1})
    assert verified.examples == (
        {
            "spine_row": 1,
            "keys": {"customer_id": 2, "event_timestamp": "2011-01-02T12:00:00Z"},
            "found": "in both",
            "columns": {"amount": {"kept": 7.25, "again": 7.5}},
        },
    )
    assert verified.reasons[0] == f"the rows of {TABLE} are not those that were saved"
    assert verified.reasons[1].startswith(f"version 1 of {TABLE} was committed after it was saved (UPDATE, ")
    # What was saved is still there, and is what is read.
    assert found.to_df()["amount"].tolist() == [5.0, 7.5, 2.5, 0.0]
    result = mart(damaged, "verify", NAME)
    assert result.exit_code == 1
    assert (
        "    spine row 1 (customer_id=2, event_timestamp=2011-01-02T12:00:00Z): amount: kept 7.25, made again 7.5\n"
    ) in result.stdout


def test_rows_that_went_and_maps_that_differ_are_found(damaged: Path, spark: SparkSession) -> None:
    path = str(damaged / "warehouse" / TABLE)
    spark.sql(f"delete from delta.`{path}` where _spine_row = 3")
    spark.sql(f"update delta.`{path}` set parts = map('half', 2.5D, 'whole', 5.0D) where _spine_row = 0")
    spark.sql(f"update delta.`{path}` set parts = map('whole', 2.5D, 'half', 1.0D) where _spine_row = 2")
    verified = opened(damaged, spark).verify_training_set(NAME)
    # Entries of a map have no order: row 0 holds what it held.
    assert (verified.differing_rows, verified.differing_columns) == (2, {"parts": 1})
    assert [(example["spine_row"], example["found"]) for example in verified.examples] == [
        (2, "in both"),
        (3, "only made again"),
    ]
    assert dict(verified.examples[0]["columns"]["parts"]["kept"]) == {"whole": 2.5, "half": 1.0}
    assert dict(verified.examples[0]["columns"]["parts"]["again"]) == {"whole": 2.5, "half": 1.25}
    assert f"{TABLE} has 3 rows; 4 were saved" in verified.reasons


def test_a_name_that_is_taken_or_none_loses_nothing(saved: Path, spark: SparkSession) -> None:
    job = opened(saved, spark).get_historical_features(SPINE.head(1), VIEW)
    with pytest.raises(UsageError, match=f"there is a training set {NAME} already, which stays as it is"):
        job.save(NAME)
    for name in ("", "Orders", "1st", "orders-jan", "../orders", "_orders"):
        with pytest.raises(UsageError, match="is no name of a training set: write lower-case letters"):
            job.save(name)
        with pytest.raises(UsageError, match="there is no training set"):
            opened(saved, spark).training_set(name)
    assert opened(saved, spark).verify_training_set(NAME).is_equal
    assert DeltaTable(str(saved / "warehouse" / TABLE)).version() == 0


@pytest.mark.parametrize(("name", "told"), [(NAME, f"there is a training set {NAME} already"), ("Jan", "'Jan' is no")])
def test_a_name_that_cannot_be_had_is_refused_before_the_spine_is_read(
    saved: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    def refuse(*_: Any) -> SparkSession:
        raise AssertionError("Spark is started")

    monkeypatch.setattr("feature_mart.delta.lazy.LazySession.__call__", refuse)
    refused = mart(saved, "create", name, "--spine", "nowhere.csv", "--features", VIEW)
    assert (refused.exit_code, refused.stderr.count(told)) == (2, 1)


def test_a_spine_without_rows(damaged: Path, spark: SparkSession) -> None:
    store = opened(damaged, spark)
    manifest = store.get_historical_features(SPINE.head(0), VIEW).save("nobody")
    assert (manifest["rows"], manifest["spine"]["rows"]) == (0, 0)
    assert manifest["statistics"]["amount"] == {"type": "double", "nulls": 0, "min": None, "max": None}
    found = store.training_set("nobody")
    assert found.verify().is_equal
    assert found.to_arrow().num_rows == 0
    assert [entry["name"] for entry in store.training_sets()] == ["nobody", NAME]


def test_digests_depend_on_rows_alone(damaged: Path, spark: SparkSession) -> None:
    store = opened(damaged, spark)
    digest = store.training_set(NAME).manifest["spine"]["digest"]
    path = damaged / "spine.parquet"
    SPINE.assign(label=SPINE["label"].astype("boolean")).to_parquet(path, coerce_timestamps="us")
    in_parts = spark.createDataFrame(store.training_set(NAME).to_arrow().select(list(SPINE.columns))).repartition(3)
    of_file = store.get_historical_features("spine.parquet", VIEW, versions={VIEW: 0}).save("of_file")
    assert of_file["spine"]["digest"] == digest
    assert of_file["digest"] == store.training_set(NAME).manifest["digest"]
    ordered = in_parts.orderBy("customer_id", "event_timestamp").coalesce(1)
    sets = [
        store.get_historical_features(frame, VIEW, versions={VIEW: 0}).save(f"of_frame_{number}")
        for number, frame in enumerate((ordered, ordered.repartitionByRange(2, "customer_id", "event_timestamp")))
    ]
    assert len({manifest["digest"] for manifest in sets}) == 1


def test_create_on_the_command_line(damaged: Path, started_spark: SparkSession) -> None:
    SPINE.rename(columns={"customer_id": "buyer"}).to_csv(damaged / "spine.csv", index=False)
    arguments = ["create", "by_hand", "--spine", str(damaged / "spine.csv"), "--features", f"{VIEW}@buyer:amount"]
    more = [f"{VIEW}@buyer:order_no", "--join-key", "buyer.customer_id=buyer", "--version", f"{VIEW}=0"]
    made = mart(damaged, *arguments, *more)
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith(f"by_hand: 4 rows with 2 features, from {VIEW} v0\ndigest ")
    assert mart(damaged, "verify", "by_hand").exit_code == 0
    assert "customer_id in buyer" in mart(damaged, "show", "by_hand").stdout
    lines = [" ".join(line.split()) for line in made.stderr.splitlines()]
    assert lines[-3:-1] == [
        "… by_hand reading the spine: spine.csv",
        f"by_hand joining 4 rows with 2 features: {VIEW} v0",
    ]
    assert lines[-1].startswith("✓ by_hand saved 4 rows (")
    for wrong, told in (
        (["--join-key", "buyer=buyer"], "--join-key 'buyer=buyer': write ALIAS.KEY=COLUMN"),
        (["--service", "churn"], "--service 'churn': there is no such feature service. Known: (none)."),
    ):
        refused = mart(damaged, *arguments, *wrong)
        assert refused.exit_code == 2
        assert told in refused.stderr


def test_a_set_that_is_dropped_needs_no_version_and_gives_its_name_back(damaged: Path, spark: SparkSession) -> None:
    store = opened(damaged, spark)
    store.get_historical_features(SPINE.head(1), f"{VIEW}:amount", versions={VIEW: 0}).save("other")

    def reasons() -> set[str]:
        [told] = store.vacuum(VIEW, dry_run=True)
        return {why for pinned in told["pinned"] for why in pinned["why"] if why.startswith("training set")}

    assert reasons() == {f"training set {NAME}", "training set other"}
    missing = mart(damaged, "drop", "orders_jam")
    assert (missing.exit_code, missing.stderr.count(f"Did you mean {NAME}?")) == (2, 1)
    assert mart(damaged, "drop", NAME).stdout == f"{NAME}: dropped; other training sets need the same versions\n"
    assert reasons() == {"training set other"}
    assert [manifest["name"] for manifest in store.training_sets()] == ["other"]
    assert mart(damaged, "drop", "other").stdout == f"other: dropped; no training set needs any more: {VIEW} v0\n"
    assert reasons() == set()
    assert not list((damaged / "warehouse").glob("training_set__*"))
    for command in ("show", "verify", "drop"):
        gone = mart(damaged, command, NAME)
        assert (gone.exit_code, gone.stderr.count("there is no training set 'orders_jan'. Known: (none).")) == (2, 1)
    store.get_historical_features(SPINE, VIEW).save(NAME)
    again = store.training_set(NAME)
    assert [view["version"] for view in again.manifest["views"]] == [1]
    assert again.to_df()["amount"].tolist() == [5.0, 7.5, 99.0, 0.0]
    assert again.drop() == [(VIEW, 1)]


def test_a_drop_that_cannot_be_finished_is_told(damaged: Path, spark: SparkSession) -> None:
    found = opened(damaged, spark).training_set(NAME)
    (damaged / "warehouse" / f".dropped-{TABLE}").write_text("in the way")
    with pytest.raises(TableError, match=f"what was dropped of table {TABLE} cannot be removed: remove .* by hand"):
        found.drop()
    assert found.verify().is_equal


def test_what_a_stopped_drop_left_is_no_set_and_goes_with_the_next_of_the_name(
    damaged: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, left = opened(damaged, spark), damaged / "warehouse" / f".dropped-{TABLE}"
    with monkeypatch.context() as patch:
        patch.setattr("feature_mart.delta.stored_files.shutil.rmtree", _stopped_once_there_is_something)
        with pytest.raises(KeyboardInterrupt):
            store.training_set(NAME).drop()
    assert left.is_dir()
    assert store.training_sets() == []
    assert TABLE not in "".join(store._workspace.tables.names())
    store.get_historical_features(SPINE.head(1), f"{VIEW}:amount").save(NAME)
    assert not left.exists()
    assert [manifest["name"] for manifest in store.training_sets()] == [NAME]
    assert store.verify_training_set(NAME).is_equal


def _stopped_once_there_is_something(folder: Path, **_: Any) -> None:
    if folder.exists():
        raise KeyboardInterrupt


def test_two_arms_over_one_spine(damaged: Path, spark: SparkSession) -> None:
    write_files(damaged, {"metadata/feature_services.yml": SERVICES})
    store = opened(damaged, spark)
    other = {"other": {"customer_id": "customer_id"}}
    asked = {"control": "churn_v1", "candidate": ["churn_v2", f"{VIEW}@other:order_no"]}
    job = store.get_historical_features(SPINE, asked, join_keys=other)
    # The view that both have is joined once, and so is the feature of it that both have.
    assert [(view.how.alias, dict(view.how.features)) for view in job.views] == [
        (None, {"amount": ("control__amount", "candidate__amount"), "order_no": ("candidate__order_no",)}),
        ("other", {"order_no": ("candidate__other__order_no",)}),
    ]
    rows = job.to_arrow()
    for arm, features in asked.items():
        keys = other if arm == "candidate" else None
        alone = store.get_historical_features(SPINE, features, join_keys=keys).to_arrow()
        assert rows.select([*SPINE.columns, *job.arms[arm]]).rename_columns(alone.column_names) == alone
    assert job.describe().loc["control__amount"].equals(job.describe().loc["candidate__amount"])
    arguments = ["--service", "control=churn_v1", "--service", "candidate=churn_v2", f"candidate={VIEW}@other:order_no"]
    SPINE.to_csv(damaged / "spine.csv", index=False)
    made = mart(damaged, "create", "arms", "--spine", str(damaged / "spine.csv"), *arguments)
    assert made.exit_code == 0, made.output
    found = store.training_set("arms")
    assert found.to_arrow().select([name for arm in job.arms.values() for name in arm]) == rows.select(
        [name for arm in job.arms.values() for name in arm]
    )
    assert found.manifest["services"] == ["churn_v1", "churn_v2"]
    assert found.manifest["arms"]["control"] == {
        "asked": ["churn_v1"],
        "services": ["churn_v1"],
        "columns": ["control__amount"],
    }
    assert found.verify().is_equal
    assert "asked    control: churn_v1 (1 column)\n" in mart(damaged, "show", "arms").stdout
    refused = mart(damaged, "create", "more", "--spine", "spine.csv", "--service", "a=churn_v1", "--features", VIEW)
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"Error: {VIEW} is of no arm, and others are: a. Write ARM={VIEW}, or no arm at all.\n",
    )


def test_a_manifest_is_attached_to_a_run_of_mlflow(
    saved: Path, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    found = opened(saved, spark).training_set(NAME)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    try:
        with mlflow.start_run() as run:
            found.log_to_mlflow(run)
        with mlflow.start_run() as other:
            found.log_to_mlflow(other.info.run_id)
        for run_id in (run.info.run_id, other.info.run_id):
            assert mlflow.artifacts.load_dict(f"runs:/{run_id}/training_sets/{NAME}.json") == found.manifest
            tags = mlflow.get_run(run_id).data.tags
            assert tags["feature_mart.training_set"] == NAME
            assert tags["feature_mart.training_set_digest"] == found.manifest["digest"]
    finally:
        mlflow.set_tracking_uri(before)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match=r"MLflow is not installed: pip install 'feature-mart\[mlflow\]'"):
        found.log_to_mlflow(run.info.run_id)
