"""Step four: checked rows become a commit."""
