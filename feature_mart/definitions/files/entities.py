"""``metadata/entities.yml``."""

from __future__ import annotations

from pydantic import Field

from feature_mart.definitions.files.base import Column, KeyType, Listed, Model, Name, Text


class EntityEntry(Model):
    """One entity: what features describe."""

    description: Text = Field(
        description="What one such thing is, for people.", examples=["A shopper with an account."]
    )
    keys: dict[Column, KeyType] = Field(
        description="Its join keys: column name to Spark SQL type. A key's name has the same type everywhere in the "
        "mart.",
        examples=[{"customer_id": "bigint"}],
        min_length=1,
    )
    owner: Text | None = Field(default=None, description="Whom to ask about it.", examples=["crm@example.com"])
    tags: Listed[Text] = Field(default=(), description="Words to find it by.", examples=[["person"]])


class EntitiesFile(Model):
    """The entities of the mart: what features describe, and the keys that name one of them."""

    entities: dict[Name, EntityEntry] = Field(
        description="Each entity by its name.",
        examples=[{"customer": {"description": "A shopper with an account.", "keys": {"customer_id": "bigint"}}}],
    )
