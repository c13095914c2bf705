-- Which merchants have the highest share of known fraud in the last 90 days? Merchants with at least 30 transactions.
select merchant_id, category, country, transaction_count_90d, mean_billed_amount_90d, known_fraud_share_90d
from merchant_profile
where transaction_count_90d >= 30
order by known_fraud_share_90d desc, merchant_id
limit 20
