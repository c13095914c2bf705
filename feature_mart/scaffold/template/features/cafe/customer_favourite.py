"""What a customer likes best, as known today."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(orders: DataFrame, interval_end: datetime) -> DataFrame:
    """One row for each customer who has ever ordered."""
    today = F.lit(interval_end).cast("timestamp")
    known = orders.where(F.col("customer_id").isNotNull() & (F.col("ordered_at") < today))
    by_item = known.groupBy("customer_id", "item").agg(
        F.count("*").alias("times"), F.max("ordered_at").alias("last_at")
    )
    return (
        by_item.groupBy("customer_id")
        .agg(
            # Of things ordered equally often the latest, then the last in the alphabet: never the order of rows.
            F.max_by("item", F.struct("times", "last_at", "item")).alias("favourite_item"),
            F.max("last_at").alias("last_order_at"),
        )
        .withColumn("as_of", today)
        .withColumn("days_since_last_order", F.datediff("as_of", "last_order_at"))
        .select("customer_id", "as_of", "favourite_item", "days_since_last_order")
    )
