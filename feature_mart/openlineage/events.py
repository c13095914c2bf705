"""Facts of a step become an OpenLineage event. The only module that knows OpenLineage's model; needs its client."""

from __future__ import annotations

from typing import Any

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    column_lineage_dataset,
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
)

from feature_mart.definitions.lineage.model import DIRECT, InputColumn, Kind, ViewLineage, in_order
from feature_mart.openlineage.facts import DatasetFacts, StepFacts
from feature_mart.records import iso
from feature_mart.version import VERSION

PRODUCER = f"urn:feature-mart:{VERSION}"
# What a definition says is in git; the commit's other facts are small.
_PROVENANCE = (
    *("pipeline", "feature_view", "definition_hash", "git_commit", "git_dirty", "intervals", "horizon", "inputs"),
    *("rows", "checks", "engine", "reason"),
)


@attr.define
class ProvenanceRunFacet(RunFacet):
    """What the Delta commit of the step says of itself (docs/concepts.md)."""

    mart: str
    run_id: str
    provenance: dict[str, Any] = attr.field(factory=dict)


def event_of(facts: StepFacts, lineage: ViewLineage | None) -> RunEvent:
    """The event of a step; ``lineage`` is that of the view it builds."""
    return RunEvent(
        eventType=RunState[facts.state],
        eventTime=iso(facts.at),
        run=Run(facts.run_id, _run_facets(facts)),
        job=Job(facts.run.mart, facts.job, _job_facets(facts)),
        inputs=[
            InputDataset(given.namespace, given.name, facets=_dataset_facets(given))
            for _, given in sorted(facts.inputs.items())
        ],
        outputs=[] if facts.output is None else [_output(facts, facts.output, lineage)],
        producer=PRODUCER,
    )


def _run_facets(facts: StepFacts) -> dict[str, RunFacet]:
    run, said = facts.run, facts.provenance or {}
    facets: dict[str, RunFacet] = {
        "nominalTime": nominal_time_run.NominalTimeRunFacet(iso(run.horizon), producer=PRODUCER),
        "featureMart_provenance": ProvenanceRunFacet(
            run.mart, run.run_id, {key: said[key] for key in _PROVENANCE if key in said}, producer=PRODUCER
        ),
    }
    if facts.name is not None:
        facets["parent"] = parent_run.ParentRunFacet(
            parent_run.Run(facts.build.run_id), parent_run.Job(run.mart, "build"), producer=PRODUCER
        )
    if facts.error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(facts.error, "PYTHON", producer=PRODUCER)
    return facets


def _job_facets(facts: StepFacts) -> dict[str, JobFacet]:
    kind = "TASK" if facts.name else "JOB"
    return {"jobType": job_type_job.JobTypeJobFacet("BATCH", "FEATURE_MART", kind, producer=PRODUCER)}


def _dataset_facets(given: DatasetFacts) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {}
    if given.columns:
        fields = [schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in given.columns.items()]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER)
    if given.version is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(given.version, producer=PRODUCER)
    return facets


def _output(facts: StepFacts, output: DatasetFacts, lineage: ViewLineage | None) -> OutputDataset:
    facets = _dataset_facets(output)
    if lineage is not None:
        facets["columnLineage"] = _column_lineage(facts, lineage)
    counts: dict[str, OutputDatasetFacet] = {}
    if facts.rows is not None:
        counts["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=facts.rows, producer=PRODUCER
        )
    return OutputDataset(output.namespace, output.name, facets=facets, outputFacets=counts)


def _column_lineage(facts: StepFacts, lineage: ViewLineage) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    fields = {
        name: column_lineage_dataset.Fields([_input_field(facts, column, kinds) for column, kinds in given.ordered()])
        for name, given in sorted(lineage.columns.items())
    }
    rows = [_input_field(facts, column, kinds) for column, kinds in lineage.rows.ordered()]
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields, rows, producer=PRODUCER)


def _input_field(facts: StepFacts, column: InputColumn, kinds: tuple[Kind, ...]) -> column_lineage_dataset.InputField:
    given = facts.inputs[column.input]
    transformations = [
        column_lineage_dataset.Transformation("DIRECT" if kind in DIRECT else "INDIRECT", kind.upper())
        for kind in in_order(kinds)
    ]
    return column_lineage_dataset.InputField(given.namespace, given.name, column.column, transformations)
