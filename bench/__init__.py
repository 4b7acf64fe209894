"""Benchmarks: every number that README and docs claim comes from one of these."""
