-- One row per use of a card. The processor may deliver a message twice, word for word: it counts once. Messages that
-- share an id and differ in anything else are no copies; the pipeline's check `unique` finds them.
-- is_fraud is not here: it is learned later, and stands in transaction_fraud_label.
with messages as (
    select distinct
        transaction_id,
        card_id,
        customer_id,
        merchant_id,
        transaction_timestamp,
        amount,
        currency,
        billed_amount,
        channel
    from card_transactions
),

facts as (
    select
        transaction_id,
        transaction_timestamp,
        card_id,
        customer_id,
        merchant_id,
        amount,
        currency,
        billed_amount,
        channel,
        hour(transaction_timestamp) as hour_of_day,
        -- From midnight until before six, UTC.
        hour(transaction_timestamp) < 6 as is_night_time_transaction,
        -- 1 is Sunday, 7 is Saturday.
        dayofweek(transaction_timestamp) in (1, 7) as is_weekend,
        currency <> 'GBP' as is_foreign_currency
    from messages
)

select
    transaction_id,
    transaction_timestamp,
    card_id,
    customer_id,
    merchant_id,
    amount,
    currency,
    billed_amount,
    channel,
    hour_of_day,
    is_night_time_transaction,
    is_weekend,
    is_foreign_currency
from facts
