-- What a customer had on one day. Orders without a loyalty card are left out.
with known_orders as (
    select customer_id, ordered_at, price
    from orders
    where customer_id is not null
),

days as (
    select
        customer_id,
        date_trunc('day', ordered_at) as visit_day,
        count(*) as order_count,
        cast(sum(price) as decimal(12, 2)) as spend
    from known_orders
    group by customer_id, date_trunc('day', ordered_at)
)

select customer_id, visit_day, order_count, spend
from days
