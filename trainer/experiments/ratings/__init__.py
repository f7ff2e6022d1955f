"""Prediction of ratings: SVD++ (Koren, 2008) of users and of items, of which each rating is predicted by the others.

A user is known by their own factors and by those of what they rated, and an item by its own and by those of who rated
it. Since a rating must not be told by itself, each is taken out of both while it is learnt from, in closed form.

It is measured by ``python -m trainer evaluate --protocol rating``. No bundle holds it: the value that a bundle's ranker
predicts is learnt by the ranker.
"""
