"""Matching: which mentors fit a learner, exactly, over all of them, and why.

    feed ─▶ roster (a column for each thing known)         seeker ─▶ factors ─▶ weights ─▶ exposure ─▶ the best, each with its why
            subjects ─▶ vocabulary (sentence embeddings)             float32[6, mentor]

docs/matching.md says what each factor means, how weights are learned from outcomes, and what the audit looks at.
"""
