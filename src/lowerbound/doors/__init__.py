"""Floor 6: the doors. Only here is anything printed, the clock read, a signal caught or the process ended.

===============  ======================================================================
``cli``          the command line: commands, exit codes, errors as one line
``options``      the flags that several commands share
``settings``     flags, ``-s part.option=value`` and recipes, merged into one spec
``recipes``      the short commented TOML files, and which one suits a data set
``train``        train and resume
``sweep``        many betas in one program; ``sweep_progress`` shows them
``read``         evaluate, explain, report
``codes``        encode, decode
``pictures``     sample, reconstruct, interpolate
``evaluate``     evaluate by an estimator of log p(x)
``surgery``      what the KL is made of; ``compare``, ``score``, ``impute``, ``disentangle``, ``fidelity`` beside it
``reproduce``    published results again; ``figures_of`` has what it measures
``latent``       morph, traverse, manifold, plane, arithmetic
``lists``        list, data
``progress``     the progress bar, its plain twin, and timing.jsonl
``signals``      SIGINT and SIGTERM
``output``       text and JSON on standard output
``estimator``    the scikit-learn estimator ``VAE``
===============  ======================================================================

Nothing here imports torch when it is itself imported, except ``progress`` and ``estimator``: ``--help`` is instant.
"""
