-- How much of what customers pay by card reaches the shop? Both domains know customers by the same number.
with shop as (
    select customer_id, sum(net_value) as shop_value
    from customer_daily_orders
    group by customer_id
),

cards as (
    select customer_id, sum(billed_total) as card_value, count(distinct spend_day) as card_days
    from customer_card_spend
    group by customer_id
)

select
    cards.customer_id,
    cards.card_days,
    cards.card_value,
    coalesce(shop.shop_value, 0) as shop_value
from cards
left join shop on shop.customer_id = cards.customer_id
order by cards.card_value desc, cards.customer_id
limit 20
