"""The country of a customer's first invoice. Later ones cannot change it, so the view may be static."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def transform(invoice_lines: DataFrame) -> DataFrame:
    first_line = F.min(F.struct("InvoiceDate", "InvoiceNo", "Country"))
    return (
        invoice_lines.where(F.col("CustomerID").isNotNull())
        .groupBy(F.col("CustomerID").cast("bigint").alias("customer_id"))
        .agg(first_line.getField("Country").alias("country"))
        .select("customer_id", "country")
    )
