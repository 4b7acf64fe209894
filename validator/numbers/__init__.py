"""Numbers about tensors: distance, drift over noise, statistics of paired samples, task metrics.

In come stored tensors of two sides, out go frozen values. Nothing is judged but whether a metric is worse.
"""
