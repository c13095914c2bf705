"""Sample data for the reference mart: a made-up gift shop and the cards its customers pay with, from a seed."""

from feature_mart.sample.writing import SampleSummary, write_sample

__all__ = ["SampleSummary", "write_sample"]
