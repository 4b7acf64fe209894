"""Shards of a run on the workers of a Dask cluster, and what they leave brought back.

In come an executor, the files that a shard needs, and one request for each shard; out come the parts that
shards leave for `merge`, and why the others have none. What a shard does is the pipeline's to know: here it
is a process of the command line, which is given a request on its standard input.
"""

from validator.cluster.dispatch import LostError, Outcome, Patience, dispatch
from validator.cluster.executor import Executor
from validator.cluster.files import Bundle, Collected, collect, history, root_of
from validator.cluster.fleet import DaskFleet, connected, stored
from validator.cluster.order import Answer, Order, Tool
from validator.cluster.predicted import PIECE, Predicted, Provenance

__all__ = [
    "PIECE",
    "Answer",
    "Bundle",
    "Collected",
    "DaskFleet",
    "Executor",
    "LostError",
    "Order",
    "Outcome",
    "Patience",
    "Predicted",
    "Provenance",
    "Tool",
    "collect",
    "connected",
    "dispatch",
    "history",
    "root_of",
    "stored",
]
