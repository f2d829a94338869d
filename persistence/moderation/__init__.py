"""What moderation does in the database: who looks at what was said, what is done about it, what is kept of it."""
