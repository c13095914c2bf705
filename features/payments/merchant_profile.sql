-- What is known of each merchant today: what it is, how it was used in the last 90 days, and how much of that has turned
-- out to be fraud so far. Only labels that are known by now count: fresh frauds are still unreported.
with signed_up as (
    select merchant_id, category, country, is_online, onboarded_on
    from merchants
),

recent as (
    select transaction_id, transaction_timestamp, merchant_id, card_id, billed_amount, is_night_time_transaction
    from transaction_facts
    where
        transaction_timestamp < :interval_end
        and transaction_timestamp >= :interval_end - interval 90 days
),

known_labels as (
    select transaction_id, transaction_timestamp, is_fraud
    from transaction_fraud_label
    where label_known_at <= :interval_end
),

used as (
    select
        recent.merchant_id,
        count(*) as transaction_count_90d,
        count(distinct recent.card_id) as card_count_90d,
        cast(avg(recent.billed_amount) as decimal(18, 2)) as mean_billed_amount_90d,
        count_if(recent.is_night_time_transaction) / count(*) as night_time_share_90d,
        count_if(known_labels.is_fraud) / count(*) as known_fraud_share_90d
    from recent
    left join known_labels
        on known_labels.transaction_id = recent.transaction_id
        and known_labels.transaction_timestamp = recent.transaction_timestamp
    group by recent.merchant_id
)

select
    signed_up.merchant_id,
    :interval_end as as_of,
    signed_up.category,
    signed_up.country,
    signed_up.is_online,
    datediff(:interval_end, signed_up.onboarded_on) as days_since_onboarding,
    coalesce(used.transaction_count_90d, 0) as transaction_count_90d,
    coalesce(used.card_count_90d, 0) as card_count_90d,
    used.mean_billed_amount_90d,
    used.night_time_share_90d,
    used.known_fraud_share_90d
from signed_up
left join used on used.merchant_id = signed_up.merchant_id
