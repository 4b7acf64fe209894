"""Pairs of runs whose answer is known, judged by the product and by the fixed rules that people use."""
