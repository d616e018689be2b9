"""Floor 4: one loop over players; the run folder, written and read in one place; checkpoints; alarms.

==============  =======================================================================
``spec``        the frozen spec of a run
``setup``       from a spec to its model and objective
``loop``        train, resume
``ledger``      float64 sums of every term over an epoch; names a non-finite number
``measure``     per-example figures of a split, independent of batch size
``alarms``      what is wrong, why, and what cures it
``forecast``    which latent dimensions can live, before training
``run``         the run folder
``sweep``       many betas in one program
``load``        a finished run
==============  =======================================================================
"""
