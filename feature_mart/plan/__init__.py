"""What a build will do, worked out from definitions and from what was done before. No Spark."""
