"""Mail: rendering, addressing and sending, and what comes back."""
