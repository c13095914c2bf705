-- What was sold of a product on one day, to customers and guests alike.
with lines as (
    select
        -- Tills write some codes in small letters.
        upper(StockCode) as stock_code,
        InvoiceNo as invoice_no,
        InvoiceDate as invoiced_at,
        cast(CustomerID as bigint) as customer_id,
        Quantity as quantity,
        cast(UnitPrice as decimal(12, 3)) as unit_price,
        InvoiceNo like 'C%' as is_cancellation
    from invoice_lines
    where StockCode is not null
),

days as (
    select
        stock_code,
        date_trunc('day', invoiced_at) as sales_day,
        coalesce(sum(quantity) filter (where not is_cancellation and quantity > 0), 0) as units_sold,
        coalesce(-sum(quantity) filter (where is_cancellation), 0) as units_returned,
        -- Negative without being a cancellation: damaged, lost, or a slip that was corrected.
        coalesce(-sum(quantity) filter (where not is_cancellation and quantity < 0), 0) as units_written_off,
        cast(sum(quantity * unit_price) as decimal(18, 3)) as net_value,
        count(distinct invoice_no) as invoice_count,
        count(distinct customer_id) as customer_count,
        count_if(unit_price <= 0 and quantity > 0) as free_line_count
    from lines
    group by stock_code, date_trunc('day', invoiced_at)
)

select
    stock_code,
    sales_day,
    units_sold,
    units_returned,
    units_written_off,
    net_value,
    invoice_count,
    customer_count,
    free_line_count
from days
