"""Training sets: the features that rows of a spine had at their moments."""
