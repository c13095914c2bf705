-- Did a customer of a snapshot order nothing in the 60 days that followed it? Rows are stamped with the snapshot, which
-- is the moment to predict at; `available_after` in the pipeline keeps the answer out of every feature until it is known.
with customers as (
    select customer_id, snapshot_at
    from customer_snapshot
    where order_count_365d > 0
),

orders as (
    select customer_id, invoice_timestamp
    from invoice_totals
    where not is_cancellation
),

followed as (
    select
        customers.customer_id,
        customers.snapshot_at,
        count(orders.invoice_timestamp) as following_order_count
    from customers
    left join orders
        on orders.customer_id = customers.customer_id
        and orders.invoice_timestamp >= customers.snapshot_at
        and orders.invoice_timestamp < customers.snapshot_at + interval 60 days
    group by customers.customer_id, customers.snapshot_at
)

select
    customer_id,
    snapshot_at,
    following_order_count,
    following_order_count = 0 as is_churned
from followed
