"""Three models on the reference mart, from spine to metric. Each training set is saved and verified.

    make demo                            # once: sample data and a build
    .venv/bin/python examples/models.py churn | fraud | upsell

Needs scikit-learn beside the mart (`pip install scikit-learn`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from feature_mart import FeatureStore, split_by_time

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Model:
    """What is predicted: the feature service, the rows with their labels, and how long a label takes to come true."""

    service: str
    spine: str
    label: str
    label_takes: timedelta


MODELS = {
    # Who of the customers of each week orders nothing in the 60 days after it?
    "churn": Model(
        "churn_v1",
        "select customer_id, snapshot_at as event_timestamp, is_churned from customer_churn_label",
        "is_churned",
        timedelta(days=60),
    ),
    # Five minutes after a card was used, when its message has come: was it fraud?
    "fraud": Model(
        "fraud_v1",
        """
        select transaction_id, card_id, merchant_id, customer_id,
               transaction_timestamp + interval 5 minutes as event_timestamp, is_fraud
        from transaction_facts inner join transaction_fraud_label using (transaction_id, transaction_timestamp)
        """,
        "is_fraud",
        timedelta(0),
    ),
    # Who spends more in the 60 days after a week begins than in the 60 days before?
    "upsell": Model(
        "upsell_v1",
        """
        select customer_id, snapshot_at as event_timestamp,
               coalesce(sum(order_value) filter (where invoice_timestamp >= snapshot_at), 0)
               > coalesce(sum(order_value) filter (where invoice_timestamp < snapshot_at), 0) as spends_more
        from customer_snapshot left join invoice_totals using (customer_id)
        where invoice_timestamp >= snapshot_at - interval 60 days and invoice_timestamp < snapshot_at + interval 60 days
        group by customer_id, snapshot_at
        """,
        "spends_more",
        timedelta(days=60),
    ),
}


def train(store: FeatureStore, name: str) -> dict[str, float]:
    """Makes the training set, learns from its first three quarters of time, and judges by the last."""
    model = MODELS[name]
    job = store.get_historical_features(store.query(model.spine), model.service)
    training_set = f"{name}_example_{len(store.training_sets())}"
    job.save(training_set)
    if not store.verify_training_set(training_set).is_equal:
        raise SystemExit(f"training set {training_set} cannot be made again")
    rows = job.to_df()
    test_from = rows["event_timestamp"].quantile(0.75)
    learn, judge = split_by_time(rows, test_from.to_pydatetime(), gap=model.label_takes)
    known = numbers(learn, job.features)
    known = known.loc[:, known.nunique() > 1]  # nothing is learnt from a feature that does not vary yet
    classifier = HistGradientBoostingClassifier(random_state=0)
    classifier.fit(known, learn[model.label].astype(bool))
    scores = classifier.predict_proba(numbers(judge, job.features)[list(known)])[:, 1]
    return {"rows": len(rows), "judged": len(judge), "roc_auc": roc_auc_score(judge[model.label].astype(bool), scores)}


def numbers(frame: pd.DataFrame, features: tuple[str, ...]) -> pd.DataFrame:
    """Features as numbers: texts by their place among all of them, whatever else as it is; nulls stay missing."""
    columns = {}
    for name in features:
        values = frame[name]
        is_text = pd.api.types.is_string_dtype(values.dtype) and values.dropna().map(type).eq(str).any()
        columns[name] = values.map(hash_of_text) if is_text else pd.to_numeric(values, errors="coerce").astype(float)
    return pd.DataFrame(columns)


def hash_of_text(text: object) -> float:
    """A number for a text, the same in every process; missing for none."""
    return float(sum(text.encode())) if isinstance(text, str) else float("nan")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MODELS:
        raise SystemExit(f"Name a model: {', '.join(MODELS)}.")
    found = train(FeatureStore(ROOT), sys.argv[1])
    print(f"{sys.argv[1]}: ROC AUC {found['roc_auc']:.3f} on {found['judged']:,} of {found['rows']:,} rows")
