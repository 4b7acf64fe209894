"""Proofs of the known changes: each runs in the releases around its change, and must show it there."""
