-- Who holds a card: the link from payments to retail. Prepaid cards have no holder and are not here.
with messages as (
    select card_id, customer_id, transaction_timestamp, transaction_id
    from card_transactions
    where card_id is not null and customer_id is not null
),

holders as (
    select
        card_id,
        -- The first message decides; the id breaks ties between messages of one instant.
        min_by(customer_id, struct(transaction_timestamp, transaction_id, customer_id)) as customer_id
    from messages
    group by card_id
)

select card_id, customer_id
from holders
