-- The customers that the shop knows at the start of each week (each interval), with their recency, frequency and
-- monetary value as they stood then. Rows to ask features for: an entity snapshot.
with invoices as (
    select customer_id, invoice_timestamp, order_value, is_cancellation
    from invoice_totals
),

snapshots as (
    select explode(sequence(:interval_start, :interval_end - interval 7 days, interval 7 days)) as snapshot_at
),

-- Strictly before the snapshot: what happens at its very moment is the future.
history as (
    select
        invoices.customer_id,
        snapshots.snapshot_at,
        invoices.invoice_timestamp,
        invoices.order_value,
        invoices.is_cancellation,
        invoices.invoice_timestamp >= snapshots.snapshot_at - interval 90 days as is_recent
    from snapshots
    inner join invoices
        on invoices.invoice_timestamp < snapshots.snapshot_at
        and invoices.invoice_timestamp >= snapshots.snapshot_at - interval 365 days
),

measured as (
    select
        customer_id,
        snapshot_at,
        datediff(snapshot_at, max(invoice_timestamp) filter (where not is_cancellation)) as days_since_last_order,
        count_if(not is_cancellation and is_recent) as order_count_90d,
        count_if(not is_cancellation) as order_count_365d,
        count_if(is_cancellation) as cancellation_count_365d,
        coalesce(sum(order_value) filter (where is_recent), 0) as net_value_90d,
        sum(order_value) as net_value_365d
    from history
    group by customer_id, snapshot_at
)

select
    customer_id,
    snapshot_at,
    days_since_last_order,
    order_count_90d,
    order_count_365d,
    cancellation_count_365d,
    cast(net_value_90d as decimal(18, 3)) as net_value_90d,
    cast(net_value_365d as decimal(18, 3)) as net_value_365d
from measured
