-- How many customers are champions, loyal, new, at risk or lost, by the latest weekly snapshot?
with latest as (
    select customer_id, days_since_last_order, order_count_365d, net_value_365d
    from customer_snapshot
    where
        snapshot_at = (select max(snapshot_at) from customer_snapshot)
        and days_since_last_order is not null
),

segmented as (
    select
        customer_id,
        net_value_365d,
        case
            when days_since_last_order <= 30 and order_count_365d >= 6 then '1 champion'
            when days_since_last_order <= 60 and order_count_365d >= 3 then '2 loyal'
            when days_since_last_order <= 30 then '3 new'
            when days_since_last_order <= 120 then '4 at risk'
            else '5 lost'
        end as segment
    from latest
)

select segment, count(*) as customers, sum(net_value_365d) as net_value
from segmented
group by segment
order by segment
