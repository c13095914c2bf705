-- How do revenue, orders and refunds develop month by month? Known customers only.
select
    date_format(order_day, 'yyyy-MM') as month,
    count(distinct customer_id) as customers,
    sum(order_count) as orders,
    sum(gross_value) as gross_value,
    sum(refunded_value) as refunded_value,
    sum(net_value) as net_value
from customer_daily_orders
group by date_format(order_day, 'yyyy-MM')
order by month
