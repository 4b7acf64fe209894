"""The worker: one request in, one capture per job out."""
