-- One row per invoice of a known customer, cancellations included. Lines without a customer (guests, stock write-offs)
-- are left out on purpose: there is nobody that they could describe.
with lines as (
    select InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID
    from invoice_lines
),

priced as (
    select
        cast(CustomerID as bigint) as customer_id,
        InvoiceNo as invoice_no,
        InvoiceDate as invoiced_at,
        upper(StockCode) as stock_code,
        Quantity as quantity,
        -- Decimal, not double: a sum of doubles depends on the order in which they are added.
        Quantity * cast(UnitPrice as decimal(12, 3)) as line_value
    from lines
    where CustomerID is not null
),

-- No distinct: lines that are exact copies of each other are real sales.
totals as (
    select
        customer_id,
        invoice_no,
        -- The last line's time (a few invoices span two minutes): before it, the total was not known.
        max(invoiced_at) as invoice_timestamp,
        cast(sum(line_value) as decimal(18, 3)) as order_value,
        count(*) as line_count,
        sum(quantity) as item_count,
        count(distinct stock_code) as product_count,
        invoice_no like 'C%' as is_cancellation
    from priced
    -- By day too, so that days can be built one at a time.
    group by customer_id, invoice_no, date_trunc('day', invoiced_at)
)

select
    customer_id,
    invoice_no,
    invoice_timestamp,
    order_value,
    line_count,
    item_count,
    product_count,
    is_cancellation
from totals
