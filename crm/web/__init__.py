"""How HTTP works here: transactions, refusals, pages, forms, limits; knows no domain."""
