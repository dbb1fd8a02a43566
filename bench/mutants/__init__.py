"""Whether the tests would notice: small changes of gonogo/core, each of which some test must fail of.

mutmut makes the changes, and its trampolines choose one while the program runs. Its own runner starts pytest for each
and leaves out what has a decorator, properties above all; so here the decorators are written the long way first,
pytest collects once, and each mutant is a fork of that.
"""
