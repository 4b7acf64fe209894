"""Known changes of Keras, as data: what changed, between which releases, who is reached, and what to do.

In come a model's description and two releases, or what a cell found; out go the changes that can reach the
model, or that explain the cell. Every shipped change has a proof in `bench/catalogue`.
"""
