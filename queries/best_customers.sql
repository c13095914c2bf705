-- Which customers bring in the most, net of what they sent back? The top 20 of all time.
select
    profile.customer_id,
    country.country,
    profile.order_count,
    profile.cancellation_count,
    profile.net_value
from customer_profile as profile
left join customer_country as country on country.customer_id = profile.customer_id
order by profile.net_value desc, profile.customer_id
limit 20
