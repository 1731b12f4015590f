"""Accounts: who may sign in, with what roles, and the audit of it. Implements `http.auth.Principals`."""
