"""How a card is usually used, as known today."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(transaction_facts: DataFrame, merchants: DataFrame, interval_end: datetime) -> DataFrame:
    today = F.lit(interval_end).cast("timestamp")
    used = transaction_facts.where((F.col("transaction_timestamp") < today) & F.col("card_id").isNotNull())
    categories = merchants.select("merchant_id", "category")

    by_category = (
        used.join(categories, on="merchant_id", how="inner")
        .groupBy("card_id", "category")
        .agg(F.count("*").alias("uses"))
        .groupBy("card_id")
        # Of categories that are used equally often the last in the alphabet: any rule will do, if it is a rule.
        .agg(F.max_by("category", F.struct("uses", "category")).alias("main_category"))
    )

    uses = F.count("*")
    habits = used.groupBy("card_id").agg(
        F.min("transaction_timestamp").alias("first_used_at"),
        uses.alias("transaction_count"),
        F.count_distinct("merchant_id").alias("merchant_count"),
        (F.count_if(F.col("is_night_time_transaction")) / uses).alias("night_time_share"),
        (F.count_if(F.col("channel") == "online") / uses).alias("online_share"),
        # The mean of decimals is exact to its last digit, whatever the order.
        F.avg("billed_amount").cast("decimal(18, 2)").alias("mean_billed_amount"),
        F.max("billed_amount").alias("maximum_billed_amount"),
    )

    return (
        habits.join(by_category, on="card_id", how="left")
        .withColumn("as_of", today)
        .select(
            "card_id",
            "as_of",
            "main_category",
            "first_used_at",
            "transaction_count",
            "merchant_count",
            "night_time_share",
            "online_share",
            "mean_billed_amount",
            "maximum_billed_amount",
        )
    )
