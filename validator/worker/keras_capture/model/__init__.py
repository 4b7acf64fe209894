"""A model and what it takes: importing Keras, loading, precision, feeding, outputs."""
