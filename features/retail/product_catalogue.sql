-- The products as the invoice lines tell of them: descriptions and prices are typed by hand and vary, so the ones that
-- were used most often count; of equally frequent ones the greatest, so that the answer never depends on row order.
with lines as (
    select
        upper(StockCode) as stock_code,
        trim(Description) as description,
        cast(UnitPrice as decimal(12, 3)) as unit_price,
        Quantity as quantity
    from invoice_lines
    where StockCode is not null
),

codes as (
    select
        stock_code,
        stock_code rlike '^[0-9]{5}' as is_goods
    from lines
    group by stock_code
),

descriptions as (
    select stock_code, description, count(*) as line_count
    from lines
    -- Lines without a price carry notes of the stock room ("damaged", "found") in place of a description.
    where unit_price > 0 and description <> ''
    group by stock_code, description
),

best_description as (
    select stock_code, max_by(description, struct(line_count, description)) as description
    from descriptions
    group by stock_code
),

prices as (
    select stock_code, unit_price, count(*) as line_count
    from lines
    where unit_price > 0 and quantity > 0
    group by stock_code, unit_price
),

best_price as (
    select stock_code, max_by(unit_price, struct(line_count, unit_price)) as usual_price
    from prices
    group by stock_code
)

select
    codes.stock_code,
    best_description.description,
    best_price.usual_price,
    codes.is_goods
from codes
left join best_description on best_description.stock_code = codes.stock_code
left join best_price on best_price.stock_code = codes.stock_code
