-- At which hours of the day is the share of fraud highest? Only labels that were known when the last transaction came in.
with data_until as (
    select max(transaction_timestamp) as latest
    from transaction_facts
)

select
    facts.hour_of_day,
    facts.is_night_time_transaction,
    count(*) as transactions,
    count_if(label.is_fraud) as frauds,
    round(count_if(label.is_fraud) / count(*), 4) as fraud_share
from transaction_facts as facts
inner join transaction_fraud_label as label
    on label.transaction_id = facts.transaction_id
    and label.transaction_timestamp = facts.transaction_timestamp
cross join data_until
where label.label_known_at <= data_until.latest
group by facts.hour_of_day, facts.is_night_time_transaction
order by facts.hour_of_day
