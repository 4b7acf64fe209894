"""Deliberate faults: small changes to real material, each with what must come out. `nox -s faults` runs them.

A fault that comes out otherwise survives: a green that was not earned, a false alarm, a lost run, a traceback.
"""
