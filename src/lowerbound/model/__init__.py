"""Floor 2: the symbols of the bound, q(z|x), p(z), p(x|z), each a module whose forward returns a distribution."""
