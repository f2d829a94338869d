"""The rehearsal: a real installation, hundreds of real devices, and everything cut and killed while they talk."""
