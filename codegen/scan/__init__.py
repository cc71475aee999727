"""What the ``scan`` backend writes: a recurrence that is linear in its states, for all steps at once."""
