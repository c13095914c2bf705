-- What a customer ordered and cancelled on one day: the additive base of recency, frequency and monetary value.
-- The row is stamped with the day's start and is available after the day (see `available_after` in the pipeline).
with invoices as (
    select customer_id, invoice_timestamp, order_value, item_count, is_cancellation
    from invoice_totals
),

days as (
    select
        customer_id,
        date_trunc('day', invoice_timestamp) as order_day,
        count_if(not is_cancellation) as order_count,
        count_if(is_cancellation) as cancellation_count,
        coalesce(sum(order_value) filter (where not is_cancellation), 0) as gross_value,
        coalesce(-sum(order_value) filter (where is_cancellation), 0) as refunded_value,
        sum(order_value) as net_value,
        sum(item_count) as item_count
    from invoices
    group by customer_id, date_trunc('day', invoice_timestamp)
)

select
    customer_id,
    order_day,
    order_count,
    cancellation_count,
    cast(gross_value as decimal(18, 3)) as gross_value,
    cast(refunded_value as decimal(18, 3)) as refunded_value,
    cast(net_value as decimal(18, 3)) as net_value,
    item_count
from days
