"""Knowledge tracing: how likely a learner answers rightly next, from what they answered so far.

    steps ─▶ a learner's state ─ with a skill ─▶ features ─▶ trees ─▶ a chance
             (steps.py)        (skills.py)                  (forest.py)

Gradient boosting over features that a person can name, instead of a recurrent network: as good on the public data that it was measured on
(`educonnect ml evaluate tracing`), trained in seconds on a laptop, and served by numpy alone.
"""
