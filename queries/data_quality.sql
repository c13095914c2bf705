-- How dirty are the till's exports, month by month? Reads the source itself, as it was ingested.
select
    date_format(InvoiceDate, 'yyyy-MM') as month,
    count(*) as lines,
    count_if(CustomerID is null) as without_customer,
    count_if(InvoiceNo like 'C%') as cancelled,
    count_if(UnitPrice <= 0) as without_price
from invoice_lines
group by date_format(InvoiceDate, 'yyyy-MM')
order by month
