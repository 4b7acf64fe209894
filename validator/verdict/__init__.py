"""Every threshold, every set and order of verdicts, the judgement of a cell, and the gate.

In come evidence and checks; out comes a `Report`. Nothing of the kind is decided anywhere else.
"""
