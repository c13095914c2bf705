-- Whether a transaction was fraud, and since when we know. Fraud is known from its report on; that a transaction was
-- none is settled when the 60 days in which a holder may dispute it have passed. Before that moment the label is not
-- available to anybody (see `available_after` in the pipeline).
with messages as (
    select distinct transaction_id, transaction_timestamp, is_fraud, reported_at
    from card_transactions
),

labels as (
    select
        transaction_id,
        transaction_timestamp,
        coalesce(is_fraud, false) as is_fraud,
        case
            when is_fraud then reported_at
            else transaction_timestamp + interval 60 days
        end as label_known_at,
        case
            when is_fraud then datediff(reported_at, transaction_timestamp)
        end as days_to_report
    from messages
)

select
    transaction_id,
    transaction_timestamp,
    label_known_at,
    is_fraud,
    days_to_report
from labels
