-- The lines of known customers' invoices, as events for windows: which products, how many of each, given back or not.
select
    cast(CustomerID as bigint) as customer_id,
    InvoiceDate as invoiced_at,
    upper(StockCode) as stock_code,
    Quantity as quantity
from invoice_lines
where CustomerID is not null
