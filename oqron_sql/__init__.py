"""Durable background jobs in the database an application already has."""
