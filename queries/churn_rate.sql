-- Which share of the customers of each week stopped buying? Only weeks whose 60 days have passed: later ones are not
-- settled yet.
with data_until as (
    select max(invoice_timestamp) as latest
    from invoice_totals
)

select
    label.snapshot_at,
    count(*) as customers,
    count_if(label.is_churned) as churned,
    round(count_if(label.is_churned) / count(*), 3) as churn_rate
from customer_churn_label as label
cross join data_until
where label.snapshot_at + interval 60 days <= data_until.latest
group by label.snapshot_at
order by label.snapshot_at
