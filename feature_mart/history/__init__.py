"""What a view was: its versions and what made them."""
