-- What a customer sent back on one day, and how long they had kept it: each return is matched with the latest purchase
-- of the same product in the 90 days before it. That bound stands here, relative to the return, and not only as the
-- pipeline's `lookback`: a row must not depend on which range of days is built at once.
with lines as (
    select InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID
    from invoice_lines
    -- Goods have a number; postage, discounts and corrections (POST, D, M, ...) do not come back.
    where CustomerID is not null and StockCode rlike '^[0-9]{5}'
),

returned as (
    select
        cast(CustomerID as bigint) as customer_id,
        upper(StockCode) as stock_code,
        InvoiceDate as returned_at,
        count(*) as line_count,
        -sum(Quantity) as item_count,
        -sum(Quantity * cast(UnitPrice as decimal(12, 3))) as value
    from lines
    where InvoiceNo like 'C%' and Quantity < 0
    group by cast(CustomerID as bigint), upper(StockCode), InvoiceDate
),

purchased as (
    select distinct
        cast(CustomerID as bigint) as customer_id,
        upper(StockCode) as stock_code,
        InvoiceDate as purchased_at
    from lines
    where InvoiceNo not like 'C%' and Quantity > 0
),

matched as (
    select
        returned.customer_id,
        returned.returned_at,
        returned.line_count,
        returned.item_count,
        returned.value,
        datediff(returned.returned_at, max(purchased.purchased_at)) as days_kept
    from returned
    left join purchased
        on purchased.customer_id = returned.customer_id
        and purchased.stock_code = returned.stock_code
        and purchased.purchased_at < returned.returned_at
        and purchased.purchased_at >= returned.returned_at - interval 90 days
    group by
        returned.customer_id,
        returned.stock_code,
        returned.returned_at,
        returned.line_count,
        returned.item_count,
        returned.value
),

days as (
    select
        customer_id,
        date_trunc('day', returned_at) as return_day,
        sum(line_count) as returned_line_count,
        sum(item_count) as returned_item_count,
        cast(sum(value) as decimal(18, 3)) as returned_value,
        coalesce(sum(line_count) filter (where days_kept is not null), 0) as matched_line_count,
        -- Both sums are whole numbers, so this quotient is the same in any order.
        sum(days_kept * line_count) / sum(line_count) filter (where days_kept is not null) as mean_days_to_return
    from matched
    group by customer_id, date_trunc('day', returned_at)
)

select
    customer_id,
    return_day,
    returned_line_count,
    returned_item_count,
    returned_value,
    matched_line_count,
    mean_days_to_return
from days
