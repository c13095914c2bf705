-- Who comes most often, and for what?
select
    visits.customer_id,
    count(*) as days,
    sum(visits.spend) as spend,
    max(favourite.favourite_item) as favourite_item
from customer_daily_visits as visits
left join customer_favourite as favourite on favourite.customer_id = visits.customer_id
group by visits.customer_id
order by days desc, visits.customer_id
