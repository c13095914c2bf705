"""Step one: sources become rows of the mart, and inputs are cut to the time that a build may see."""
