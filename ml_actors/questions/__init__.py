"""Checkpoint questions from a lesson's text: what is worth asking, how it is asked, and what is passed over.

    text ─ sentences ─ tagging ─ clauses ─▶ asking (English: who, what, why …) ─╮
                     ╰────────────────────▶ gaps, events (any language) ────────┴▶ checks ─▶ distractors ─▶ ranking ─▶ best first

Nothing here understands a text. What cannot be shown to be well formed and answerable from its own span is not offered, and what was
passed over is counted by its reason; a mentor reads every question before a learner does.
"""
