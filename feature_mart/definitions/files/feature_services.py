"""``metadata/feature_services.yml``."""

from __future__ import annotations

from pydantic import Field

from feature_mart.definitions.files.base import Listed, Model, Name, Text


class FeatureServiceEntry(Model):
    """One feature service: the features that one model uses."""

    description: Text = Field(description="Which model it serves.", examples=["Churn model."])
    owner: Text | None = Field(default=None, description="Whom to ask about it.", examples=["growth-ml@example.com"])
    tags: Listed[Text] = Field(default=(), description="Words to find it by.", examples=[["churn"]])
    features: Listed[Text] = Field(
        description="Its features: `view:feature`, or a view's name for all its features.",
        examples=[["customer_spend", "customer_profile:country"]],
        min_length=1,
    )


class FeatureServicesFile(Model):
    """The feature services of the mart: the named lists of features that models use."""

    feature_services: dict[Name, FeatureServiceEntry] = Field(
        description="Each feature service by its name.",
        examples=[{"churn_v1": {"description": "Churn model.", "features": ["customer_spend"]}}],
    )
