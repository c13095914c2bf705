-- Which goods come back most, relative to what was sold? Products with at least 50 pieces sold.
with sold as (
    select stock_code, sum(units_sold) as units_sold, sum(units_returned) as units_returned
    from product_daily_sales
    group by stock_code
)

select
    sold.stock_code,
    catalogue.description,
    sold.units_sold,
    sold.units_returned,
    round(sold.units_returned / sold.units_sold, 3) as return_share
from sold
inner join product_catalogue as catalogue on catalogue.stock_code = sold.stock_code
where catalogue.is_goods and sold.units_sold >= 50
order by return_share desc, sold.stock_code
limit 20
