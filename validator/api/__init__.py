"""The product as Python functions: `compare` for arrays in memory, `run` for a validator.yml.

In come arrays or a configuration, out come typed results with a short text and a form for notebooks. `run` is
the command line's own way through the rooms. Import them as `validator.compare` and `validator.run`.
"""
