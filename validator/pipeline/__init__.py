"""Glue: the way of the data from a validator.yml to a report."""
