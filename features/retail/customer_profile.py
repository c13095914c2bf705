"""What the shop knows of each customer today. For training on the past use customer_snapshot, which keeps each week."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(invoice_lines: DataFrame, invoice_totals: DataFrame, interval_end: datetime) -> DataFrame:
    today = F.lit(interval_end).cast("timestamp")

    countries = (
        invoice_lines.where(F.col("CustomerID").isNotNull() & (F.col("InvoiceDate") < today))
        .withColumn("customer_id", F.col("CustomerID").cast("bigint"))
        .groupBy("customer_id")
        # Customers move. The struct's other fields break ties, so that the answer does not depend on row order.
        .agg(F.max(F.struct("InvoiceDate", "InvoiceNo", "Country")).getField("Country").alias("country"))
    )

    invoices = invoice_totals.where(F.col("invoice_timestamp") < today)
    ordered_at = F.when(~F.col("is_cancellation"), F.col("invoice_timestamp"))
    orders = invoices.groupBy("customer_id").agg(
        F.min(ordered_at).alias("first_order_at"),
        F.max(ordered_at).alias("last_order_at"),
        F.count(ordered_at).alias("order_count"),
        F.count_if(F.col("is_cancellation")).alias("cancellation_count"),
        F.sum("order_value").cast("decimal(18, 3)").alias("net_value"),
    )

    days_active = F.datediff("last_order_at", "first_order_at")
    return (
        orders.join(countries, on="customer_id", how="left")
        .withColumn("as_of", today)
        .withColumn("days_since_last_order", F.datediff("as_of", "last_order_at"))
        .withColumn(
            "mean_days_between_orders", F.when(F.col("order_count") > 1, days_active / (F.col("order_count") - 1))
        )
        .select(
            "customer_id",
            "as_of",
            "country",
            "first_order_at",
            "last_order_at",
            "days_since_last_order",
            "mean_days_between_orders",
            "order_count",
            "cancellation_count",
            "net_value",
        )
    )
