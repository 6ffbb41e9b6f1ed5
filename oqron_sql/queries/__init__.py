"""The one body of SQL: plain functions of an open transaction."""
