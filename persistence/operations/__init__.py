"""What each operation does to the database. `hot` for those that come by the thousand, `slow` for one at a time."""
