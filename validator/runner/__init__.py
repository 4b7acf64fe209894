"""Starts workers inside environments, survives their deaths, and reads what they leave behind."""

from validator.runner.captures import Capture, EnvironmentFacts, read_capture, read_environment
from validator.runner.request import Job, write_json, write_request
from validator.runner.supervise import Bounds, Supervisor, Watcher, default_memory

__all__ = [
    "Bounds",
    "Capture",
    "EnvironmentFacts",
    "Job",
    "Supervisor",
    "Watcher",
    "default_memory",
    "read_capture",
    "read_environment",
    "write_json",
    "write_request",
]
