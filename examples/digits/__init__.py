"""A small image classifier on the handwritten digits of scikit-learn."""
