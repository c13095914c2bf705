-- What a customer paid with all of their cards on one day, at any merchant.
with transactions as (
    select customer_id, card_id, transaction_timestamp, billed_amount, is_night_time_transaction, is_foreign_currency
    from transaction_facts
    where customer_id is not null
),

days as (
    select
        customer_id,
        date_trunc('day', transaction_timestamp) as spend_day,
        count(*) as transaction_count,
        count(distinct card_id) as card_count,
        cast(sum(billed_amount) as decimal(18, 2)) as billed_total,
        count_if(is_night_time_transaction) as night_time_transaction_count,
        count_if(is_foreign_currency) as foreign_transaction_count
    from transactions
    group by customer_id, date_trunc('day', transaction_timestamp)
)

select
    customer_id,
    spend_day,
    transaction_count,
    card_count,
    billed_total,
    night_time_transaction_count,
    foreign_transaction_count
from days
