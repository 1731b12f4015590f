"""What every route shares: who is asking, problem details, idempotency, cursors, and the JSON of our things."""
