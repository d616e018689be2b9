"""Floor 5: what is done with a finished run. Readers see a run folder, never the trainer.

==============  ==============================================================
``evaluate``    the bound on held-out data, with its uncertainty
``score``       the bound of each example, its error, what each value costs
``surgery``     what the rate is made of, dimensions in use, holes
``compare``     runs side by side; ``compare_picture`` draws them
``impute``      missing cells drawn, and whether the draws cover the truth
``explain_kl``  the KL of one Normal: its parts, its pulls, its derivation
``explain_run`` where a run's nats go, dimension by dimension
``pictures``    samples, reconstructions, interpolations, arithmetic
``completions`` what a conditional model makes of a given part, several times
``latent``      morphs, traversals, the plane, directions of attributes
``two_sample``  whether codes match the prior
``disentangle`` codes against the true factors of the data
``fidelity``    samples against data, and against copies of it
``parzen``      the window of the GAN papers, beside a real estimate only
``figures``     drawings, in one style, for light and dark pages
``report``      the page that tells a run
==============  ==============================================================
"""
