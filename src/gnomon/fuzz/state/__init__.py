"""Requests that depend on each other: who makes what others take, and promises that only several requests can break."""
