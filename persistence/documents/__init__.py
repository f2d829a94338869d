"""Documents that people write together: their operations, what readers load, and how they are kept small."""
