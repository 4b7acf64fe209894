"""Tensors and recordings on disk: described once, mapped when read, never unpickled.

In come `.npz`, `.npy`, Parquet and the files of workers; out go `StoredTensor`s whose files were checked.
"""
