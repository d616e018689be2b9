"""Reading a latent space: ways through it, its dimensions one by one, its plane, its directions.

==============  ==============================================================
``space``       codes, what they decode to, the prior's quantiles, which dimensions carry most
``groups``      rows by number, class or column: the words that name examples
``morph``       a way through a list of examples, as an animation
``traverse``    each active dimension from quantile to quantile of the prior
``manifold``    a plane in cells of equal prior mass, or evenly spaced
``attributes``  mean-difference directions, and whether the attribute changed
``judge``       the classifier that says so, and how often it is right
``plane``       the encoder's view and the decoder's view side by side
``projection``  the same on principal components, or the codes alone by t-SNE
``film``        the plane over log time, of a run that kept its weights on the way
``canvas``      pictures in a grid with legible words
==============  ==============================================================
"""
