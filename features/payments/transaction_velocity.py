"""How busy a card was just before each transaction: thieves test a card in bursts."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

HOUR = 3_600_000_000
DAY = 24 * HOUR


def transform(transaction_facts: DataFrame) -> DataFrame:
    # Whole microseconds: a timestamp that is cast to a number of seconds loses what comes after the point.
    moments = transaction_facts.where(F.col("card_id").isNotNull()).withColumn(
        "moment", F.unix_micros("transaction_timestamp")
    )
    by_card = Window.partitionBy("card_id").orderBy("moment")
    # Up to one microsecond before: neither the transaction itself nor others at the same instant.
    last_hour = by_card.rangeBetween(-HOUR, -1)
    last_day = by_card.rangeBetween(-DAY, -1)

    return (
        moments.withColumn("card_transaction_count_1h", F.count("*").over(last_hour))
        .withColumn("card_transaction_count_24h", F.count("*").over(last_day))
        .withColumn("card_billed_amount_24h", F.coalesce(F.sum("billed_amount").over(last_day), F.lit(0)))
        .withColumn("seconds_since_previous", (F.col("moment") - F.max("moment").over(last_day)) / 1_000_000)
        .select(
            "transaction_id",
            "transaction_timestamp",
            "card_transaction_count_1h",
            "card_transaction_count_24h",
            F.col("card_billed_amount_24h").cast("decimal(18, 2)").alias("card_billed_amount_24h"),
            "seconds_since_previous",
        )
    )
