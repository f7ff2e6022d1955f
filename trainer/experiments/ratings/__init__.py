"""Prediction of ratings by SVD++ (Koren, 2008), for users and items alike.

A user has factors of their own and those of the items they rated. An item has factors of its own and those of its
raters. A rating must not predict itself, so training removes it from both sides in closed form.

``python -m trainer evaluate --protocol rating`` measures it. No bundle holds it; the values that a bundle predicts come
from its ranker.
"""
