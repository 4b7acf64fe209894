"""Starts workers inside environments, survives their deaths, and reads what they leave behind.

In come jobs (what to load, what to record, where); out comes one capture or failure for each. `Pool` runs the
environments of a run beside each other and keeps their workers between its rounds.
"""

from validator.runner.captures import WORKER_FOLDER, Capture, EnvironmentFacts, read_capture, read_environment
from validator.runner.forks import Forks
from validator.runner.functions import run_recorder
from validator.runner.in_process import measure_in_process
from validator.runner.kept import CaptureStore, KeptCapture, Machine, can_spot, same_batch, worker_digest
from validator.runner.marks import COMPLETE, Marks, stamps
from validator.runner.memory import default_memory
from validator.runner.pool import EnvironmentState, Place, Pool, RunLimit, Watcher
from validator.runner.request import Bounds, Job, Overlay, PredictedPiece, write_json, write_text
from validator.runner.sandbox import Sandbox, can_confine
from validator.runner.seals import intact, sealed

__all__ = [
    "COMPLETE",
    "WORKER_FOLDER",
    "Bounds",
    "Capture",
    "CaptureStore",
    "EnvironmentFacts",
    "EnvironmentState",
    "Forks",
    "Job",
    "KeptCapture",
    "Machine",
    "Marks",
    "Overlay",
    "Place",
    "Pool",
    "PredictedPiece",
    "RunLimit",
    "Sandbox",
    "Watcher",
    "can_confine",
    "can_spot",
    "default_memory",
    "intact",
    "measure_in_process",
    "read_capture",
    "read_environment",
    "run_recorder",
    "same_batch",
    "sealed",
    "stamps",
    "worker_digest",
    "write_json",
    "write_text",
]
