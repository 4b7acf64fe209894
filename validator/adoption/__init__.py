"""From nothing to a first run: looks at a folder, writes a validator.yml, records inputs, checks a set-up.

In come a folder and at most a few answers; out come files that `keras-validator run` takes as they are.
"""
